//! What belongs to the request that its thread had in hand, or to those that its container had: which span of the
//! request's trace that is. The trace context was seen by the kernel side, so it is the best of all joins; where it says
//! whose something is, no weaker one may say otherwise.

use super::{
    Correlator, Found, MAX_TARGETS, Tied, WAIT_NS, Waiting,
    key::{Claim, Key, Owner},
    requests::{InHand, Requests},
    target,
};
use crate::{
    output::{Event, FaultKind, Join, NetAction, Target, Told, What},
    probes::context::{Id, Parent},
    span::{Kind, Span},
    time::{ClockOffset, Time, Wall},
};

/// Spans between one that is asked about and the root of its trace.
const MAX_DEPTH: usize = 64;

/// Whose hands something happened in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Nowhere,
    /// In those of a thread that had this request then.
    Thread(Id, Time),
    /// It is a request itself.
    Sent(Parent),
    /// In those of all threads of a container.
    Container {
        init: u32,
        from: Time,
        to: Time,
    },
}

impl Place {
    pub(super) fn of(told: &Told, requests: &Requests, clock: ClockOffset) -> Place {
        let Told::Event(event) = told else { return Place::Nowhere };
        // Made of kernel time by the same offset a moment ago.
        let boot = |wall: Wall| {
            Time(u64::try_from(wall.0.saturating_sub(clock.wall_minus_boot_ns)).unwrap_or_default())
        };
        let began = boot(event.began.unwrap_or(event.time));
        if let What::Cpu(_) = &event.what {
            let instance = event.container.as_ref().and_then(|container| container.instance);
            let to = boot(event.time);
            return instance.map_or(Place::Nowhere, |instance| Place::Container {
                init: instance.init,
                from: began,
                to,
            });
        }
        if let What::Webhook(call) = &event.what {
            return call.parent.map_or(Place::Nowhere, Place::Sent);
        }
        let in_hand = |(tgid, tid)| Some(Place::Thread(requests.of_thread(tgid, tid, began)?, began));
        thread(event).and_then(in_hand).unwrap_or(Place::Nowhere)
    }
}

/// The thread that did it, where it is one that did.
fn thread(event: &Event) -> Option<(u32, u32)> {
    let own = || event.process.as_ref().map(|process| (process.pid, process.tid));
    match &event.what {
        What::Dns(_) => own(),
        // Of what becomes of a connection later, whoever uses it is concerned.
        What::Net(net) if net.action == NetAction::Connect => own(),
        What::Memory(memory)
            if matches!(memory.kind, FaultKind::WasmTrap | FaultKind::Fault) && memory.count == 1 =>
        {
            own()
        }
        What::Stdio(stdio) => stdio.waiter.map(|waiter| (waiter.pid, waiter.tid)),
        _ => None,
    }
}

/// The span that handles a request.
enum Handler<'a> {
    One(&'a Span),
    /// Several say so, and which it is cannot be told.
    Several,
    Missing,
}

impl Correlator {
    /// What the trace context says of it; `None`: nothing.
    pub(super) fn by_context(
        &self,
        waiting: &Waiting,
        now: Time,
        is_last: bool,
    ) -> Option<Result<Tied, Found>> {
        let (id, at) = match waiting.place {
            Place::Thread(id, at) => (id, at),
            Place::Sent(parent) => return Some(self.by_sender(waiting, parent, is_last)),
            Place::Nowhere | Place::Container { .. } => return None,
        };
        let (parent, is_settled) = match self.requests.in_hand(id, at) {
            InHand::Unknown => return None,
            InHand::Open(_) if !is_last => return Some(Err(Found::Nothing)),
            InHand::Open(parent) => (parent, true),
            InHand::Known(parent, until) => (parent, is_last || now.since(until) >= WAIT_NS),
        };
        if !parent.is_sampled() {
            return Some(self.by_sender(waiting, parent, is_last));
        }
        let tied = |target| Tied { join: Join::Context, targets: vec![target], left_out: 0 };
        Some(match self.handler(parent, waiting) {
            Handler::One(span) => Ok(tied(target(self.narrowed(waiting, span).unwrap_or(span)))),
            _ if !is_settled => Err(Found::Nothing),
            _ => self.by_sender(waiting, parent, is_last),
        })
    }

    /// The span that has sent the request.
    fn by_sender(&self, waiting: &Waiting, parent: Parent, is_last: bool) -> Result<Tied, Found> {
        let tied = |target| Tied { join: Join::Context, targets: vec![target], left_out: 0 };
        let by_socket = || self.by_claims(waiting, |claim| claim.join == Join::Socket);
        match self.sender(parent).filter(|_| parent.is_sampled()) {
            Some(span) => Ok(tied(target(span))),
            // A service may begin a trace of its own for what it is asked from outside.
            None if parent.is_sampled() && is_last => by_socket().or_else(|_| Ok(tied(bare(parent)))),
            None => by_socket(),
        }
    }

    /// All requests that a container had in hand meanwhile.
    pub(super) fn by_contexts(&self, waiting: &Waiting, is_last: bool) -> Result<Tied, Found> {
        let Place::Container { init, from, to } = waiting.place else { return Err(Found::Nothing) };
        let mut targets = Vec::new();
        for parent in self.requests.of_container(init, from, to) {
            if !parent.is_sampled() {
                continue;
            }
            targets.push(match self.handler(parent, waiting) {
                Handler::One(span) => target(span),
                _ if !is_last => return Err(Found::Nothing),
                _ => self.sender(parent).map_or_else(|| bare(parent), target),
            });
        }
        targets.sort_by_key(|target| (target.trace, target.span));
        targets.dedup_by_key(|target| (target.trace, target.span));
        if targets.is_empty() {
            return Err(Found::Nothing);
        }
        let left_out = targets.len().saturating_sub(MAX_TARGETS) as u64;
        targets.truncate(MAX_TARGETS);
        Ok(Tied { join: Join::Context, targets, left_out })
    }

    fn handler(&self, parent: Parent, waiting: &Waiting) -> Handler<'_> {
        let handles = |span: &&Span| {
            span.parent == Some(parent.span) && matches!(span.kind, Kind::Server | Kind::Consumer)
        };
        let mut all: Vec<&Span> = self.index.find(&Key::Trace(parent.trace)).filter(handles).collect();
        if all.len() > 1
            && let super::What::Told(Told::Event(event)) = &waiting.told
            && let Some(owner) = Owner::of(event.container.as_ref(), event.process.as_ref())
        {
            all.retain(|span| owner.has_sent(span));
            if all.len() != 1 {
                return Handler::Several;
            }
        }
        all.first().map_or(Handler::Missing, |span| Handler::One(span))
    }

    /// The span that has sent a request.
    fn sender(&self, parent: Parent) -> Option<&Span> {
        self.index.find(&Key::Trace(parent.trace)).find(|span| span.id == parent.span)
    }

    /// Below the span that handles the request, the only one that the evidence meets by itself.
    fn narrowed(&self, waiting: &Waiting, handler: &Span) -> Option<&Span> {
        let exact = waiting.claims.iter().filter(|claim| !claim.concerns_all);
        let mut below = exact.map(|claim: &Claim| {
            let mut spans = self.candidates(waiting, claim);
            spans.retain(|span| span.trace == handler.trace && self.is_below(span, handler));
            spans
        });
        let found = below.find(|spans| !spans.is_empty())?;
        match found.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    fn is_below(&self, span: &Span, above: &Span) -> bool {
        let key = Key::Trace(span.trace);
        let mut parent = span.parent;
        for _ in 0..MAX_DEPTH {
            match parent {
                Some(id) if id == above.id => return true,
                Some(id) => {
                    parent =
                        self.index.find(&key).find(|other| other.id == id).and_then(|other| other.parent);
                }
                None => return false,
            }
        }
        false
    }
}

/// A span of which nothing is known but that it is recorded somewhere.
fn bare(parent: Parent) -> Target {
    Target {
        trace: parent.trace,
        span: parent.span,
        name: String::new(),
        service: None,
        state: String::new(),
        host_name: None,
        host_id: None,
    }
}

#[cfg(test)]
mod tests;
