//! Which span what was seen belongs to. Pure.
//!
//! A join is by identity: both ends of a connection, a container or its pod, a process, or whom somebody asked for.
//! Time narrows it and never makes one. Spans come when they have ended and a little later: evidence waits for them,
//! bounded in time and number, and is tied once. Where it could be any of several spans it is tied to none of them.

pub mod explain;
mod in_hand;
mod index;
mod key;
mod requests;
mod translated;

use std::collections::VecDeque;

use crate::{
    output::{Evidence, Finding, Join, Joined, Target, Told},
    probes::context,
    span::{Span, TraceId},
    time::{ClockOffset, Time},
};
use in_hand::Place;
use index::Index;
pub use key::is_of;
use key::{Claim, Key, claims, claims_of_finding};
use requests::Requests;
use translated::{Asking, Known};

/// How long evidence waits before it is tied: senders hand spans over in batches, five seconds apart.
const WAIT_NS: u64 = 10_000_000_000;
/// How long it is asked for again, if nothing has come: a span comes when it has ended.
const GIVE_UP_NS: u64 = 60_000_000_000;
/// Evidence that waits.
const MAX_WAITING: usize = 4096;
/// Spans that evidence concerns, told with it.
const MAX_TARGETS: usize = 16;
/// Two clocks of one machine that is idle differ by less; nanoseconds.
const LEAST_TOLERANCE_NS: u64 = 1_000_000;

struct Waiting {
    since: Time,
    due: Time,
    told: What,
    claims: Vec<Claim>,
    place: Place,
    known: Known,
    /// On the wall clock.
    began: u64,
    ended: u64,
}

/// What may belong to spans.
enum What {
    Told(Told),
    Finding(Box<Finding>),
}

/// Ties evidence to spans.
#[derive(Default)]
pub struct Correlator {
    index: Index,
    requests: Requests,
    asking: Asking,
    waiting: VecDeque<Waiting>,
    pub joined: Joined,
    tolerance_ns: u64,
    clock: ClockOffset,
    now: Time,
    /// Findings, with the spans that they turned out to explain; of some there are none.
    settled: Vec<Finding>,
}

impl Correlator {
    /// The clocks were compared: how exactly is how exact a join can be.
    pub fn clock(&mut self, offset: ClockOffset) {
        self.tolerance_ns = offset.error_ns.max(LEAST_TOLERANCE_NS);
        self.clock = offset;
    }

    /// Something was seen of the requests that threads have in hand.
    pub fn request(&mut self, time: Time, event: &context::Event) {
        self.requests.hear(time, event);
        self.joined.unread_requests = self.requests.unread;
        // What handles them may be known by its trace alone.
        if !self.requests.are_none() {
            self.index.keep_traces();
        }
    }

    /// Records about requests were lost.
    pub fn lost_requests(&mut self, time: Time) {
        self.requests.lost(time);
    }

    pub fn span(&mut self, span: &Span) {
        if span.is_sampled() {
            self.joined.given_up += self.index.add(span);
        }
    }

    /// Something was told that may belong to a span.
    pub fn told(&mut self, now: Time, told: Told) {
        let claims = claims(&told);
        let place = Place::of(&told, &self.requests, self.clock);
        if claims.is_empty() && matches!(place, Place::Nowhere) {
            return;
        }
        let times = times(&told);
        self.wait(now, What::Told(told), (claims, place), times);
    }

    /// A finding was made that may explain spans.
    pub fn found(&mut self, now: Time, finding: Box<Finding>) {
        let claims = claims_of_finding(&finding);
        if claims.is_empty() {
            return self.settled.push(*finding);
        }
        let unix = |ns: i64| u64::try_from(ns).unwrap_or(0);
        let times = (unix(finding.first_seen.0), unix(finding.last_seen.0));
        self.wait(now, What::Finding(finding), (claims, Place::Nowhere), times);
    }

    /// Findings of which it has become known what they explain, each once.
    pub fn settled(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.settled)
    }

    fn wait(
        &mut self,
        now: Time,
        told: What,
        (claims, place): (Vec<Claim>, Place),
        (began, ended): (u64, u64),
    ) {
        let due = now.plus(WAIT_NS);
        self.waiting.push_back(Waiting {
            since: now,
            due,
            told,
            claims,
            place,
            known: Known::Nothing,
            began,
            ended,
        });
        if self.waiting.len() > MAX_WAITING
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.joined.given_up += 1;
            self.leave(oldest.told);
        }
    }

    /// A finding is told of, tied or not.
    fn leave(&mut self, told: What) {
        if let What::Finding(finding) = told {
            self.settled.push(*finding);
        }
    }

    /// Ties what has waited long enough.
    pub fn tick(&mut self, now: Time, tie: &mut impl FnMut(Evidence)) {
        self.index.forget(now);
        self.requests.tick(now);
        self.now = now;
        self.ask(now);
        // What is asked for again goes to the end: only those that are there now are looked at.
        for _ in 0..self.waiting.len() {
            let Some(mut waiting) = self.waiting.pop_front() else { break };
            if waiting.due > now {
                self.waiting.push_back(waiting);
                continue;
            }
            let is_last = now.since(waiting.since) >= GIVE_UP_NS;
            match self.decide(&waiting, is_last) {
                Ok(tied) => self.tie(waiting.told, tied, tie),
                Err(Found::Nothing) if !is_last => {
                    waiting.due = now.plus(WAIT_NS);
                    self.waiting.push_back(waiting);
                }
                Err(found) => {
                    self.count(found);
                    self.leave(waiting.told);
                }
            }
        }
    }

    /// Ties what can be tied: nothing more will come.
    pub fn end(&mut self, tie: &mut impl FnMut(Evidence)) {
        for waiting in std::mem::take(&mut self.waiting) {
            match self.decide(&waiting, true) {
                Ok(tied) => self.tie(waiting.told, tied, tie),
                Err(found) => {
                    self.count(found);
                    self.leave(waiting.told);
                }
            }
        }
    }

    fn count(&mut self, found: Found) {
        match found {
            Found::Nothing => self.joined.unmatched += 1,
            Found::TooMuch => self.joined.ambiguous += 1,
        }
    }

    /// What the trace context says is right. Without one the best claim decides; what happened to a container happened to
    /// the requests that it had in hand, too.
    fn decide(&self, waiting: &Waiting, is_last: bool) -> Result<Tied, Found> {
        if let Some(decided) = self.by_context(waiting, self.now, is_last) {
            return decided;
        }
        // What is one with its connection rules out what would do without.
        if !is_last && self.is_in_question(waiting) {
            return Err(Found::Nothing);
        }
        match self.by_claims(waiting, |_| true) {
            Err(Found::Nothing) => self.by_contexts(waiting, is_last),
            found => found,
        }
    }

    /// The best claim that any span meets decides: a weaker one must not choose among those that a better one rules out.
    fn by_claims(&self, waiting: &Waiting, may_decide: fn(&Claim) -> bool) -> Result<Tied, Found> {
        for claim in waiting.claims.iter().filter(|claim| may_decide(claim)) {
            let spans = self.candidates(waiting, claim);
            if spans.is_empty() {
                continue;
            }
            let mut targets = innermost(&spans, waiting);
            if targets.len() > 1 && !claim.concerns_all {
                return Err(Found::TooMuch);
            }
            let left_out = targets.len().saturating_sub(MAX_TARGETS);
            targets.truncate(MAX_TARGETS);
            return Ok(Tied { join: claim.join, targets, left_out: left_out as u64 });
        }
        Err(Found::Nothing)
    }

    fn tie(&mut self, what: What, tied: Tied, tie: &mut impl FnMut(Evidence)) {
        let Tied { join, targets, left_out } = tied;
        let count = match join {
            Join::Context => &mut self.joined.context,
            Join::Socket => &mut self.joined.socket,
            Join::Container => &mut self.joined.container,
            Join::Pid => &mut self.joined.pid,
            Join::Address => &mut self.joined.address,
        };
        *count += 1;
        match what {
            What::Told(of) => {
                let is_child = targets.len() == 1 && left_out == 0;
                tie(Evidence { of, join, is_child, targets, left_out });
            }
            What::Finding(finding) => self.settled.push(Finding { targets, ..*finding }),
        }
    }

    /// Spans that meet a claim, in its time.
    fn candidates(&self, waiting: &Waiting, claim: &Claim) -> Vec<&Span> {
        self.in_time(waiting, &claim.key).filter(|span| claim.is_met_by(span)).collect()
    }

    fn in_time(&self, waiting: &Waiting, key: &Key) -> impl Iterator<Item = &Span> {
        let tolerance = self.tolerance_ns.max(LEAST_TOLERANCE_NS);
        let (began, ended) = (waiting.began, waiting.ended.saturating_add(tolerance));
        let in_time = move |span: &&Span| began <= span.end.saturating_add(tolerance) && ended >= span.start;
        self.index.find(key).filter(in_time)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    TooMuch,
}

/// The spans that something belongs to.
struct Tied {
    join: Join,
    targets: Vec<Target>,
    left_out: u64,
}

/// Of each trace the span that it happened in: the shortest that holds all of it, else the one that holds most.
fn innermost(spans: &[&Span], waiting: &Waiting) -> Vec<Target> {
    let mut traces: Vec<TraceId> = spans.iter().map(|span| span.trace).collect();
    traces.sort_unstable();
    traces.dedup();
    let covered = |span: &Span| span.end.min(waiting.ended).saturating_sub(span.start.max(waiting.began));
    let best = |trace: &TraceId| {
        let of_trace = spans.iter().filter(|span| span.trace == *trace);
        of_trace.min_by_key(|span| (u64::MAX - covered(span), span.duration_ns(), span.id))
    };
    traces.iter().filter_map(best).map(|span| target(span)).collect()
}

fn target(span: &Span) -> Target {
    let host = |key: &str| span.resource(key).map(ToOwned::to_owned);
    Target {
        trace: span.trace,
        span: span.id,
        name: span.name.clone(),
        service: span.service.clone(),
        state: span.state.clone(),
        host_name: host("host.name"),
        host_id: host("host.id"),
    }
}

/// When it was, on the wall clock.
fn times(told: &Told) -> (u64, u64) {
    let unix = |ns: i64| u64::try_from(ns).unwrap_or(0);
    match told {
        Told::Event(event) => {
            let ended = unix(event.time.0);
            (event.began.map_or(ended, |began| unix(began.0)).min(ended), ended)
        }
        Told::Start(start) => (unix(start.time.0), unix(start.time.0).saturating_add(start.total_ns)),
    }
}

#[cfg(test)]
mod tests;
