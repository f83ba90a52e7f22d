//! Sockets of containers: listen; and accept of a runtime that waits to be started (youki).

use observer_ebpf::{
    Family,
    control::role,
    wire::socket::{Socket, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, chars, fixed,
    spec::{Spec, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::Socket,
    gives: "when a server listens, and so the end of its start",
    cost: "a hash look-up at entry and exit of listen and accept",
    hooks: &[
        syscall!("listen", "enter_payload", "exit_listen", ["fd"]),
        syscall!("accept", "enter_runtime", "exit_accept", ["fd"]),
        syscall!("accept4", "enter_runtime", "exit_accept4", ["fd"]),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Listen,
    Accept,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub call: Call,
    pub fd: u32,
    pub op: Op,
    pub role: u32,
    /// The container's init as the kernel side knows it.
    pub init: Option<u32>,
    pub major_faults: u64,
    pub read_bytes: u64,
    pub comm: String,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, _) = fixed::<Socket>(bytes)?;
    let op = match wire.op {
        op::LISTEN => Op::Listen,
        op::ACCEPT => Op::Accept,
        other => return Err(Malformed::Operation(other)),
    };
    Ok(Event {
        call: Call::from_wire(&wire.header, wire.syscall),
        fd: wire.fd,
        op,
        role: wire.role,
        init: (wire.init != 0).then_some(wire.init),
        major_faults: wire.major_faults,
        read_bytes: wire.read_bytes,
        comm: chars::comm(&wire.comm),
    })
}

impl Event {
    pub fn is_listening(&self) -> bool {
        self.op == Op::Listen && self.call.ret == 0
    }

    pub fn is_of_payload(&self) -> bool {
        self.role & role::PAYLOAD != 0
    }
}
