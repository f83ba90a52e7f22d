//! Calls of webhooks.

use observer::output::*;

use super::event;
use crate::starts::{crun_hello, process};

/// By what calls are counted.
pub(super) const KEY: [(&str, &str); 3] =
    [("client", "k3s"), ("server", "gatekeeper"), ("path", "/v1/admit")];

/// A call that was answered, by a connection that was there before.
fn call() -> Webhook {
    let peer = |address: &str, port, process| Peer {
        address: Some(address.parse().expect("an address")),
        port: Some(port),
        host: None,
        pod: None,
        process,
    };
    Webhook {
        name: "gatekeeper".into(),
        client: peer("10.0.0.7", 40_000, Some(process("k3s", 900))),
        server: peer("10.42.0.9", 8_443, None),
        side: Side::Client,
        method: None,
        path: None,
        deadline_ns: Some(3_000_000_000),
        latency_ns: Some(12_300_000),
        phases: CallPhases {
            send_ns: Some(100_000),
            server_ns: Some(12_000_000),
            receive_ns: Some(200_000),
            ..CallPhases::default()
        },
        connection_age_ns: None,
        status: None,
        allowed: None,
        message: None,
        outcome: CallOutcome::Answered,
        seen: CallSeen::Socket,
        overlapping: false,
        retransmits: 0,
        connects: 0,
        unacknowledged_bytes: Some(0),
        parent: None,
        server_time: None,
    }
}

pub(super) fn webhook_events() -> Vec<Event> {
    let of = |ms, why: &str, call| Event {
        container: None,
        process: Some(process("k3s", 900)),
        since: Since::Attach,
        why: (!why.is_empty()).then(|| why.to_owned()),
        ..event(ms, crun_hello().container, What::Webhook(Box::new(call)))
    };
    let answered = Webhook {
        server_time: Some(ServerTime {
            on_cpu_ns: 2_000_000,
            runnable_ns: 0,
            throttled_ns: Some(10_000_000),
            blocked_ns: 0,
        }),
        ..call()
    };
    let gone = Webhook {
        outcome: CallOutcome::Timeout,
        phases: CallPhases { send_ns: Some(0), ..CallPhases::default() },
        latency_ns: Some(3_000_000_000),
        retransmits: 4,
        unacknowledged_bytes: Some(600),
        parent: None,
        ..call()
    };
    let denied = Webhook {
        outcome: CallOutcome::Denied,
        method: Some("POST".into()),
        path: Some("/v1/\u{1b}[31madmit".into()),
        status: Some(200),
        allowed: Some(false),
        message: Some("no \"latest\" tags\u{7}".into()),
        seen: CallSeen::TlsLibrary,
        ..call()
    };
    let refused = Webhook {
        outcome: CallOutcome::Refused,
        phases: CallPhases::default(),
        latency_ns: Some(40_000),
        connects: 1,
        ..call()
    };
    vec![
        of(1_500, "", answered),
        of(1_510, "the server acknowledged none of 600 bytes sent again 4 times", gone),
        of(1_520, "", denied),
        of(1_530, "", refused),
    ]
}
