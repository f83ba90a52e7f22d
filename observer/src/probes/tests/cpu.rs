//! How servers spend their time.

use observer_ebpf::wire::cpu::{Mark, OF_CLIENT, TELLS_THROTTLED};

use super::*;
use crate::probes::cpu;

fn mark(flags: u32) -> Mark {
    // Blocked, on a CPU, waiting for one, kept from it.
    Mark { header: HEADER, cookie: 9, at_ns: 50, spent_ns: [1, 2, 3, 4], what: 2, flags }
}

fn reduced(of_client: bool, throttled: Option<u64>) -> Event {
    let spent = cpu::Spent { on_cpu: 2, runnable: 3, throttled, blocked: 1 };
    let mark = cpu::Mark { cookie: 9, tgid: HEADER.tgid, at: Time(50), of_client, what: 2, spent };
    Event::Cpu(cpu::Event::Mark(mark))
}

/// One record of every kind, and what becomes of it.
pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    vec![
        (bytes(mark(OF_CLIENT | TELLS_THROTTLED), b""), reduced(true, Some(4))),
        (bytes(mark(0), b""), reduced(false, None)),
    ]
}
