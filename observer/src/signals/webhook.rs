//! Signals of webhook calls. A call is told by its client where that is on this node.

use super::{Label, Observation, Signal};
use crate::output::{CallOutcome, ServerTime, Side, Webhook};

/// An unanswered call that its client ended sooner may have been cancelled for reasons of its own.
const SHORTEST_WAIT_NS: u64 = 1_000_000_000;

pub(super) fn signals<'a>(
    call: &'a Webhook,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let is_answered = matches!(call.outcome, CallOutcome::Answered | CallOutcome::Denied);
    if let Some(time) = call.server_time.filter(|_| is_answered && !call.overlapping) {
        let ms = time.on_cpu_ns as f64 / 1e6;
        let text = format!("{}, its server was on a CPU for {ms:.0} ms of that", text(call));
        see(labelled(call, of(Signal::WebhookServerCpu, ms)).saying(text));
    }
    let of = |signal| labelled(call, of(signal, 1.0));
    let handshake = match (call.outcome, call.phases.tls_ns) {
        (CallOutcome::TlsFailed, _) => Some(Signal::TlsFailed),
        (_, Some(_)) => Some(Signal::TlsOk),
        (_, None) => None,
    };
    if let Some(signal) = handshake {
        see(of(signal).saying(text(call)));
    }
    match call.outcome {
        CallOutcome::Answered => {
            see(of(Signal::WebhookAnswered));
            let is_slow = call.deadline_ns.zip(call.latency_ns).is_some_and(|(most, took)| took > most / 2);
            if is_slow {
                see(of(Signal::WebhookSlow).saying(text(call)));
            }
        }
        CallOutcome::Denied => {
            see(of(Signal::WebhookAnswered));
            see(of(Signal::WebhookDenied).saying(text(call)));
        }
        CallOutcome::Unknown if was_given_up(call) => see(of(Signal::WebhookFailed).saying(text(call))),
        CallOutcome::Unknown => {}
        CallOutcome::Timeout if call.latency_ns.is_some_and(|waited| waited < SHORTEST_WAIT_NS) => {}
        CallOutcome::Timeout
        | CallOutcome::Refused
        | CallOutcome::Reset
        | CallOutcome::TlsFailed
        | CallOutcome::HttpError => see(of(Signal::WebhookFailed).saying(text(call))),
    }
}

/// Its client closed the connection after a while without an answer, and by when it wanted one is not known.
fn was_given_up(call: &Webhook) -> bool {
    call.deadline_ns.is_none()
        && call.side == Side::Client
        && call.phases.send_ns.is_some()
        && !call.overlapping
        && call.latency_ns.is_some_and(|waited| waited >= SHORTEST_WAIT_NS)
}

fn labelled<'a>(call: &'a Webhook, observation: Observation<'a>) -> Observation<'a> {
    let server = address(call);
    observation
        .with(Label::Webhook, call.name.as_str())
        .with_some(Label::Server, server.clone())
        .with_some(Label::Object, server)
        .with(Label::Outcome, call.outcome.name())
        .with(Label::Deadline, if call.deadline_ns.is_some() { "known" } else { "unknown" })
        .with(Label::Place, place(call))
        .with(Label::State, if call.phases.connect_ns.is_some() { "fresh" } else { "kept" })
        .with(Label::Seen, call.seen.name())
        .with_some(Label::ServerState, call.server_time.as_ref().map(server_state))
        .with_some(Label::Message, call.message.as_deref())
        .with(Label::Kind, call.side.name())
}

/// Where most of the server's time went.
fn server_state(time: &ServerTime) -> &'static str {
    let parts = [
        ("on-cpu", time.on_cpu_ns),
        ("runnable", time.runnable_ns),
        ("throttled", time.throttled_ns.unwrap_or(0)),
        ("blocked", time.blocked_ns),
    ];
    parts.iter().max_by_key(|(_, ns)| *ns).map_or("unknown", |(name, _)| name)
}

fn address(call: &Webhook) -> Option<String> {
    Some(std::net::SocketAddr::new(call.server.address?, call.server.port?).to_string())
}

/// Where the time of a call without an answer went.
fn place(call: &Webhook) -> &'static str {
    let phases = &call.phases;
    match call.outcome {
        CallOutcome::Refused => "connect",
        CallOutcome::TlsFailed => "tls",
        // Nothing was sent: the connection was never there.
        _ if phases.send_ns.is_none() && phases.connect_ns.is_none() && call.connects > 0 => "connect",
        // What was sent never arrived.
        _ if call.unacknowledged_bytes.is_some_and(|bytes| bytes > 0) => "send",
        _ if phases.receive_ns.is_some_and(|ns| Some(ns) > phases.server_ns) => "receive",
        _ => "server",
    }
}

fn text(call: &Webhook) -> String {
    let to = address(call).unwrap_or_else(|| "an unknown address".to_owned());
    let mut text = format!("{} at {to}: {}", call.name, call.outcome.name());
    if let Some(ns) = call.latency_ns {
        text.push_str(&format!(" after {:.0} ms", ns as f64 / 1e6));
    }
    if let Some(ns) = call.deadline_ns {
        text.push_str(&format!(" of {:.0} ms", ns as f64 / 1e6));
    }
    if let Some(ns) = call.connection_age_ns.filter(|ns| *ns > 1_000_000_000) {
        text.push_str(&format!(", on a connection {:.0} s old", ns as f64 / 1e9));
    }
    if let Some(bytes) = call.unacknowledged_bytes.filter(|bytes| *bytes > 0) {
        text.push_str(&format!(", {bytes} bytes of the request were never acknowledged"));
    }
    if let Some(message) = &call.message {
        text.push_str(&format!(": {message:?}"));
    }
    if call.side == Side::Server {
        text.push_str(", seen where it is served");
    }
    text
}
