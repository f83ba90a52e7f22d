//! Calls that failed for want of room.

use super::*;
use crate::probes::storage;
use observer_ebpf::wire::storage::{Failed, op};

pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let caller = wire::packet::Owner {
        tgid: 7,
        tid: 8,
        init: 5,
        role: 16,
        start_ns: 41,
        cgroup: IDS,
        comm: comm("dd"),
    };
    let write = failed(op::WRITE, caller);
    let alike = storage::Alike {
        who: 5,
        op: storage::Op::Write,
        errno: 28,
        device: storage::Device { major: 8, minor: 17 },
    };
    let told = storage::Event {
        alike,
        caller: Some(packet::process(&caller)),
        count: 3,
        parent: 6,
        asked_bytes: Some(512),
        fd: 4,
        kind: Some("ext4".into()),
        text: Some("file".into()),
    };
    let unknown = wire::packet::Owner { tgid: 0, ..caller };
    let key = Failed { asked: 0, device: 0, ..failed(op::KEYCTL, unknown) };
    let of_key = storage::Event {
        alike: storage::Alike { op: storage::Op::Keyctl, device: storage::Device::default(), ..alike },
        caller: None,
        asked_bytes: None,
        kind: None,
        ..told.clone()
    };
    vec![(bytes(write, b"file"), Event::Storage(told)), (bytes(key, b"file"), Event::Storage(of_key))]
}

fn failed(op: u32, caller: wire::packet::Owner) -> Failed {
    Failed {
        header: HEADER,
        caller,
        count: 3,
        asked: 512,
        errno: 28,
        op,
        device: 8 << 20 | 17,
        fd: 4,
        // What is behind the zero is whatever the kernel has there.
        kind: *b"ext4\0noise of it",
        who: 5,
        parent: 6,
        text_len: 4,
        pad: 0,
    }
}

#[test]
fn calls_that_there_are_not_are_refused() {
    let unknown = failed(op::KEYCTL + 1, wire::packet::Owner::default());
    assert_eq!(reduce(&bytes(unknown, b"file")), Err(Malformed::Operation(op::KEYCTL + 1)));
    let cut = failed(op::WRITE, wire::packet::Owner::default());
    assert_eq!(reduce(&bytes(cut, b"fi")), Err(Malformed::Text));
}
