//! TCP connections that containers and engines open, how they fare, and packets that this node drops on their way.

use std::net::SocketAddr;

use observer_ebpf::{
    Family,
    wire::{
        net::{self as wire, handshake as outcome, state},
        packet::protocol,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, fixed,
    packet::{self, Owner, Transport},
    spec::{Hook, Rung, Spec, syscall, tracepoint},
};
use crate::time::Time;

pub const SPEC: Spec = Spec {
    family: Family::Net,
    gives: "what became of connections: refused, unreachable, unanswered, reset; why TLS handshakes failed; packets \
            that this node dropped",
    cost: "a comparison at every state change of a TCP socket, a hash look-up at the end of each and at \
           retransmissions; an array look-up at every packet dropped; a hash look-up at every packet of a socket",
    hooks: &[
        tracepoint!("inet_sock_set_state", "net_state_btf", "net_state_raw", ["sock", "int", "int"]),
        tracepoint!("tcp_retransmit_skb", "net_retransmit_btf", "net_retransmit_raw", ["sock", "sk_buff"]),
        tracepoint!("tcp_receive_reset", "net_reset_btf", "net_reset_raw", ["sock"]),
        // Without a reason before 5.17.
        tracepoint!(optional "kfree_skb", "net_drop_btf", "net_drop_raw", ["sk_buff", "", ""]),
        syscall!("connect", "exit_connect", ["fd", "uservaddr"]),
        Hook {
            name: "packets",
            required: true,
            covered_by: None,
            rungs: &[Rung::Packets { ingress: "net_in", egress: "net_out" }],
        },
    ],
};

/// The one of them by which rules drop.
pub const OF_A_RULE: &str = "NETFILTER_DROP";

/// Why packets are dropped that somebody may miss. Whatever else they are dropped for is how TCP and the tables of
/// the kernel work: old segments, duplicates, queues of sockets that close.
pub const REASONS: &[&str] = &[
    "NO_SOCKET",
    OF_A_RULE,
    "SOCKET_RCVBUFF",
    "SOCKET_BACKLOG",
    "SOCKET_FILTER",
    "PROTO_MEM",
    "BPF_CGROUP_EGRESS",
    "IP_OUTNOROUTES",
    "IP_INNOROUTES",
    "IP_INADDRERRORS",
    "IP_INVALID_DEST",
    "IP_INVALID_SOURCE",
    "IP_LOCAL_SOURCE",
    "IP_RPFILTER",
    "IPV6DISABLED",
    "NEIGH_CREATEFAIL",
    "NEIGH_FAILED",
    "NEIGH_QUEUEFULL",
    "NEIGH_DEAD",
    "NEIGH_HH_FILLFAIL",
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "QDISC_EGRESS_DROP",
    "TC_EGRESS",
    "TC_INGRESS",
    "TC_RECLASSIFY_LOOP",
    "CPU_BACKLOG",
    "FULL_RING",
    "NOMEM",
    "XDP",
    "XFRM_POLICY",
    "DEV_READY",
    "DEV_HDR",
    "PKT_TOO_BIG",
    "TCP_MD5NOTFOUND",
    "TCP_MD5UNEXPECTED",
    "TCP_MD5FAILURE",
    "TCP_CSUM",
    "UDP_CSUM",
    "IP_CSUM",
    "TCP_LISTEN_OVERFLOW",
    "TCP_MINTTL",
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Connection(Connection),
    /// `connect` failed before anything was sent.
    Refused {
        owner: Owner,
        /// `None`: what was asked for could not be read.
        remote: Option<SocketAddr>,
        errno: i32,
    },
    Dropped(Dropped),
    Handshake(Handshake),
}

/// What became of a TLS handshake of a watched process, as its client saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handshake {
    pub owner: Owner,
    pub cookie: u64,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// When the connection was asked for.
    pub began: Time,
    pub end: HandshakeEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandshakeEnd {
    Done,
    /// A side said why it ended it.
    Alert {
        of_client: bool,
        level: u8,
        description: u8,
    },
    /// A side said something of the length of an alert.
    HiddenAlert {
        of_client: bool,
    },
}

/// A connection of a watched process at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    pub owner: Owner,
    pub cookie: u64,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: State,
    pub began: Time,
    pub established: Option<Time>,
    pub errno: Option<i32>,
    /// Packets sent again so far; of those, before it was established.
    pub retransmits: u32,
    pub syn_retransmits: u32,
    /// Smoothed round trip, nanoseconds.
    pub rtt_ns: Option<u64>,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub netns: u32,
    /// The other side has reset it.
    pub was_reset: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Established,
    Failed,
    Closed,
    Stalled,
}

/// A packet that this node dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub transport: Transport,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// `enum skb_drop_reason` of the kernel that it was dropped by.
    pub reason: u32,
    /// Number of the network namespace where it was dropped.
    pub netns: Option<u32>,
    /// Like this one, so far.
    pub count: u32,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    match number {
        1 => connection(bytes).map(Event::Connection),
        2 => {
            let (wire, _) = fixed::<wire::Refused>(bytes)?;
            Ok(Event::Refused {
                owner: packet::owner(&wire.owner).ok_or(Malformed::Operation(0))?,
                remote: (wire.remote_port != 0).then(|| packet::address(wire.remote, wire.remote_port)),
                errno: wire.error as i32,
            })
        }
        3 => dropped(bytes).map(Event::Dropped),
        4 => handshake(bytes).map(Event::Handshake),
        _ => Err(Malformed::Operation(u32::from(number))),
    }
}

fn connection(bytes: &[u8]) -> Result<Connection, Malformed> {
    let (wire, _) = fixed::<wire::Connection>(bytes)?;
    let state = match wire.state {
        state::ESTABLISHED => State::Established,
        state::FAILED => State::Failed,
        state::CLOSED => State::Closed,
        state::STALLED => State::Stalled,
        other => return Err(Malformed::Operation(other)),
    };
    Ok(Connection {
        owner: packet::owner(&wire.owner).ok_or(Malformed::Operation(0))?,
        cookie: wire.cookie,
        local: packet::address(wire.local, wire.local_port),
        remote: packet::address(wire.remote, wire.remote_port),
        state,
        began: Time(wire.began_ns),
        established: (wire.established_ns != 0).then_some(Time(wire.established_ns)),
        errno: (wire.error != 0).then_some(wire.error as i32),
        retransmits: wire.retransmits,
        syn_retransmits: wire.syn_retransmits,
        rtt_ns: (wire.rtt_us != 0).then(|| u64::from(wire.rtt_us) * 1000),
        // The first packet counts as a byte.
        bytes_acked: wire.bytes_acked.saturating_sub(1),
        bytes_received: wire.bytes_received,
        netns: wire.netns,
        was_reset: wire.was_reset != 0,
    })
}

fn dropped(bytes: &[u8]) -> Result<Dropped, Malformed> {
    let (wire, _) = fixed::<wire::Dropped>(bytes)?;
    let transport = match wire.protocol {
        protocol::TCP => Transport::Tcp,
        protocol::UDP => Transport::Udp,
        other => return Err(Malformed::Operation(u32::from(other))),
    };
    Ok(Dropped {
        transport,
        source: packet::address(wire.source, wire.source_port),
        destination: packet::address(wire.destination, wire.destination_port),
        reason: wire.reason,
        netns: (wire.netns != 0).then_some(wire.netns),
        count: wire.count,
    })
}

fn handshake(bytes: &[u8]) -> Result<Handshake, Malformed> {
    let (wire, _) = fixed::<wire::Handshake>(bytes)?;
    let of_client = wire.of_client != 0;
    let end = match wire.outcome {
        outcome::DONE => HandshakeEnd::Done,
        outcome::ALERT => HandshakeEnd::Alert { of_client, level: wire.level, description: wire.description },
        outcome::HIDDEN_ALERT => HandshakeEnd::HiddenAlert { of_client },
        other => return Err(Malformed::Operation(other)),
    };
    Ok(Handshake {
        owner: packet::owner(&wire.owner).ok_or(Malformed::Operation(0))?,
        cookie: wire.cookie,
        local: packet::address(wire.local, wire.local_port),
        remote: packet::address(wire.remote, wire.remote_port),
        began: Time(wire.began_ns),
        end,
    })
}
