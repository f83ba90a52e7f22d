//! How the node's devices and its hardware were doing; and `event` of probe `io`: a request to a block device that
//! somebody waited long for.

use serde::Serialize;

use crate::{
    output::{BlockUse, Io, NodeUse},
    sink::units::ms,
};

/// `null`: not measured. Lists hold what had something to do, or to report.
#[derive(Serialize)]
pub(super) struct HardwareJson {
    block_devices: Option<Vec<BlockJson>>,
    synced: Option<Vec<SyncJson>>,
    tx_timeouts: Option<Vec<TimeoutJson>>,
    machine_checks: Option<Vec<CheckJson>>,
}

#[derive(Serialize)]
struct BlockJson {
    device: String,
    waited: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    background_writes: u64,
    under_way: Option<f64>,
    untimed: u64,
    stuck: bool,
    slowest: Option<SlowestJson>,
}

#[derive(Serialize)]
struct SlowestJson {
    op: &'static str,
    bytes: u32,
    ms: f64,
}

#[derive(Serialize)]
struct SyncJson {
    pid: u32,
    comm: String,
    count: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

#[derive(Serialize)]
struct TimeoutJson {
    device: String,
    count: u64,
}

#[derive(Serialize)]
struct CheckJson {
    cpu: u32,
    bank: u16,
    corrected: bool,
    count: u64,
}

impl HardwareJson {
    pub(super) fn of(node: &NodeUse) -> Self {
        let of = &node.hardware;
        let block = |(name, used): (&String, &BlockUse)| BlockJson {
            device: name.clone(),
            waited: used.waited.count(),
            p50_ms: used.waited.percentile(50).map(ms),
            p99_ms: used.waited.percentile(99).map(ms),
            background_writes: used.behind,
            under_way: used.under_way(node.interval_ns),
            untimed: used.untimed,
            stuck: used.is_stuck,
            slowest: used.slowest.as_ref().map(|slow| SlowestJson {
                op: slow.op.name(),
                bytes: slow.bytes,
                ms: ms(slow.took_ns),
            }),
        };
        HardwareJson {
            block_devices: of.block.as_ref().map(|all| all.iter().map(block).collect()),
            synced: of.synced.as_ref().map(|all| {
                let of = |(pid, used): (&u32, &crate::output::SyncUse)| SyncJson {
                    pid: *pid,
                    comm: used.comm.clone(),
                    count: used.waited.count(),
                    p50_ms: used.waited.percentile(50).map(ms),
                    p99_ms: used.waited.percentile(99).map(ms),
                };
                all.iter().map(of).collect()
            }),
            tx_timeouts: of.timed_out.as_ref().map(|all| {
                all.iter().map(|(name, count)| TimeoutJson { device: name.clone(), count: *count }).collect()
            }),
            machine_checks: of.checked.as_ref().map(|all| {
                let of = |(&(cpu, bank, uncorrected), count): (&(u32, u16, bool), &u64)| CheckJson {
                    cpu,
                    bank,
                    corrected: !uncorrected,
                    count: *count,
                };
                all.iter().map(of).collect()
            }),
        }
    }
}

#[derive(Serialize)]
pub(super) struct IoJson<'a> {
    op: &'static str,
    /// `sda`
    device: &'a str,
    device_number: String,
    bytes: u32,
    latency_ms: f64,
    count: u32,
}

impl<'a> IoJson<'a> {
    pub(super) fn of(Io(slow): &'a Io) -> Self {
        IoJson {
            op: slow.op.name(),
            device: &slow.name,
            device_number: format!("{}:{}", slow.device.major, slow.device.minor),
            bytes: slow.bytes,
            latency_ms: ms(slow.took_ns),
            count: slow.count,
        }
    }
}
