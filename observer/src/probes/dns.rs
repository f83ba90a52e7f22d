//! Messages between this node's sockets and the domain name servers that they ask, and errors of such sockets.

mod message;
mod resolver;
mod stream;

use observer_ebpf::{
    Family,
    wire::{
        dns::{Message as Wire, SocketError},
        packet::protocol,
    },
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

use super::{
    Malformed, fixed,
    packet::{self, Flow, Owner},
    spec::{Hook, Rung, Spec, tracepoint},
};
pub use message::{Message, NotAMessage, Question, RecordType, parse};
pub use resolver::{GETADDRINFO, Unresolved};
pub use stream::Streams;

pub const SPEC: Spec = Spec {
    family: Family::Dns,
    gives: "which names are looked up, by whom, and what came of it",
    cost: "a comparison at every packet of a socket; a breakpoint at getaddrinfo of every process that has the same \
           C library file as a container",
    hooks: &[
        Hook {
            name: "packets",
            required: true,
            covered_by: None,
            rungs: &[Rung::Packets { ingress: "dns_ingress", egress: "dns_egress" }],
        },
        tracepoint!(optional "inet_sk_error_report", "dns_error_btf", "dns_error_raw", ["sock"]),
    ],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Packet(Packet),
    /// The socket was told of an error, which calls of `recv` may not show.
    Failed(Failed),
    /// A look-up has failed, and nobody was asked.
    Unresolved(Unresolved),
}

/// A datagram or segment, without its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packet {
    pub flow: Flow,
    /// From this node's socket, else to it.
    pub sent: bool,
    pub owner: Option<Owner>,
    /// The messages that end in it, as far as they could be read.
    pub messages: Vec<Message>,
    /// What should have been a message and is none.
    pub garbage: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub cookie: u64,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub errno: i32,
    pub owner: Option<Owner>,
}

/// `streams`: what connections have said so far.
pub fn decode(number: u8, bytes: &[u8], streams: &mut Streams) -> Result<Event, Malformed> {
    match number {
        1 => packet(bytes, streams).map(Event::Packet),
        2 => fixed::<SocketError>(bytes).map(|(wire, _)| {
            Event::Failed(Failed {
                cookie: wire.cookie,
                local: packet::address(wire.local, wire.local_port),
                remote: packet::address(wire.remote, wire.remote_port),
                errno: i32::try_from(wire.errno).unwrap_or_default(),
                owner: packet::owner(&wire.owner),
            })
        }),
        3 => resolver::unresolved(bytes).map(Event::Unresolved),
        _ => Err(Malformed::Operation(u32::from(number))),
    }
}

fn packet(bytes: &[u8], streams: &mut Streams) -> Result<Packet, Malformed> {
    let (wire, payload) = fixed::<Wire>(bytes)?;
    if payload.len() != wire.copied as usize {
        return Err(Malformed::Text);
    }
    let sent = packet::is_sent(&wire.packet)?;
    let mut found = Packet {
        flow: packet::flow(&wire.packet)?,
        sent,
        owner: packet::owner(&wire.owner),
        messages: Vec::new(),
        garbage: 0,
    };
    if payload.is_empty() {
        // It could not be copied, which the header says.
        return Ok(found);
    }
    let mut take = |message: &[u8]| match parse(message) {
        Ok(message) => found.messages.push(message),
        Err(_) => found.garbage += 1,
    };
    if wire.packet.protocol == protocol::TCP {
        streams.segment(&wire.packet, payload, take);
    } else {
        take(payload);
    }
    Ok(found)
}
