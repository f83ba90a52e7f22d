//! Signals of CPU time: of containers against their limits, and of the node. From every sample.

use std::collections::BTreeMap;

use super::{About, Label, Observation, Signal, yes_no};
use crate::{
    output::{Container, CpuUse, Instance, NodeUse, Since},
    time::{Time, Wall},
};

/// What others used so long ago does not count any more: three samples of each.
const RECENT_NS: u64 = 15_000_000_000;
/// What was used in less than this says little: the last sample of a container that ends may be of a moment.
const LEAST_NS: u64 = 1_000_000_000;
/// Containers that are compared; none of more is the largest consumer.
const MAX: usize = 4_096;

/// What each container used by its last sample, percent of one CPU.
#[derive(Debug, Default)]
pub(super) struct Uses(BTreeMap<Instance, (Time, f64)>);

impl Uses {
    /// Of an interval, what it used in percent of one CPU, and whether no other container uses more.
    pub(super) fn compared(
        &mut self,
        container: &Container,
        used: &CpuUse,
        now: Time,
    ) -> Option<(f64, bool)> {
        let percent = used.usage_percent().filter(|_| used.interval_ns >= LEAST_NS)?;
        Some((percent, self.is_top(container, percent, now)))
    }

    /// Whether no other container uses more than this one.
    fn is_top(&mut self, container: &Container, percent: f64, now: Time) -> bool {
        let Some(instance) = container.instance else { return false };
        self.0.retain(|_, (time, _)| now.since(*time) < RECENT_NS);
        if self.0.len() >= MAX && !self.0.contains_key(&instance) {
            return false;
        }
        self.0.insert(instance, (now, percent));
        self.0.values().all(|(_, other)| *other <= percent)
    }
}

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
    uses: &mut Uses,
    container: &Container,
    used: &CpuUse,
    now: Time,
    at: Wall,
    mut see: impl FnMut(Observation),
) {
    let of = |signal, value| Observation::new(now, at, signal, value, about(Some(container)));
    if let Some((percent, is_top)) = uses.compared(container, used, now) {
        see(of(Signal::CpuUsed, percent)
            .with(Label::Top, yes_no(is_top))
            .saying(format!("it used {percent:.0} % of one CPU")));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn container(init: u32) -> Container {
        Container { instance: Some(Instance { init, start: Time(1) }), ..Container::default() }
    }

    #[test]
    fn the_largest_consumer_is_the_one_that_uses_most_of_late() {
        let mut uses = Uses::default();
        let mut top = |init, percent, seconds: u64| {
            uses.is_top(&container(init), percent, Time(seconds * 1_000_000_000))
        };
        assert!(top(1, 50.0, 0));
        assert!(top(2, 90.0, 1));
        assert!(!top(1, 60.0, 5));
        assert!(top(1, 60.0, 17), "the other was not heard of since");
        assert!(!top(3, 1.0, 18));
    }
}
