//! Records of packets, and of errors of sockets.

use observer_ebpf::wire::packet as on_wire;

use super::*;
use crate::probes::{
    dns::{Failed, Message, Packet, Question, RecordType, Unresolved},
    packet::{Flow, Owner, Transport},
};

const OWNER: on_wire::Owner = on_wire::Owner {
    tgid: 7,
    tid: 8,
    init: 9,
    role: 16,
    start_ns: 41,
    cgroup: IDS,
    comm: *b"getent\0\0\0\0\0\0\0\0\0\0",
};

fn owner() -> Option<Owner> {
    let (cgroup, comm) = (IDS.into(), "getent".to_owned());
    Some(Owner { tgid: 7, tid: 8, start: Time(41), init: Some(9), role: 16, cgroup, comm })
}

const fn mapped(last: u8) -> on_wire::Address {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]
}

fn packet(payload: &[u8]) -> on_wire::Packet {
    on_wire::Packet {
        cookie: 77,
        local: mapped(2),
        remote: mapped(5),
        peer: mapped(10),
        local_port: 4_000,
        remote_port: 5_353,
        peer_port: 53,
        protocol: on_wire::protocol::UDP,
        direction: on_wire::direction::OUT,
        payload_len: payload.len() as u32,
        ..on_wire::Packet::default()
    }
}

fn message(packet: on_wire::Packet, payload: &[u8]) -> Vec<u8> {
    let copied = payload.len() as u32;
    bytes(wire::dns::Message { header: HEADER, packet, owner: OWNER, copied, pad: 0 }, payload)
}

fn flow() -> Flow {
    Flow {
        cookie: 77,
        transport: Transport::Udp,
        local: ([10, 0, 0, 2], 4_000).into(),
        remote: ([10, 0, 0, 5], 5_353).into(),
        peer: Some(([10, 0, 0, 10], 53).into()),
    }
}

const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02db\x04test\0\0\x1c\0\x01";

fn asked() -> Message {
    Message {
        id: 0x1234,
        is_reply: false,
        opcode: 0,
        rcode: 0,
        is_truncated: false,
        question: Some(Question { name: "db.test".into(), qtype: RecordType::AAAA }),
        answers: 0,
        matching: Some(0),
    }
}

pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let failed = wire::dns::SocketError {
        header: HEADER,
        cookie: 77,
        local: mapped(2),
        remote: [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        local_port: 4_000,
        remote_port: 53,
        errno: 111,
        owner: OWNER,
    };
    let unresolved = wire::dns::Unresolved {
        header: HEADER,
        owner: OWNER,
        began_ns: 40,
        server: mapped(10),
        errno: 101,
        result: (-3_i32) as u32,
        ai_flags: 32,
        ai_family: 2,
        server_port: 53,
        name_len: 7,
        pad: [0; 4],
    };
    let call = Unresolved {
        owner: owner().unwrap(),
        began: Time(40),
        name: Some("db.test".to_owned()),
        result: -3,
        flags: 32,
        family: 2,
        refused: Some((([10, 0, 0, 10], 53).into(), 101)),
    };
    let seen = Packet { flow: flow(), sent: true, owner: owner(), messages: vec![asked()], garbage: 0 };
    vec![
        (message(packet(QUERY), QUERY), Event::Dns(dns::Event::Packet(seen))),
        (
            bytes(failed, b""),
            Event::Dns(dns::Event::Failed(Failed {
                cookie: 77,
                local: ([10, 0, 0, 2], 4_000).into(),
                remote: ([0xfd00, 0, 0, 0, 0, 0, 0, 1], 53).into(),
                errno: 111,
                owner: owner(),
            })),
        ),
        (bytes(unresolved, b"db.test"), Event::Dns(dns::Event::Unresolved(call))),
    ]
}

fn seen(bytes: &[u8]) -> Packet {
    match reduce(bytes).unwrap().record.event {
        Event::Dns(dns::Event::Packet(packet)) => packet,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_socket_without_peer_and_owner_has_none() {
    let alone = on_wire::Packet { peer: [0; 16], peer_port: 0, ..packet(QUERY) };
    let copied = QUERY.len() as u32;
    let owner = on_wire::Owner::default();
    let record = wire::dns::Message { header: HEADER, packet: alone, owner, copied, pad: 0 };
    let found = seen(&bytes(record, QUERY));
    assert_eq!((found.flow.peer, found.owner), (None, None));
    assert_eq!(found.messages, [asked()]);
}

#[test]
fn what_is_no_message_is_counted_and_not_kept() {
    let secret = b"\0\x01hunter2";
    let found = seen(&message(packet(secret), secret));
    assert_eq!((found.messages.len(), found.garbage), (0, 1));
    assert!(!format!("{found:?}").contains("hunter2"));
}

#[test]
fn of_an_answer_nothing_is_kept_but_what_kind_it_is() {
    let secret =
        [&QUERY[..2], &[0x81, 0x80, 0, 1, 0, 1], &QUERY[8..], b"\xc0\x0c\0\x1c\0\x01\0\0\0\x1e\0\x07hunter2"];
    let secret = secret.concat();
    let found = seen(&message(packet(&secret), &secret));
    assert_eq!((found.messages[0].answers, found.messages[0].matching), (1, Some(1)));
    assert!(!format!("{found:?}").contains("hunter2"));
}

#[test]
fn a_connection_s_messages_may_come_in_pieces() {
    let framed = [&[0, QUERY.len() as u8][..], QUERY].concat();
    let (one, two) = framed.split_at(9);
    let mut reducer = Reducer::default();
    let mut of = |payload: &[u8], sequence| {
        let tcp = on_wire::Packet { protocol: on_wire::protocol::TCP, sequence, ..packet(payload) };
        match reducer.reduce(&message(tcp, payload)).unwrap().record.event {
            Event::Dns(dns::Event::Packet(packet)) => packet.messages,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(one, 100), []);
    assert_eq!(of(two, 109), [asked()]);
}

#[test]
fn a_direction_or_protocol_that_there_is_not_is_an_error() {
    for packet in
        [on_wire::Packet { direction: 2, ..packet(QUERY) }, on_wire::Packet { protocol: 1, ..packet(QUERY) }]
    {
        assert!(matches!(reduce(&message(packet, QUERY)), Err(Malformed::Operation(_))));
    }
}
