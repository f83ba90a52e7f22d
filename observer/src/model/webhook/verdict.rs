//! What came of a call, and where its time went. What cannot be told is `None`, with the reason in words.

use observer_ebpf::wire::webhook::what;

use super::{
    answer::Answer,
    call::{Call, End, Followed},
};
use crate::{
    output::{CallOutcome, CallPhases},
    time::Time,
};

/// The longest deadline that Kubernetes lets a webhook have: a caller that waits longer has another.
pub const LONGEST_NS: u64 = 30_000_000_000;
/// Who leaves this soon after a record that may be an answer took it for one.
const AT_ONCE_NS: u64 = 1_000_000_000;
/// A client that waited for this share of its deadline has waited for all of it.
const WHOLE_PERCENT: u64 = 95;
/// A server that is there acknowledges within this, whatever it does.
const UNHEARD_NS: u64 = 1_000_000_000;
/// Between a handshake and the request that it was made for.
const AT_ONCE_AFTER_NS: u64 = 50_000_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub outcome: CallOutcome,
    pub why: Option<String>,
    pub latency_ns: Option<u64>,
    pub phases: CallPhases,
}

/// Of a call, and of how it ended at `at`.
pub fn of(followed: &Followed, call: &Call, end: End, at: Time, deadline_ns: Option<u64>) -> Verdict {
    let answer = followed.answer(call);
    let waited = at.since(called(followed, call));
    let (outcome, why) = outcome(followed, call, answer, end, (at, waited), deadline_ns);
    let is_answered = !matches!(outcome, CallOutcome::Timeout | CallOutcome::Reset | CallOutcome::Unknown);
    let mut verdict = Verdict { outcome, why, latency_ns: None, phases: before_request(followed, call) };
    if call.overlapping {
        verdict.add("the client spoke again before the answer: this may be more than one request");
        return verdict;
    }
    verdict.phases.send_ns = call.request.last.map(|last| last.since(call.began));
    match answer {
        Answer::Began(began) | Answer::Lone(began) if is_answered => {
            let last = call.answer.as_ref().and_then(|answer| answer.last).unwrap_or(began);
            verdict.phases.server_ns = call.request.last.map(|asked| began.since(asked));
            verdict.phases.receive_ns = Some(last.since(began));
            verdict.latency_ns = verdict.phases.together();
        }
        Answer::Somewhere if is_answered => {
            verdict.add(
                "a ticket for later sessions may have come before the answer: its beginning is not known",
            );
        }
        _ if outcome == CallOutcome::Timeout || outcome == CallOutcome::Reset => {
            verdict.latency_ns = Some(waited);
        }
        // So long its caller waited, whether that was its deadline or not.
        Answer::None if matches!(end, End::Closed { by_client: true, .. }) => {
            verdict.latency_ns = Some(waited);
        }
        _ => {}
    }
    if followed
        .hello
        .as_ref()
        .is_none_or(|hello| hello.offers == crate::probes::webhook::head::Offers::Unknown)
        && followed.seen.is(observer_ebpf::wire::webhook::known::TLS)
        && is_answered
    {
        verdict.add("what is spoken was not seen: taken for HTTP/1, one request after the other");
    }
    verdict
}

impl Verdict {
    /// An answer may turn out to be a no.
    pub fn listen(&mut self, call: &Call) {
        if self.outcome == CallOutcome::Answered {
            self.outcome = answered(call).0;
        }
    }

    fn add(&mut self, more: &str) {
        self.why = Some(match self.why.take() {
            Some(why) => format!("{why}; {more}"),
            None => more.to_owned(),
        });
    }
}

impl CallPhases {
    fn together(&self) -> Option<u64> {
        let made = self.connect_ns.unwrap_or(0) + self.tls_ns.unwrap_or(0);
        Some(made + self.send_ns? + self.server_ns? + self.receive_ns?)
    }
}

/// The phases of making the connection, of the first call on it and on the client's side only.
fn before_request(followed: &Followed, call: &Call) -> CallPhases {
    let seen = &followed.seen;
    if !call.is_first || !seen.is_clients() {
        return CallPhases::default();
    }
    let between = |from: Option<Time>, to: Option<Time>| Some(to?.since(from?));
    CallPhases {
        connect_ns: between(seen.syn, seen.established),
        // The client's own preparations for it are a part of it.
        tls_ns: seen.hello.and(between(seen.established.or(seen.hello), seen.secured)),
        ..CallPhases::default()
    }
}

/// Since when the caller waits: since it asked for the connection, if that was for this call.
fn called(followed: &Followed, call: &Call) -> Time {
    let seen = &followed.seen;
    let made = seen.secured.or(seen.established);
    match (seen.syn, made) {
        (Some(syn), Some(made)) if call.is_first && call.began.since(made) < AT_ONCE_AFTER_NS => syn,
        _ => call.began,
    }
}

type Outcome = (CallOutcome, Option<String>);

fn outcome(
    followed: &Followed,
    call: &Call,
    answer: Answer,
    end: End,
    (at, waited): (Time, u64),
    deadline_ns: Option<u64>,
) -> Outcome {
    let is_over = deadline_ns.is_some_and(|deadline| waited >= deadline / 100 * WHOLE_PERCENT);
    let is_answered = match (answer, end) {
        (Answer::Began(_) | Answer::Somewhere, _) | (Answer::Lone(_) | Answer::None, End::Next) => true,
        (Answer::Lone(_), End::Closed { by_client: false, reset: false } | End::Quiet | End::Overdue) => true,
        (Answer::Lone(began), End::Closed { by_client: true, .. }) => match deadline_ns {
            Some(_) => !is_over,
            None => at.since(began) < AT_ONCE_NS,
        },
        _ => false,
    };
    if is_answered {
        return answered(call);
    }
    match end {
        End::Closed { by_client: false, reset } => (CallOutcome::Reset, Some(by_server(followed, reset))),
        End::Closed { by_client: true, .. } if is_over => (CallOutcome::Timeout, silence(followed, call, at)),
        End::Closed { by_client: true, .. } => {
            let deadline = match deadline_ns {
                Some(_) => "before its deadline",
                None => "and its deadline is not known",
            };
            let waited = waited / 1_000_000;
            let heard = silence(followed, call, at).map(|text| format!("; {text}")).unwrap_or_default();
            let why = format!("the client gave up after {waited} ms without an answer, {deadline}{heard}");
            (CallOutcome::Unknown, Some(why))
        }
        End::Overdue if is_over => (CallOutcome::Timeout, silence(followed, call, at)),
        _ => {
            let heard = silence(followed, call, at).map(|text| format!("; {text}")).unwrap_or_default();
            let why =
                format!("no answer after {} ms, and the call was still open{heard}", waited / 1_000_000);
            (CallOutcome::Unknown, Some(why))
        }
    }
}

fn answered(call: &Call) -> Outcome {
    let said = call.said.as_ref();
    let status = said.and_then(|said| said.status).or(call.status);
    if status.is_some_and(|status| !(200..300).contains(&status)) {
        return (CallOutcome::HttpError, None);
    }
    match said.and_then(|said| said.allowed) {
        Some(false) => (CallOutcome::Denied, None),
        _ => (CallOutcome::Answered, None),
    }
}

fn by_server(followed: &Followed, reset: bool) -> String {
    let how = if reset { "reset" } else { "closed" };
    let alert = if followed.alerts & what::ALERT_SERVER != 0 { " after a TLS alert" } else { "" };
    format!("the server {how} the connection{alert} in place of an answer")
}

/// A server that has gone away: nothing was heard of it since the request. What is stuck in this node's own queues is
/// not sent again.
pub fn is_silent(followed: &Followed, call: &Call, at: Time) -> bool {
    let heard = followed.seen.answer.seen;
    let pending = call.request.unacknowledged.unwrap_or(0) > 0;
    let is_late = call.request.again > 0 || at.since(call.began) >= UNHEARD_NS;
    pending && is_late && heard.is_none_or(|heard| heard < call.began)
}

fn silence(followed: &Followed, call: &Call, at: Time) -> Option<String> {
    if !is_silent(followed, call, at) {
        return None;
    }
    let open = call.request.unacknowledged.unwrap_or(0);
    let again = call.request.again;
    let heard = followed.seen.answer.seen.map_or_else(String::new, |heard| {
        format!(", nothing was heard of it for {} ms", at.since(heard) / 1_000_000)
    });
    Some(format!("the server acknowledged none of {open} bytes, sent again {again} times{heard}"))
}

/// Of a connection that ended, or was given up, before a request.
pub fn before(followed: &Followed, end: End, at: Time, deadline_ns: Option<u64>) -> Option<Verdict> {
    let seen = &followed.seen;
    let began = seen.syn.or(seen.hello)?;
    let waited = at.since(began);
    let is_over = deadline_ns.is_some_and(|deadline| waited >= deadline / 100 * WHOLE_PERCENT);
    let mut phases = CallPhases::default();
    let (outcome, why) = if followed.is_opening() {
        opening(followed, end, is_over)?
    } else if seen.hello.is_some() && !followed.is_secured() {
        phases.connect_ns = seen.syn.zip(seen.established).map(|(from, to)| to.since(from));
        securing(followed, end, is_over)?
    } else {
        // Made, and closed again without a word: a check whether somebody listens.
        return None;
    };
    Some(Verdict { outcome, why, latency_ns: Some(waited), phases })
}

fn opening(followed: &Followed, end: End, is_over: bool) -> Option<Outcome> {
    let times = followed.seen.syns;
    match end {
        End::Closed { by_client: false, reset: true } => Some((CallOutcome::Refused, None)),
        End::Overdue | End::RunOver if is_over => {
            let why = format!("asked for the connection {times} times, without an answer");
            Some((CallOutcome::Timeout, Some(why)))
        }
        End::Overdue | End::RunOver => {
            let why = format!(
                "asked for the connection {times} times, without an answer, and its deadline is not known or not over"
            );
            Some((CallOutcome::Unknown, Some(why)))
        }
        _ => None,
    }
}

fn securing(followed: &Followed, end: End, is_over: bool) -> Option<Outcome> {
    let End::Closed { by_client, reset } = end else { return None };
    let alert = match followed.alerts & (what::ALERT_CLIENT | what::ALERT_SERVER) {
        0 => "without an alert",
        what::ALERT_CLIENT => "after an alert of the client",
        what::ALERT_SERVER => "after an alert of the server",
        _ => "after alerts of both",
    };
    let who = if by_client { "client" } else { "server" };
    let how = if reset { "reset" } else { "closed" };
    let why = format!("the {who} {how} the connection before the handshake was over, {alert}");
    let is_timeout = by_client && is_over && followed.alerts == 0;
    Some((if is_timeout { CallOutcome::Timeout } else { CallOutcome::TlsFailed }, Some(why)))
}

/// Of a connection whose requests cannot be told apart: how it ended, and nothing of each.
pub fn shared(followed: &Followed, end: End, why: &str) -> Verdict {
    let seen = &followed.seen;
    let (outcome, how) = match end {
        End::Closed { by_client: false, reset: true } => (CallOutcome::Reset, "; the server reset it"),
        _ => (CallOutcome::Unknown, ""),
    };
    let mut phases = CallPhases::default();
    if seen.is_clients() && followed.is_fresh() {
        phases.connect_ns = seen.syn.zip(seen.established).map(|(from, to)| to.since(from));
        let began = seen.hello.and(seen.established.or(seen.hello));
        phases.tls_ns = began.zip(seen.secured).map(|(from, to)| to.since(from));
    }
    let why = format!("{why}: only the connection is told, not its requests{how}");
    Verdict { outcome, why: Some(why), latency_ns: None, phases }
}
