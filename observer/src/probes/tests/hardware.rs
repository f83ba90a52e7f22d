//! Requests to block devices that took long.

use observer_ebpf::wire::hardware::{MAX_NAME, Slow};

use super::*;
use crate::probes::{hardware, storage::Device};

fn slow(op: u32) -> Slow {
    let mut name = [0; MAX_NAME];
    name[..3].copy_from_slice(b"sda");
    Slow { header: HEADER, took_ns: 150, device: 8 << 20 | 1, op, bytes: 4096, count: 2, name }
}

fn reduced(op: hardware::Op) -> Event {
    let device = Device { major: 8, minor: 1 };
    let slow = hardware::Slow { device, name: "sda".into(), op, took_ns: 150, bytes: 4096, count: 2 };
    Event::Hardware(hardware::Event::Slow(slow))
}

/// One record of every kind, and what becomes of it.
pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let ops = [hardware::Op::Read, hardware::Op::Write, hardware::Op::Flush];
    ops.into_iter().zip(0..).map(|(op, number)| (bytes(slow(number), b""), reduced(op))).collect()
}

#[test]
fn an_operation_that_there_is_not_is_refused() {
    assert_eq!(reduce(&bytes(slow(3), b"")), Err(Malformed::Operation(3)));
}
