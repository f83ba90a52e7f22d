//! A look-up in plain words.

use super::{errno_text, units};
use crate::{
    output::{Dns, DnsOutcome, DnsQuestion, DnsTransport, Process},
    sink::{rcode, units::ms_text},
};

/// `getent (4711): db.shop.svc A asked 10.0.0.10:53 in 2 attempts: no answer (timeout)`.
pub(super) fn dns(dns: &Dns, process: Option<&Process>) -> String {
    let by = process.map(|process| format!("{}: ", units::process_text(process))).unwrap_or_default();
    let DnsQuestion { name, qtype, server, .. } = &dns.decided;
    let mut text = format!("{by}{name} {qtype} asked ");
    match server {
        Some(server) => text.push_str(&server.to_string()),
        None => text.push_str("nobody"),
    }
    if let Some(backend) = &dns.decided.backend {
        text.push_str(&super::went_to(backend));
    }
    if dns.decided.transport == Some(DnsTransport::Tcp) {
        text.push_str(" by TCP");
    }
    text.push_str(&format!(" in {}: {}", units::count(dns.attempts, "attempt"), what_came(dns)));
    if let Some(ns) = dns.latency_ns {
        text.push_str(&format!(" after {} ms", ms_text(ns)));
    }
    let names = dns.questions.iter().map(|question| &question.name);
    let steps = names.collect::<std::collections::BTreeSet<_>>().len();
    if steps > 1 {
        text.push_str(&format!(", {steps} names tried"));
    }
    text.push_str(&format!(" ({})", dns.outcome.name()));
    if let Some(drop) = &dns.drop {
        text.push_str(&super::dropped(drop));
    }
    text
}

fn what_came(dns: &Dns) -> String {
    let question = &dns.decided;
    match dns.outcome {
        DnsOutcome::Answered => "answered".to_owned(),
        DnsOutcome::Nxdomain => "there is no such name".to_owned(),
        DnsOutcome::Nodata => "nothing of that type".to_owned(),
        DnsOutcome::Servfail => "the server failed".to_owned(),
        DnsOutcome::Refused => "the server refused".to_owned(),
        DnsOutcome::Timeout => "no answer".to_owned(),
        DnsOutcome::Truncated => "only part of an answer".to_owned(),
        DnsOutcome::Error => match (question.errno, question.rcode) {
            (Some(errno), _) => errno_text(errno),
            (None, Some(code)) => {
                rcode::name(code).map_or_else(|| format!("answer code {code}"), ToOwned::to_owned)
            }
            (None, None) => "an error".to_owned(),
        },
        DnsOutcome::NoPacket => {
            format!("{}, and nothing was sent", dns.resolver_error.unwrap_or("it failed"))
        }
        DnsOutcome::Unknown => "not known".to_owned(),
    }
}
