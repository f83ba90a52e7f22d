//! What observing costs.

use super::nanoseconds;
use crate::health::OwnCost;

/// CPU time and memory of this process.
pub(super) fn measure() -> OwnCost {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    OwnCost {
        cpu_ns: nanoseconds(cpu),
        rss_bytes: pages * rustix::param::page_size() as u64,
        bpf_run_ns: None,
    }
}
