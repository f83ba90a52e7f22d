//! Calls of webhooks, from the packets of connections to endpoints that are watched.
//!
//! Of the heads of messages the parts named in [`head`] are kept, and nothing else.

mod flow;
pub mod head;
mod target;

use std::net::SocketAddr;

use observer_ebpf::{
    Family,
    wire::webhook::{self as wire, known},
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, fixed,
    packet::{Owner, address, owner},
    spec::{Hook, Rung, Spec},
};
use crate::time::Time;
pub use flow::{Flow, TlsRecord};
pub use target::{Target, WrongTarget};

pub const SPEC: Spec = Spec {
    family: Family::Webhook,
    gives: "calls of webhooks: latency, where it went, what came of them",
    cost: "a look at the ports of every packet, while an endpoint is watched",
    hooks: &[Hook {
        name: "packets",
        required: true,
        covered_by: None,
        rungs: &[Rung::Packets { ingress: "webhook_in", egress: "webhook_out" }],
    }],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Something happened on a connection: all that is known of it now.
    Moved(Box<Moved>),
    /// What the first bytes of a message say.
    Head { cookie: u64, head: head::Head },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub cookie: u64,
    /// Bits of `observer_ebpf::wire::webhook::what`.
    pub what: u32,
    /// A process that may be the owner: to be verified.
    pub candidate: Option<u32>,
    pub owner: Option<Owner>,
    pub connection: Connection,
}

/// A connection as the socket of one of its sides knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Whom the socket is connected to, as it asked, before addresses were translated.
    pub peer: Option<SocketAddr>,
    /// Which of the targets' endpoints it was that matched: see [`Target`].
    pub endpoint: u16,
    /// Bits of `observer_ebpf::wire::webhook::known`.
    pub flags: u32,
    /// How often the client asked for the connection.
    pub syns: u32,
    pub syn: Option<Time>,
    pub established: Option<Time>,
    /// The first record of the TLS handshake, and the last.
    pub hello: Option<Time>,
    pub secured: Option<Time>,
    /// How long a ticket for later sessions is that came before the first request.
    pub ticket_len: Option<u16>,
    pub request: Flow,
    pub answer: Flow,
}

impl Connection {
    pub fn is(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }

    pub fn is_clients(&self) -> bool {
        self.is(known::CLIENT)
    }

    /// Client and server, as packets name them.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        if self.is_clients() { (self.local, self.remote) } else { (self.remote, self.local) }
    }
}

pub(super) fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    match number {
        1 => {
            let (record, _) = fixed::<wire::Moved>(bytes)?;
            Ok(Event::Moved(Box::new(Moved {
                cookie: record.cookie,
                what: record.what,
                candidate: (record.candidate != 0).then_some(record.candidate),
                owner: owner(&record.owner),
                connection: connection(&record.connection),
            })))
        }
        2 => {
            let (record, rest) = fixed::<wire::Head>(bytes)?;
            let bytes = rest.get(..record.len as usize).ok_or(Malformed::Text)?;
            let head = match record.of {
                wire::head::HELLO => head::Head::Hello(head::hello(bytes)),
                wire::head::REQUEST => head::Head::Request(head::request(bytes)),
                wire::head::ANSWER => head::Head::Answer(head::answer(bytes)),
                of => return Err(Malformed::Operation(of)),
            };
            Ok(Event::Head { cookie: record.cookie, head })
        }
        _ => Err(Malformed::Operation(number.into())),
    }
}

fn connection(wire: &wire::Connection) -> Connection {
    let peer = address(wire.peer, wire.peer_port);
    Connection {
        local: address(wire.local, wire.local_port),
        remote: address(wire.remote, wire.remote_port),
        peer: (wire.peer_port != 0).then_some(peer),
        endpoint: wire.endpoint,
        flags: wire.flags,
        syns: wire.syns,
        syn: time(wire.syn_ns),
        established: time(wire.established_ns),
        hello: time(wire.hello_ns),
        secured: time(wire.secured_ns),
        ticket_len: u16::try_from(wire.ticket_len).ok().filter(|len| *len != 0),
        request: Flow::of(&wire.request),
        answer: Flow::of(&wire.answer),
    }
}

fn time(ns: u64) -> Option<Time> {
    (ns != 0).then_some(Time(ns))
}
