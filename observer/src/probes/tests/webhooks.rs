//! Connections to webhooks.

use observer_ebpf::wire::{
    packet::Owner as WireOwner,
    webhook::{Connection, Flow, Head, Moved, flow, head, known, what},
};

use super::*;
use crate::probes::{packet, webhook};

const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];

fn moved() -> Moved {
    let mut request = Flow { first_ns: 50, last_ns: 51, bytes: 600, records: 2, ..Flow::default() };
    request.record_ns[0] = 50;
    request.record_len[0] = 53;
    request.flags = flow::COUNTED | flow::HEARD_OF | flow::GAP;
    (request.next, request.acknowledged) = (5, u32::MAX);
    let owner = WireOwner { tgid: 7, tid: 8, start_ns: 41, comm: comm("k3s"), ..WireOwner::default() };
    let connection = Connection {
        local: MAPPED,
        remote: [0xfd; 16],
        peer: [0; 16],
        local_port: 40_000,
        remote_port: 443,
        peer_port: 0,
        endpoint: 1,
        flags: known::CLIENT | known::TLS,
        syns: 2,
        syn_ns: 45,
        established_ns: 46,
        ticket_len: 250,
        request,
        ..Connection::default()
    };
    Moved { header: HEADER, cookie: 9, what: what::REQUEST, candidate: 0, owner, connection }
}

fn reduced() -> webhook::Moved {
    let owner = packet::Owner {
        tgid: 7,
        tid: 8,
        start: Time(41),
        init: None,
        role: 0,
        cgroup: process::CgroupIds::default(),
        comm: "k3s".into(),
    };
    let request = webhook::Flow {
        first: Some(Time(50)),
        last: Some(Time(51)),
        seen: None,
        bytes: 600,
        records: 2,
        first_records: vec![webhook::TlsRecord { time: Time(50), len: 53 }],
        again: 0,
        // Numbers wrap around.
        unacknowledged: Some(6),
        gap: true,
    };
    let connection = webhook::Connection {
        local: "10.0.0.1:40000".parse().unwrap(),
        remote: "[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd]:443".parse().unwrap(),
        peer: None,
        endpoint: 1,
        flags: known::CLIENT | known::TLS,
        syns: 2,
        syn: Some(Time(45)),
        established: Some(Time(46)),
        hello: None,
        secured: None,
        ticket_len: Some(250),
        request,
        answer: webhook::Flow::default(),
    };
    webhook::Moved { cookie: 9, what: what::REQUEST, candidate: None, owner: Some(owner), connection }
}

/// One record of every kind, and what becomes of it.
pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let text = b"HTTP/1.1 200 OK";
    let answer = Head { header: HEADER, cookie: 9, of: head::ANSWER, len: text.len() as u32 };
    let read = webhook::head::Head::Answer(Some(200));
    vec![
        (bytes(moved(), b""), Event::Webhook(webhook::Event::Moved(Box::new(reduced())))),
        (bytes(answer, text), Event::Webhook(webhook::Event::Head { cookie: 9, head: read })),
    ]
}

#[test]
fn what_is_acknowledged_beyond_what_was_seen_is_all_of_it() {
    let mut wire = moved();
    (wire.connection.request.next, wire.connection.request.acknowledged) = (5, 6);
    let Event::Webhook(webhook::Event::Moved(moved)) = reduce(&bytes(wire, b"")).unwrap().record.event else {
        panic!("it is one of a webhook");
    };
    assert_eq!(moved.connection.request.unacknowledged, Some(0));
}

#[test]
fn a_head_of_nothing_known_is_an_error() {
    let head = Head { header: HEADER, cookie: 9, of: 3, len: 0 };
    assert_eq!(reduce(&bytes(head, b"")), Err(Malformed::Operation(3)));
}

/// Nothing of a head but what is named gets past the decoder.
#[test]
fn content_is_dropped() {
    let text = b"POST /v1/admit?token=secret&timeout=5s HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n{\"secret\":1}";
    let head = Head { header: HEADER, cookie: 9, of: head::REQUEST, len: text.len() as u32 };
    let record = format!("{:?}", reduce(&bytes(head, text)).unwrap());
    assert!(record.contains("/v1/admit") && !record.contains("secret"), "{record}");
}
