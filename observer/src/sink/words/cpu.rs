//! CPU time, in words.

use crate::{
    output::{BlockUse, Cpu, CpuOutcome, CpuUse, NodeUse},
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
    parts.extend(hardware(node));
    parts.join(", ")
}

/// `requests to vda waited for p50 0.40 p99 2.10 ms`, of the device that was waited for longest; and what is wrong.
fn hardware(node: &NodeUse) -> Vec<String> {
    let of = &node.hardware;
    let p99 = |used: &BlockUse| used.waited.percentile(99);
    let slowest = of.block.iter().flatten().max_by_key(|(_, used)| p99(used));
    let slowest = slowest.and_then(|(name, used)| Some((name, used.waited.percentile(50)?, p99(used)?)));
    let mut parts = Vec::new();
    parts.extend(slowest.map(|(name, p50, p99)| {
        format!("requests to {name} waited for p50 {} p99 {} ms", ms_text(p50), ms_text(p99))
    }));
    let stuck = of.block.iter().flatten().filter(|(_, used)| used.is_stuck);
    parts.extend(stuck.map(|(name, _)| format!("{name} does nothing of what is asked of it")));
    let timed_out = of.timed_out.iter().flatten();
    parts.extend(timed_out.map(|(name, count)| format!("{name} did not send in time {count} times")));
    let checked: u64 = of.checked.iter().flatten().map(|(_, count)| count).sum();
    if checked > 0 {
        parts.push(format!("{checked} machine checks"));
    }
    parts
}
