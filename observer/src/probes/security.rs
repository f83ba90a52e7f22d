//! What confines a process: seccomp, prctl, capset, user and group ids, resource limits.

use observer_ebpf::{
    Family,
    wire::security::{Security, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, fixed,
    spec::{Spec, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::Security,
    gives: "the security phase, and errors such as EPERM from a filter",
    cost: "a hash look-up at the exit of prctl, seccomp, capset, setresuid, setresgid, setgroups, keyctl, prlimit64",
    hooks: &[
        syscall!("seccomp", "exit_seccomp", ["op"]),
        syscall!("prctl", "exit_prctl", ["option"]),
        syscall!("capset", "exit_capset", ["header"]),
        syscall!("setresuid", "exit_setresuid", ["ruid"]),
        syscall!("setresgid", "exit_setresgid", ["rgid"]),
        syscall!("setgroups", "exit_setgroups", ["gidsetsize"]),
        syscall!(optional "keyctl", "exit_keyctl", ["option"]),
        syscall!("prlimit64", "exit_prlimit", ["pid", "resource", "new_rlim"]),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Seccomp,
    Prctl,
    Capset,
    Setresuid,
    Setresgid,
    Setgroups,
    Keyctl,
    Prlimit,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Op::Seccomp => "seccomp",
            Op::Prctl => "prctl",
            Op::Capset => "capset",
            Op::Setresuid => "setresuid",
            Op::Setresgid => "setresgid",
            Op::Setgroups => "setgroups",
            Op::Keyctl => "keyctl",
            Op::Prlimit => "prlimit64",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub call: Call,
    pub op: Op,
    /// The call's first argument; the resource whose limit was to be set.
    pub arg: u64,
    pub role: u32,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, _) = fixed::<Security>(bytes)?;
    let op = match wire.op {
        op::SECCOMP => Op::Seccomp,
        op::PRCTL => Op::Prctl,
        op::CAPSET => Op::Capset,
        op::SETRESUID => Op::Setresuid,
        op::SETRESGID => Op::Setresgid,
        op::SETGROUPS => Op::Setgroups,
        op::KEYCTL => Op::Keyctl,
        op::PRLIMIT => Op::Prlimit,
        other => return Err(Malformed::Operation(other)),
    };
    Ok(Event { call: Call::from_wire(&wire.header, wire.syscall), op, arg: wire.arg, role: wire.role })
}

impl Event {
    /// Whether it takes something away from the caller. Runtimes also ask what the kernel supports by
    /// `seccomp` calls that change nothing.
    pub fn confines(&self) -> bool {
        const SECCOMP_SET_MODE_FILTER: u64 = 1;
        self.op != Op::Seccomp || self.arg <= SECCOMP_SET_MODE_FILTER
    }

    /// The limit that was to be set.
    pub fn limit(&self) -> Option<&'static str> {
        const LIMITS: [&str; 16] = [
            "RLIMIT_CPU",
            "RLIMIT_FSIZE",
            "RLIMIT_DATA",
            "RLIMIT_STACK",
            "RLIMIT_CORE",
            "RLIMIT_RSS",
            "RLIMIT_NPROC",
            "RLIMIT_NOFILE",
            "RLIMIT_MEMLOCK",
            "RLIMIT_AS",
            "RLIMIT_LOCKS",
            "RLIMIT_SIGPENDING",
            "RLIMIT_MSGQUEUE",
            "RLIMIT_NICE",
            "RLIMIT_RTPRIO",
            "RLIMIT_RTTIME",
        ];
        let number = usize::try_from(self.arg).ok().filter(|_| self.op == Op::Prlimit)?;
        LIMITS.get(number).copied()
    }
}
