//! Signals of CPU time: of containers against their limits, and of the node. From every sample.

use super::{About, Observation, Signal};
use crate::{
    output::{Container, CpuUse, NodeUse, Since},
    time::{Time, Wall},
};

const fn about(container: Option<&Container>) -> About<'_> {
    About {
        probe: "cpu",
        container,
        process: None,
        since: Since::Attach,
        in_teardown: false,
        is_young: false,
    }
}

pub(super) fn of_container(
    container: &Container,
    used: &CpuUse,
    now: Time,
    at: Wall,
    mut see: impl FnMut(Observation),
) {
    let of = |signal, value| Observation::new(now, at, signal, value, about(Some(container)));
    if let Some(percent) = used.usage_percent() {
        see(of(Signal::CpuUsed, percent).saying(format!("it used {percent:.0} % of one CPU")));
    }
    // Without a limit nothing is throttled by it.
    let throttled = used.throttled_percent().filter(|_| used.quota_milli_cpus.is_some());
    if let (Some(percent), Some(cpus)) = (throttled, used.quota_cpus()) {
        let text = format!("throttled in {percent:.0} % of its periods, by a limit of {cpus:.2} CPUs");
        see(of(Signal::CpuThrottled, percent).saying(text));
    }
}

pub(super) fn of_node(used: &NodeUse, now: Time, at: Wall, mut see: impl FnMut(Observation)) {
    let of = |signal, value| Observation::new(now, at, signal, value, about(None));
    if let Some(ns) = used.run_queue.as_ref().and_then(|waits| waits.percentile(99)) {
        let ms = ns as f64 / 1e6;
        see(of(Signal::CpuRunqueue, ms)
            .saying(format!("one of 100 tasks waited {ms:.1} ms or longer for a CPU")));
    }
    if let Some(percent) = used.steal_percent() {
        see(of(Signal::CpuSteal, percent)
            .saying(format!("the hypervisor gave {percent:.1} % of the CPU time to others")));
    }
}
