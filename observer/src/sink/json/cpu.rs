//! How much CPU time a container has had, and was kept from.

use serde::Serialize;

use crate::{
    output::{Cpu, CpuUse},
    sink::units::ms,
};

#[derive(Serialize)]
pub(super) struct CpuJson {
    outcome: &'static str,
    #[serde(flatten)]
    used: CpuUseJson,
}

#[derive(Serialize)]
pub(super) struct CpuUseJson {
    interval_ms: f64,
    usage_percent: Option<f64>,
    throttled_percent: Option<f64>,
    throttled_ms: Option<f64>,
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    quota_cpus: Option<f64>,
}

impl CpuJson {
    pub(super) fn of(cpu: &Cpu) -> Self {
        CpuJson { outcome: cpu.outcome.name(), used: CpuUseJson::of(&cpu.used) }
    }
}

impl CpuUseJson {
    pub(super) fn of(used: &CpuUse) -> Self {
        CpuUseJson {
            interval_ms: ms(used.interval_ns),
            usage_percent: used.usage_percent(),
            throttled_percent: used.throttled_percent(),
            throttled_ms: used.throttling.map(|throttling| ms(throttling.throttled_ns)),
            periods: used.throttling.map(|throttling| throttling.periods),
            throttled_periods: used.throttling.map(|throttling| throttling.throttled_periods),
            quota_cpus: used.quota_cpus(),
        }
    }
}
