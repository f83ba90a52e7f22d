//! Requests, and what is kept of them.

use observer_ebpf::wire::{
    self,
    context::{Done, Read, Skipped},
};

use super::*;
use crate::probes::context::{By, Id, Parent};

const HEAD: &[u8] = b"GET /secret?token=hunter2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hunter2\r\n\
    traceparent: 00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01\r\n\r\n";

fn reader() -> wire::packet::Owner {
    wire::packet::Owner { tgid: 7, tid: 8, init: 9, role: 1, start_ns: 41, cgroup: IDS, comm: comm("app") }
}

fn read(len: u32) -> Read {
    Read { header: HEADER, reader: reader(), read_ns: 30, waits: 1, len }
}

pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let id = Id { tgid: 7, tid: 8, read: Time(30) };
    let context = Parent {
        trace: core::array::from_fn(|n| n as u8 + 1),
        span: core::array::from_fn(|n| n as u8 + 17),
        flags: 1,
    };
    let seen = context::Read { id, init: Some(9), waits: true, context: Some(context) };
    let done = Done { header: HEADER, read_ns: 30, tgid: 7, tid: 8, by: 5, pad: 0 };
    let skipped = Skipped { header: HEADER, reader: reader(), skipped: 3 };
    let told = context::Event::Skipped { reader: packet::process(&reader()), count: 3 };
    vec![
        (bytes(read(HEAD.len() as u32), HEAD), Event::Context(context::Event::Read(seen))),
        (bytes(read(3), b"GET"), Event::Context(context::Event::Ordinary)),
        (bytes(done, b""), Event::Context(context::Event::Done(id, By(5)))),
        (bytes(skipped, b""), Event::Context(told)),
    ]
}

#[test]
fn nothing_of_a_request_is_kept_but_its_trace() {
    let reduced = reduce(&bytes(read(HEAD.len() as u32), HEAD)).expect("a record");
    let text = format!("{reduced:?}");
    assert!(!text.contains("secret") && !text.contains("hunter2") && !text.contains("Host"), "{text}");
}
