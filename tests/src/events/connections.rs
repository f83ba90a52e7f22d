//! Connections, one of each kind of end.

use std::net::SocketAddr;

use observer::output::*;

use super::event;
use crate::starts::{at, cri_pod, process};

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().expect("an address"))
}

fn connected() -> Net {
    Net {
        action: NetAction::Connect,
        outcome: NetOutcome::Connected,
        server: address("10.96.0.1:443"),
        backend: None,
        local: address("10.1.0.7:41234"),
        latency_ns: Some(612_345),
        age_ns: Some(612_345),
        errno: None,
        retransmits: 0,
        syn_retransmits: 0,
        rtt_ns: Some(600_000),
        sent_bytes: Some(0),
        received_bytes: Some(0),
        drop: None,
        alert: None,
    }
}

fn distrusted(by: Side, description: Option<u8>) -> Net {
    Net {
        action: NetAction::Handshake,
        outcome: NetOutcome::TlsFailed,
        latency_ns: None,
        rtt_ns: None,
        sent_bytes: None,
        received_bytes: None,
        alert: Some(TlsAlert { by, description }),
        ..connected()
    }
}

pub fn connections() -> Vec<Event> {
    let of = |ms, what| event(ms, cri_pod().container, What::Net(what));
    let failed = |outcome, errno| Net {
        outcome,
        errno,
        latency_ns: None,
        rtt_ns: None,
        sent_bytes: None,
        received_bytes: None,
        ..connected()
    };
    let here =
        |of_answer| Drop { reason: "NETFILTER_DROP".to_owned(), netns: Some(4_026_532_264), of_answer };
    let refused = Net { latency_ns: Some(31_000), ..failed(NetOutcome::Refused, Some(111)) };
    let unanswered = Net {
        age_ns: Some(3_072_000_000),
        retransmits: 2,
        syn_retransmits: 2,
        drop: Some(here(false)),
        ..failed(NetOutcome::Timeout, None)
    };
    let nowhere = Net {
        server: address("[fd00::1]:443"),
        local: None,
        age_ns: None,
        ..failed(NetOutcome::Unreachable, Some(101))
    };
    let stalled = Net {
        action: NetAction::Stall,
        outcome: NetOutcome::Stalled,
        latency_ns: None,
        age_ns: Some(60_000_000_000),
        retransmits: 3,
        sent_bytes: Some(41_000),
        drop: Some(here(true)),
        ..connected()
    };
    let reset =
        Net { action: NetAction::Close, outcome: NetOutcome::Reset, errno: Some(104), ..stalled.clone() };
    let mut events = vec![
        of(2_800, connected()),
        of(2_810, refused),
        of(2_820, unanswered),
        of(2_830, nowhere),
        of(2_840, stalled),
        of(2_850, Net { drop: None, ..reset.clone() }),
        // It had what it wanted.
        of(2_860, Net { received_bytes: Some(7), drop: None, ..reset }),
        of(2_870, distrusted(Side::Client, Some(48))),
        of(2_880, distrusted(Side::Server, None)),
    ];
    events[2].began = Some(at(2_750));
    events[3].container = None;
    events[3].process = Some(process("containerd", 901));
    events
}
