//! A container that its limit keeps from CPU time.

use observer::output::{Cpu, CpuOutcome, CpuUse, Event, Histogram, NodeUse, Throttling, What};

use super::event;
use crate::starts::cri_pod;

pub const THROTTLED: CpuUse = CpuUse {
    interval_ns: 5_000_000_000,
    usage_ns: 1_000_000_000,
    throttling: Some(Throttling { periods: 50, throttled_periods: 48, throttled_ns: 3_812_000_000 }),
    quota_milli_cpus: Some(200),
};

/// It begins, it ends, and one of which the kernel says little.
pub fn events() -> Vec<Event> {
    let of = |ms, outcome, used| {
        let mut told = event(ms, cri_pod().container, What::Cpu(Cpu { outcome, used }));
        told.process = None;
        told
    };
    let calm =
        Throttling { throttled_periods: 0, throttled_ns: 0, ..THROTTLED.throttling.unwrap_or_default() };
    let little = CpuUse { throttling: None, quota_milli_cpus: None, ..THROTTLED };
    vec![
        of(5_000, CpuOutcome::Throttled, THROTTLED),
        of(10_000, CpuOutcome::Unthrottled, CpuUse { throttling: Some(calm), ..THROTTLED }),
        of(15_000, CpuOutcome::Unthrottled, little),
    ]
}

/// A node on which some tasks wait long for a CPU.
pub fn node() -> NodeUse {
    NodeUse {
        interval_ns: 10_000_000_000,
        run_queue: Some(Histogram::of(&[(54, 9_000), (92, 400)])),
        cpu_ticks: Some((2_000, 30)),
    }
}
