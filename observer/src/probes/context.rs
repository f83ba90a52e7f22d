//! Requests of HTTP/1 that threads of containers have in hand, and the trace that each belongs to, as W3C's `traceparent`
//! says it. Nothing else of a request gets past [`decode`].

mod head;

use observer_ebpf::{
    Family,
    wire::context::{Done, MAX_HEAD, Read as Wire, Skipped},
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, fixed,
    packet::{self, Owner},
    spec::{Spec, tracepoint},
};
use crate::time::Time;
pub(super) use head::parent;

pub const SPEC: Spec = Spec {
    family: Family::Context,
    gives: "which trace a request belongs to that a thread of a container has in hand (`join: context`)",
    cost: "a look-up whenever something was received from or sent to a socket, whose ever it is; a copy of the first bytes \
           of each request of HTTP/1 that a container reads. Used only where spans are received or sent",
    hooks: &[
        // Since Linux 6.3.
        tracepoint!(
            "sock_recv_length",
            "context_received_btf",
            "context_received_raw",
            ["sock", "int", "int"]
        ),
        tracepoint!("sock_send_length", "context_sent_btf", "context_sent_raw", ["sock", "int", "int"]),
        tracepoint!("inet_sock_set_state", "context_state_btf", "context_state_raw", ["sock", "int", "int"]),
    ],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// What was read is no request of HTTP/1.
    Ordinary,
    Read(Read),
    /// Something was sent on its socket, or nothing more can be.
    Done(Id, By),
    /// Requests of this process were not looked at: there were too many.
    Skipped {
        reader: Owner,
        count: u64,
    },
}

/// A thread, and when it has read a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    pub tgid: u32,
    pub tid: u32,
    pub read: Time,
}

/// The thread that ran when a request was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By(pub u32);

/// A request was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Read {
    pub id: Id,
    /// The container's init, as the kernel side knows it.
    pub init: Option<u32>,
    /// Whoever reads from its socket waits until there is something: its thread has but one request in hand.
    pub waits: bool,
    /// `None`: it names none, or none that is valid within what was handed over.
    pub context: Option<Parent>,
}

/// What a request says of the trace that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub trace: [u8; 16],
    /// The span that has sent it.
    pub span: [u8; 8],
    /// W3C's.
    pub flags: u8,
}

impl Parent {
    /// Whether who has sent it records its trace.
    pub fn is_sampled(self) -> bool {
        self.flags & 1 != 0
    }
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    match number {
        1 => {
            let (wire, text) = fixed::<Wire>(bytes)?;
            let text = text.get(..wire.len as usize).ok_or(Malformed::Text)?;
            if text.len() > MAX_HEAD {
                return Err(Malformed::Text);
            }
            let Some(context) = head::context(text) else { return Ok(Event::Ordinary) };
            let id = id(wire.reader.tgid, wire.reader.tid, wire.read_ns);
            let init = (wire.reader.init != 0).then_some(wire.reader.init);
            Ok(Event::Read(Read { id, init, waits: wire.waits != 0, context }))
        }
        2 => {
            let (wire, _) = fixed::<Done>(bytes)?;
            Ok(Event::Done(id(wire.tgid, wire.tid, wire.read_ns), By(wire.by)))
        }
        3 => {
            let (wire, _) = fixed::<Skipped>(bytes)?;
            Ok(Event::Skipped { reader: packet::process(&wire.reader), count: wire.skipped })
        }
        other => Err(Malformed::Operation(u32::from(other))),
    }
}

fn id(tgid: u32, tid: u32, read_ns: u64) -> Id {
    Id { tgid, tid, read: Time(read_ns) }
}
