//! Look-ups of names, one of each kind of end.

use std::net::SocketAddr;

use observer::output::*;

use super::event;
use crate::starts::{at, cri_pod, process};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Answered by who stands behind a service address.
fn answered() -> DnsQuestion {
    DnsQuestion {
        name: "db.shop.svc.cluster.local".to_owned(),
        qtype: "A".to_owned(),
        outcome: DnsOutcome::Answered,
        server: Some(address("10.96.0.10:53")),
        backend: Some(Backend::at(address("10.1.0.5:5353"))),
        transport: Some(DnsTransport::Udp),
        rcode: Some(0),
        errno: None,
        latency_ns: Some(1_234_567),
        attempts: 1,
    }
}

fn whole(questions: Vec<DnsQuestion>) -> Dns {
    let decided = questions.last().cloned().expect("a question");
    Dns {
        outcome: decided.outcome,
        latency_ns: decided.latency_ns.map(|ns| ns + 1_000_000),
        attempts: questions.iter().map(|question| question.attempts).sum(),
        decided,
        resolver_error: None,
        drop: None,
        questions,
        questions_left_out: 0,
    }
}

pub fn lookups() -> Vec<Event> {
    let of = |ms, what| event(ms, cri_pod().container, What::Dns(what));
    let missing = |name: &str| DnsQuestion {
        name: name.to_owned(),
        outcome: DnsOutcome::Nxdomain,
        rcode: Some(3),
        ..answered()
    };
    let silent = DnsQuestion {
        outcome: DnsOutcome::Timeout,
        rcode: None,
        latency_ns: None,
        attempts: 4,
        backend: None,
        ..answered()
    };
    let refused = DnsQuestion {
        name: "api.example.com".to_owned(),
        outcome: DnsOutcome::Error,
        rcode: None,
        errno: Some(111),
        server: Some(address("[::1]:53")),
        backend: None,
        ..answered()
    };
    let by_tcp = DnsQuestion {
        outcome: DnsOutcome::Servfail,
        rcode: Some(2),
        transport: Some(DnsTransport::Tcp),
        backend: None,
        ..answered()
    };
    let hostile =
        DnsQuestion { name: "\\027]0;owned.test".to_owned(), qtype: "TYPE64999".to_owned(), ..missing("x") };
    let drop = Drop { reason: "NETFILTER_DROP".to_owned(), netns: Some(4_026_532_264), of_answer: true };
    let mut events = vec![
        of(2_700, whole(vec![missing("db.svc.cluster.local"), answered()])),
        of(2_710, whole(vec![missing("no.such.example")])),
        of(2_720, Dns { drop: Some(drop), ..whole(vec![silent]) }),
        of(2_730, whole(vec![refused])),
        of(2_740, whole(vec![by_tcp])),
        of(2_750, whole(vec![hostile])),
    ];
    events[0].began = Some(at(2_698));
    // A process of the node itself.
    events[4].container = None;
    events[4].process = Some(process("kubelet", 900));
    events[4].since = Since::Attach;
    events
}
