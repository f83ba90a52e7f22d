//! A call of a webhook: the span of whoever it was seen at.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{Attributes, ms, optional};
use crate::output::{CallOutcome, CallPhases, Peer, Side, Webhook, What};

/// A call is the span of whoever it was seen at.
pub(super) fn kind(what: &What) -> SpanKind {
    match what {
        What::Webhook(call) if call.side == Side::Client => SpanKind::Client,
        What::Webhook(_) => SpanKind::Server,
        What::Exec(_)
        | What::Runtime(_)
        | What::Stdio(_)
        | What::Memory(_)
        | What::Dns(_)
        | What::Net(_)
        | What::Text(_)
        | What::Cpu(_)
        | What::File(_)
        | What::Io(_) => SpanKind::Internal,
    }
}

pub(super) fn attributes(to: &mut Attributes, call: &Webhook) -> String {
    to.text("observer.webhook.name", call.name.as_str());
    to.text("observer.webhook.outcome", call.outcome.name());
    to.text("observer.webhook.seen", call.seen.name());
    to.text("observer.webhook.side", call.side.name());
    let address = |peer: &Peer| peer.address.map(|address| address.to_string());
    to.text("client.address", address(&call.client).as_deref());
    optional(to, "client.port", call.client.port);
    to.text("server.address", call.server.host.clone().or_else(|| address(&call.server)).as_deref());
    optional(to, "server.port", call.server.port);
    to.text("network.peer.address", address(&call.server).as_deref());
    optional(to, "network.peer.port", call.server.port);
    to.text("http.request.method", call.method.as_deref());
    to.text("url.path", call.path.as_deref());
    optional(to, "http.response.status_code", call.status);
    to.bool("observer.webhook.allowed", call.allowed);
    to.text("observer.webhook.message", call.message.as_deref());
    let CallPhases { connect_ns, tls_ns, send_ns, server_ns, receive_ns } = call.phases;
    let server = call.server_time;
    for (key, ns) in [
        ("observer.webhook.deadline_ms", call.deadline_ns),
        ("observer.webhook.latency_ms", call.latency_ns),
        ("observer.webhook.connection_age_ms", call.connection_age_ns),
        ("observer.webhook.connect_ms", connect_ns),
        ("observer.webhook.tls_ms", tls_ns),
        ("observer.webhook.send_ms", send_ns),
        ("observer.webhook.server_ms", server_ns),
        ("observer.webhook.receive_ms", receive_ns),
        ("observer.webhook.server_on_cpu_ms", server.map(|time| time.on_cpu_ns)),
        ("observer.webhook.server_runnable_ms", server.map(|time| time.runnable_ns)),
        ("observer.webhook.server_throttled_ms", server.and_then(|time| time.throttled_ns)),
        ("observer.webhook.server_blocked_ms", server.map(|time| time.blocked_ns)),
    ] {
        if let Some(ns) = ns {
            to.double(key, ms(ns));
        }
    }
    to.int("observer.webhook.retransmits", call.retransmits);
    match call.status.filter(|_| call.outcome == CallOutcome::HttpError) {
        Some(status) => status.to_string(),
        None => call.outcome.name().to_owned(),
    }
}
