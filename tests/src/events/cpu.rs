//! A container that its limit keeps from CPU time.

use observer::{
    output::{
        BlockUse, Cpu, CpuOutcome, CpuUse, Event, HardwareUse, Histogram, NodeUse, SyncUse, Throttling, What,
    },
    probes::{
        hardware::{Op, Slow},
        storage::Device,
    },
};

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
        hardware: hardware(),
    }
}

/// A disk that is slow, network devices that do what they should; machine checks are not counted.
fn hardware() -> HardwareUse {
    let slowest = Slow {
        device: Device { major: 8, minor: 0 },
        name: "sda".to_owned(),
        op: Op::Flush,
        took_ns: 812_000_000,
        bytes: 0,
        count: 3,
    };
    let slow = BlockUse {
        waited: Histogram::of(&[(92, 40), (110, 10)]),
        behind: 7,
        taken_ns: 5_000_000_000,
        slowest: Some(slowest),
        ..BlockUse::default()
    };
    let etcd = SyncUse { comm: "etcd".to_owned(), waited: Histogram::of(&[(110, 4)]) };
    HardwareUse {
        block: Some([("sda".to_owned(), slow)].into()),
        synced: Some([(4_711, etcd)].into()),
        timed_out: Some([].into()),
        checked: None,
    }
}
