//! What the machine does for the node: how long its block devices take, and what its network devices and its hardware
//! report.

use observer_ebpf::{
    Family,
    wire::hardware::{Slow as Wire, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, chars, fixed,
    spec::{Spec, syscall, tracepoint},
    storage::Device,
};

/// Hooks by which it is known whether a count of nothing means that there was nothing.
pub const BLOCK: &str = "block_rq_complete";
pub const TRANSMIT: &str = "net_dev_xmit_timeout";
pub const MACHINE_CHECK: &str = "mce_record";
/// Both, for what a process waits.
pub const SYNC: [&str; 2] = ["fsync", "fdatasync"];

pub const SPEC: Spec = Spec {
    family: Family::Hardware,
    gives: "how long requests to block devices take and components wait for their files to be on one, transmit queues of \
            network devices that hung, machine checks",
    cost: "some reads and a count at the end of each request to a block device; a look-up at both ends of each fsync",
    hooks: &[
        tracepoint!(
            "block_rq_complete",
            "block_completed_btf",
            "block_completed_raw",
            ["request", "", "int"]
        ),
        tracepoint!(
            "net_dev_xmit_timeout",
            "transmit_timed_out_btf",
            "transmit_timed_out_raw",
            ["net_device", "int"]
        ),
        // x86 only, and there only where the kernel handles them.
        tracepoint!(optional "mce_record", "machine_checked_btf", "machine_checked_raw", [""]),
        syscall!(optional "fsync", "enter_synced", "exit_synced", ["fd"]),
        syscall!(optional "fdatasync", "enter_synced", "exit_synced", ["fd"]),
    ],
};

/// Of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Op {
    Read,
    Write,
    Flush,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Op::Read => "read",
            Op::Write => "write",
            Op::Flush => "flush",
        }
    }

    fn of(number: u32) -> Result<Op, Malformed> {
        Ok(match number {
            op::READ => Op::Read,
            op::WRITE => Op::Write,
            op::FLUSH => Op::Flush,
            other => return Err(Malformed::Operation(other)),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Somebody waited long for a request to a block device.
    Slow(Slow),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slow {
    pub device: Device,
    /// `sda`
    pub name: String,
    pub op: Op,
    pub took_ns: u64,
    pub bytes: u32,
    /// How many of the device were slow since one was last told.
    pub count: u32,
}

pub(super) fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(number.into()));
    }
    let (record, _) = fixed::<Wire>(bytes)?;
    Ok(Event::Slow(Slow {
        device: Device::of(record.device),
        name: chars::comm(&record.name),
        op: Op::of(record.op)?,
        took_ns: record.took_ns,
        bytes: record.bytes,
        count: record.count,
    }))
}
