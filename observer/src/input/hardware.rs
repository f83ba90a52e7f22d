//! What was counted of the node's devices and its hardware.

use serde::{Deserialize, Serialize};

/// Since the sample before. `None`: not measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HardwareCounts {
    /// Of each block device that had something to do.
    pub block: Option<Vec<BlockCounts>>,
    /// Of each component that had its files written to their device.
    pub synced: Option<Vec<SyncCounts>>,
    /// How often a network device did not send in time, by its name.
    pub timed_out: Option<Vec<(String, u64)>>,
    pub checked: Option<Vec<CheckCounts>>,
}

/// Durations are numbered by `observer_ebpf::wire::cpu::bucket`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockCounts {
    /// `sda`
    pub name: String,
    /// Requests that somebody waited for: how many, by the bucket of their duration.
    pub waited: Vec<(u16, u64)>,
    /// Writes that nobody waited for.
    pub behind: u64,
    /// How long all of them took together.
    pub taken_ns: u64,
    /// Requests of which the kernel does not say how long they took.
    pub untimed: u64,
    /// Something was asked of it all the time, and none of it came back.
    pub is_stuck: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncCounts {
    pub tgid: u32,
    pub comm: String,
    /// How often it waited, by the bucket of the duration.
    pub waited: Vec<(u16, u64)>,
}

/// Machine checks of a CPU's bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckCounts {
    pub cpu: u32,
    pub bank: u16,
    /// The hardware could not correct it.
    pub uncorrected: bool,
    pub count: u64,
}
