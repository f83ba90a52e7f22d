//! Records of connections and of packets that were dropped.

use super::*;
use crate::probes::{
    net::{self, Connection, Dropped, Handshake, HandshakeEnd, State},
    packet::{Owner, Transport},
};

const NEAR: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 42, 0, 7];
const FAR: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

const OWNER: wire::packet::Owner = wire::packet::Owner {
    tgid: 7,
    tid: 8,
    init: 9,
    role: 16,
    start_ns: 41,
    cgroup: IDS,
    comm: *b"client\0\0\0\0\0\0\0\0\0\0",
};

fn owner() -> Owner {
    Owner {
        tgid: 7,
        tid: 8,
        start: Time(41),
        init: Some(9),
        role: 16,
        cgroup: IDS.into(),
        comm: "client".into(),
    }
}

fn connection(state: u32) -> wire::net::Connection {
    wire::net::Connection {
        header: HEADER,
        owner: OWNER,
        local: NEAR,
        remote: FAR,
        cookie: 5,
        began_ns: 30,
        established_ns: 0,
        bytes_acked: 0,
        bytes_received: 0,
        local_port: 41_000,
        remote_port: 443,
        error: 110,
        state,
        retransmits: 3,
        syn_retransmits: 3,
        rtt_us: 0,
        netns: 4,
        was_reset: 0,
    }
}

fn unanswered() -> Connection {
    Connection {
        owner: owner(),
        cookie: 5,
        local: "10.42.0.7:41000".parse().unwrap(),
        remote: "[fd00::1]:443".parse().unwrap(),
        state: State::Failed,
        began: Time(30),
        established: None,
        errno: Some(110),
        retransmits: 3,
        syn_retransmits: 3,
        rtt_ns: None,
        bytes_acked: 0,
        bytes_received: 0,
        netns: 4,
        was_reset: false,
    }
}

fn dropped(protocol: u8) -> wire::net::Dropped {
    wire::net::Dropped {
        header: HEADER,
        source: NEAR,
        destination: FAR,
        source_port: 41_000,
        destination_port: 443,
        reason: 8,
        netns: 0,
        count: 2,
        protocol,
        pad: [0; 7],
    }
}

fn handshake(outcome: u32) -> wire::net::Handshake {
    wire::net::Handshake {
        header: HEADER,
        owner: OWNER,
        local: NEAR,
        remote: FAR,
        cookie: 5,
        began_ns: 30,
        local_port: 41_000,
        remote_port: 443,
        outcome,
        level: 2,
        description: 48,
        of_client: 1,
        pad: [0; 5],
    }
}

fn shaken(end: HandshakeEnd) -> Event {
    Event::Net(net::Event::Handshake(Handshake {
        owner: owner(),
        cookie: 5,
        local: "10.42.0.7:41000".parse().unwrap(),
        remote: "[fd00::1]:443".parse().unwrap(),
        began: Time(30),
        end,
    }))
}

pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let refused = wire::net::Refused {
        header: HEADER,
        owner: OWNER,
        remote: FAR,
        error: 101,
        remote_port: 443,
        pad: 0,
    };
    let established = wire::net::Connection {
        established_ns: 33,
        bytes_acked: 8,
        bytes_received: 9,
        error: 0,
        rtt_us: 2,
        was_reset: 1,
        ..connection(wire::net::state::CLOSED)
    };
    let closed = Connection {
        state: State::Closed,
        established: Some(Time(33)),
        errno: None,
        rtt_ns: Some(2000),
        bytes_acked: 7,
        bytes_received: 9,
        was_reset: true,
        ..unanswered()
    };
    let drop = Dropped {
        transport: Transport::Tcp,
        source: "10.42.0.7:41000".parse().unwrap(),
        destination: "[fd00::1]:443".parse().unwrap(),
        reason: 8,
        netns: None,
        count: 2,
    };
    let remote = Some("[fd00::1]:443".parse().unwrap());
    vec![
        (bytes(connection(wire::net::state::FAILED), b""), Event::Net(net::Event::Connection(unanswered()))),
        (bytes(established, b""), Event::Net(net::Event::Connection(closed))),
        (bytes(refused, b""), Event::Net(net::Event::Refused { owner: owner(), remote, errno: 101 })),
        (bytes(dropped(6), b""), Event::Net(net::Event::Dropped(drop))),
        (bytes(handshake(1), b""), shaken(HandshakeEnd::Done)),
        (
            bytes(handshake(2), b""),
            shaken(HandshakeEnd::Alert { of_client: true, level: 2, description: 48 }),
        ),
        (bytes(handshake(3), b""), shaken(HandshakeEnd::HiddenAlert { of_client: true })),
    ]
}

#[test]
fn what_no_kernel_says_is_refused() {
    assert!(reduce(&bytes(connection(9), b"")).is_err(), "no such state");
    assert!(reduce(&bytes(dropped(1), b"")).is_err(), "no ports");
    assert!(reduce(&bytes(handshake(4), b"")).is_err(), "no such end");
    let nobody = wire::net::Connection { owner: Default::default(), ..connection(1) };
    assert!(reduce(&bytes(nobody, b"")).is_err(), "whose it is was known when it was asked for");
}
