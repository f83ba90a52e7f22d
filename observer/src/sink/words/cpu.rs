//! CPU time, in words.

use crate::{
    output::{Cpu, CpuOutcome, CpuUse, NodeUse},
    sink::units::ms_text,
};

/// `throttled: 20.0 % of a CPU used, throttled in 48 of 50 periods for 3812.00 ms, limit 0.20 CPUs`.
pub(super) fn cpu(cpu: &Cpu) -> String {
    let what = match cpu.outcome {
        CpuOutcome::Throttled => "throttled",
        CpuOutcome::Unthrottled => "no longer throttled",
    };
    format!("{what}: {}", used(&cpu.used))
}

pub(in crate::sink) fn used(used: &CpuUse) -> String {
    let mut parts = Vec::new();
    parts.extend(used.usage_percent().map(|percent| format!("{percent:.1} % of a CPU used")));
    match used.throttling {
        Some(of) if of.throttled_periods > 0 => parts.push(format!(
            "throttled in {} of {} periods for {} ms",
            of.throttled_periods,
            of.periods,
            ms_text(of.throttled_ns)
        )),
        Some(_) => {}
        None => parts.push("throttling not known".to_owned()),
    }
    parts.extend(used.quota_cpus().map(|cpus| format!("limit {cpus:.2} CPUs")));
    parts.join(", ")
}

/// `tasks waited for a CPU p50 0.01 p99 22.00 ms, 1.5 % of CPU time stolen`.
pub(super) fn node(node: &NodeUse) -> String {
    let mut parts = Vec::new();
    match &node.run_queue {
        Some(waits) => {
            if let (Some(p50), Some(p99)) = (waits.percentile(50), waits.percentile(99)) {
                parts.push(format!("tasks waited for a CPU p50 {} p99 {} ms", ms_text(p50), ms_text(p99)));
            }
        }
        None => parts.push("how long tasks wait for a CPU is not known".to_owned()),
    }
    parts.extend(node.steal_percent().map(|percent| format!("{percent:.1} % of CPU time stolen")));
    parts.join(", ")
}
