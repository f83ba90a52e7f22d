//! Writes to standard output and error: when, by whom, how many bytes; never what.

use observer_ebpf::{
    Family,
    control::role,
    wire::output::{Output, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, chars, fixed,
    spec::{Spec, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::Output,
    gives: "the first output, and so the end of most starts",
    cost: "a comparison at the exit of write, writev, sendfile, splice; a hash look-up for descriptors 1 and 2",
    hooks: &[
        syscall!("write", "exit_write", ["fd", "buf", "count"]),
        syscall!("writev", "exit_writev", ["fd", "vec", "vlen"]),
        syscall!("sendfile64", "exit_sendfile", ["out_fd", "in_fd"]),
        syscall!("splice", "exit_splice", ["fd_in", "off_in", "fd_out"]),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Write,
    Writev,
    Sendfile,
    Splice,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Op::Write => "write",
            Op::Writev => "writev",
            Op::Sendfile => "sendfile",
            Op::Splice => "splice",
        }
    }
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
    let (wire, _) = fixed::<Output>(bytes)?;
    let op = match wire.op {
        op::WRITE => Op::Write,
        op::WRITEV => Op::Writev,
        op::SENDFILE => Op::Sendfile,
        op::SPLICE => Op::Splice,
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
    /// Whether bytes went to standard output or error.
    pub fn is_standard_output(&self) -> bool {
        (self.fd == 1 || self.fd == 2) && self.call.ret > 0
    }

    pub fn is_of_payload(&self) -> bool {
        self.role & role::PAYLOAD != 0
    }
}
