//! Signals of look-ups.

use super::{Label, Observation, Signal};
use crate::output::{Dns, DnsOutcome, errno};

pub(super) fn signals<'a>(
    dns: &'a Dns,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let signal = match dns.outcome {
        DnsOutcome::Answered => Signal::DnsAnswered,
        DnsOutcome::Unknown => return,
        // That there is no such name is an answer of the server, and a failure of who asked.
        _ => Signal::DnsFailed,
    };
    if let Some(ns) = dns.latency_ns.filter(|_| signal == Signal::DnsAnswered) {
        see(of(Signal::DnsLatency, ns as f64 / 1e6));
    }
    let decided = &dns.decided;
    let server = decided.server.map(|server| server.to_string());
    let backend =
        decided.backend.as_ref().map(|backend| backend.address.to_string()).or_else(|| server.clone());
    let mut observation = of(signal, 1.0)
        .with_some(Label::Server, server.clone())
        .with_some(Label::Backend, backend.clone())
        .with(Label::Name, &decided.name)
        .with(Label::Zone, crate::model::zone(&decided.name))
        .with(Label::Qtype, &decided.qtype)
        .with(Label::Outcome, dns.outcome.name())
        .with_some(Label::Errno, decided.errno.and_then(errno::name))
        .with_some(Label::Drop, dns.drop.as_ref().map(|drop| drop.reason.as_str()))
        .with(Label::Place, place(dns));
    // Several servers may have been asked for one look-up: whom it hung on is the last.
    if let Some(backend) = backend {
        observation.set(Label::Object, backend);
    }
    if signal == Signal::DnsFailed {
        observation.text = Some(text(dns, server.as_deref()));
    }
    see(observation);
}

/// Where it was lost, as far as this node shows it.
fn place(dns: &Dns) -> &'static str {
    match (&dns.drop, dns.outcome) {
        (Some(_), _) => "node",
        (None, DnsOutcome::NoPacket) => "process",
        (None, DnsOutcome::Timeout | DnsOutcome::Error) => "beyond",
        (None, _) => "server",
    }
}

fn text(dns: &Dns, server: Option<&str>) -> String {
    let (decided, server) = (&dns.decided, server.unwrap_or("nobody"));
    let mut text = format!("{} {} asked {server}: {}", decided.name, decided.qtype, dns.outcome.name());
    if let Some(said) = dns.resolver_error {
        text.push_str(&format!(" ({said})"));
    }
    if let Some(name) = decided.errno.and_then(errno::name) {
        text.push_str(&format!(" ({name})"));
    }
    if let Some(backend) = &decided.backend {
        text.push_str(&format!(", it went to {}", backend.address));
    }
    if let Some(ns) = dns.latency_ns {
        text.push_str(&format!(", after {:.1} ms", ns as f64 / 1e6));
    }
    if let Some(drop) = &dns.drop {
        text.push_str(&format!(", dropped on this node: {}", drop.reason));
    }
    text
}
