//! What happened how often within a while, by what it is counted by.

use std::collections::BTreeMap;

use super::{CpuUse, NodeUse};
use crate::time::Wall;

/// Counts and latencies of one key. Printed every interval and at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// The interface's name of the probe: `stdio`, `memory`, `coldstart`.
    pub probe: &'static str,
    /// What is counted by: names and values, e.g. `container`, `image`. The value `other` stands for all that
    /// are not told one by one.
    pub key: BTreeMap<&'static str, String>,
    pub count: u64,
    pub failed: u64,
    /// By the outcome's name.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Percentiles of durations, nanoseconds; `None` where there are no durations.
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub max_ns: Option<u64>,
    /// What the longest durations were of, longest first.
    pub worst: Vec<String>,
    /// How much memory the container holds, by the last sample; of `memory` only.
    pub resident: Option<Resident>,
    /// What the container has had of the CPUs meanwhile; of `cpu` only.
    pub cpu: Option<CpuUse>,
    /// How the node was doing meanwhile; of `node` only.
    pub node: Option<Box<NodeUse>>,
    pub from: Wall,
    pub to: Wall,
}

/// What a container's control group is charged with, page cache included; bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    pub rss_bytes: u64,
    /// The most ever, as far as the kernel keeps it; else the most that was sampled.
    pub rss_peak_bytes: u64,
    /// Since the first sample: the container's start, or attach.
    pub rss_growth_bytes: i64,
    /// Without pages of files that nobody has used of late; `None`: the kernel does not say.
    pub working_set_bytes: Option<u64>,
    /// `None`: there is none.
    pub limit_bytes: Option<u64>,
    /// What Wasm modules in it may access, all together; `None`: no linear memory was seen.
    pub linear_bytes: Option<u64>,
    /// What its processes have of their own; `None`: the kernel does not say.
    pub anonymous_bytes: Option<u64>,
    /// It is of a proxy that stands beside an application in its pod.
    pub of_sidecar: bool,
}
