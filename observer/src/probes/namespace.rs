//! New namespaces: clone, clone3, unshare, setns; and the host name that is set inside.

use observer_ebpf::{
    Family,
    wire::namespace::{Namespace, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, fixed,
    spec::{Spec, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::Namespace,
    gives: "the namespaces phase, and errors such as EPERM and EAGAIN",
    cost: "a hash look-up at entry and exit of clone, unshare, setns",
    hooks: &[
        syscall!("clone", "enter_engine", "exit_clone", ["clone_flags"]),
        syscall!("clone3", "enter_engine", "exit_clone3", ["uargs"]),
        syscall!("unshare", "enter_engine", "exit_unshare", ["unshare_flags"]),
        syscall!("setns", "enter_runtime", "exit_setns", ["fd", "flags"]),
        syscall!("sethostname", "enter_runtime", "exit_sethostname", ["name"]),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Clone,
    Clone3,
    Unshare,
    Setns,
    SetHostname,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Op::Clone => "clone",
            Op::Clone3 => "clone3",
            Op::Unshare => "unshare",
            Op::Setns => "setns",
            Op::SetHostname => "sethostname",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub call: Call,
    /// CLONE_* bits.
    pub flags: u64,
    pub op: Op,
    pub role: u32,
}

/// The bit of `clone` and `unshare` that asks for a network namespace.
pub const NEW_NET: u64 = 0x4000_0000;

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, _) = fixed::<Namespace>(bytes)?;
    let op = match wire.op {
        op::CLONE => Op::Clone,
        op::CLONE3 => Op::Clone3,
        op::UNSHARE => Op::Unshare,
        op::SETNS => Op::Setns,
        op::SETHOSTNAME => Op::SetHostname,
        other => return Err(Malformed::Operation(other)),
    };
    Ok(Event { call: Call::from_wire(&wire.header, wire.syscall), flags: wire.flags, op, role: wire.role })
}
