//! Files opened by runtimes: config.json, exec.fifo, engine libraries, modules; and failures. Locks that an engine's
//! helpers waited for. Blobs, snapshots and containers as an engine lays them out. The database of K3s.

use observer_ebpf::{
    Family,
    wire::file::{File, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, chars, fixed,
    spec::{Spec, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::File,
    gives: "runtime-load, wait-start, image-pull, snapshot and the Wasm phases; which file was missing when a start \
            failed; who has K3s's database open",
    cost: "a hash look-up at the exit of openat; a comparison at the exit of stat, access, readlink",
    hooks: &[
        syscall!("openat", "exit_openat", ["dfd", "filename", "flags", "mode"]),
        syscall!("openat2", "exit_openat2", ["dfd", "filename", "how"]),
        syscall!(optional "open", "exit_open", ["filename", "flags", "mode"]),
        syscall!("newfstatat", "exit_stat_at", ["dfd", "filename"]),
        syscall!("statx", "exit_stat_at", ["dfd", "filename"]),
        syscall!(optional "access", "exit_access", ["filename"]),
        syscall!("faccessat", "exit_access_at", ["dfd", "filename"]),
        syscall!("faccessat2", "exit_access_at", ["dfd", "filename"]),
        syscall!(optional "readlink", "exit_readlink", ["path"]),
        syscall!("readlinkat", "exit_readlinkat", ["dfd", "pathname"]),
        syscall!(optional "renameat", "exit_kept_rename", ["olddfd", "oldname", "newdfd", "newname"]),
        syscall!("mkdirat", "exit_kept_mkdir", ["dfd", "pathname"]),
        syscall!(optional "flock", "enter_engine", "exit_flock", ["fd", "cmd"]),
    ],
};

/// Whether a path is that of the database in which K3s, or kine, keeps a cluster's objects, wherever it is told to.
pub fn is_datastore(path: &str) -> bool {
    path.ends_with("/state.db")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Open,
    /// Failures only.
    Stat,
    /// Failures only.
    Access,
    /// Failures only, but not for what is no link.
    Readlink,
    /// Waits only, of an engine's helpers. The path is the file's name.
    Flock,
    /// Of engines: a blob that was fetched, a snapshot. The path is the new one.
    Rename,
    /// Of engines: a container's directory, a sandbox's.
    Mkdir,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Op::Open => "openat",
            Op::Stat => "stat",
            Op::Access => "access",
            Op::Readlink => "readlink",
            Op::Flock => "flock",
            Op::Rename => "renameat",
            Op::Mkdir => "mkdirat",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub call: Call,
    pub op: Op,
    /// As the caller gave it.
    pub path: String,
    /// O_* bits.
    pub flags: u32,
    pub role: u32,
}

impl Event {
    /// Somebody has opened the database of a cluster.
    pub fn is_of_datastore(&self) -> bool {
        self.op == Op::Open && self.call.ret >= 0 && is_datastore(&self.path)
    }
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, rest) = fixed::<File>(bytes)?;
    let op = match wire.op {
        op::OPEN => Op::Open,
        op::STAT => Op::Stat,
        op::ACCESS => Op::Access,
        op::READLINK => Op::Readlink,
        op::FLOCK => Op::Flock,
        op::RENAME => Op::Rename,
        op::MKDIR => Op::Mkdir,
        other => return Err(Malformed::Operation(other)),
    };
    let (path, _) = chars::take(rest, wire.path_len as usize)?;
    Ok(Event {
        call: Call::from_wire(&wire.header, wire.syscall),
        op,
        path,
        flags: wire.flags,
        role: wire.role,
    })
}
