//! What was counted of the node itself.

use serde::{Deserialize, Serialize};

/// What the node has counted since the sample before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    pub interval_ns: u64,
    /// Waits for a CPU that were measured: how many, by the bucket of their duration (`observer_ebpf::wire::cpu`).
    /// `None`: not measured.
    pub run_queue: Option<Vec<(u16, u64)>>,
    /// `None`: it could not be read.
    pub cpu_time: Option<CpuTime>,
    #[serde(default)]
    pub hardware: super::HardwareCounts,
}

/// Time of all CPUs, in ticks of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTime {
    pub all: u64,
    /// In which something was to run here, and the machine below ran something else.
    pub stolen: u64,
}
