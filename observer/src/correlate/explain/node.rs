//! How the node was doing while the slow hop lasted: of each thing what was measured, and from when on it is not normal.

use super::{Checked, State};
use crate::output::{Histogram, NodeUse, Stats};

/// Fewer requests to a device say nothing of it.
const MIN_REQUESTS: u64 = 10;

/// What was measured, and what it was judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub value: f64,
    pub unit: &'static str,
    /// More than this is not normal.
    pub threshold: f64,
}

/// One thing that is looked at: layer, what, unit, what is still normal, how it is read. The thresholds are those by which
/// findings check the node (`rules::checks`).
type Look = (&'static str, &'static str, &'static str, f64, fn(&NodeUse) -> Option<f64>);

const LOOKS: &[Look] = &[
    ("L-2", "waiting for paravirtual block devices", "ms", 100.0, |used| devices(used, is_paravirtual)),
    ("L-2", "transmit queues that hung", "count", 0.0, |used| {
        Some(used.hardware.timed_out.as_ref()?.values().sum::<u64>() as f64)
    }),
    ("L-1/L-0", "CPU time stolen by the hypervisor", "%", 10.0, NodeUse::steal_percent),
    ("L-1/L-0", "machine checks", "count", 0.0, |used| {
        Some(used.hardware.checked.as_ref()?.values().sum::<u64>() as f64)
    }),
    ("host", "waiting for a CPU", "ms", 20.0, |used| Some(ms(used.run_queue.as_ref()?, 99))),
    ("host", "waiting for block devices", "ms", 100.0, |used| devices(used, |_| true)),
];

/// `stats`: those of the node that overlap the time.
pub(super) fn looked(stats: &[&Stats]) -> Vec<Checked> {
    let mut all = stats.iter().filter_map(|stats| stats.node.as_deref());
    let used = all.next().cloned().map(|mut used| {
        all.for_each(|next| used.add(next));
        used
    });
    LOOKS.iter().map(|look| looked_at(look, used.as_ref())).collect()
}

fn looked_at((layer, what, unit, threshold, of): &Look, used: Option<&NodeUse>) -> Checked {
    let value = used.map(of);
    let (state, why) = match value {
        None => (State::NotMeasured, Some("the node was not measured meanwhile")),
        Some(None) => (State::NotMeasured, Some("its probe or its counter was not there all the time")),
        Some(Some(value)) if value > *threshold => (State::Abnormal, None),
        Some(Some(_)) => (State::Ok, None),
    };
    let measured = value.flatten().map(|value| Measured { value, unit, threshold: *threshold });
    Checked { layer, what, state, why: why.map(str::to_owned), measured, seen: Vec::new() }
}

/// As `signals::hardware` tells them.
fn is_paravirtual(name: &str) -> bool {
    name.starts_with("vd") || name.starts_with("xvd")
}

/// The slowest device's 90th percentile, milliseconds.
fn devices(used: &NodeUse, is: fn(&str) -> bool) -> Option<f64> {
    let all = used.hardware.block.as_ref()?.iter();
    let judged = all.filter(|(name, used)| is(name) && used.waited.count() >= MIN_REQUESTS);
    Some(judged.map(|(_, used)| ms(&used.waited, 90)).fold(0.0, f64::max))
}

fn ms(waited: &Histogram, percentile: u64) -> f64 {
    waited.percentile(percentile).unwrap_or(0) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        output::{BlockUse, HardwareUse},
        time::Wall,
    };

    fn stats(node: NodeUse) -> Stats {
        Stats {
            probe: "node",
            key: BTreeMap::new(),
            count: 0,
            failed: 0,
            outcomes: BTreeMap::new(),
            p50_ns: None,
            p90_ns: None,
            p99_ns: None,
            max_ns: None,
            worst: Vec::new(),
            resident: None,
            cpu: None,
            node: Some(Box::new(node)),
            from: Wall(0),
            to: Wall(1),
        }
    }

    fn states(all: &[&Stats]) -> Vec<(&'static str, State)> {
        looked(all).into_iter().map(|checked| (checked.what, checked.state)).collect()
    }

    #[test]
    fn what_was_not_measured_is_not_normal() {
        assert!(states(&[]).iter().all(|(_, state)| *state == State::NotMeasured));
        let empty = stats(NodeUse::default());
        assert!(states(&[&empty]).iter().all(|(_, state)| *state == State::NotMeasured));
    }

    #[test]
    fn intervals_are_judged_as_one() {
        // Of its buckets the 100th is of minutes.
        let slow = BlockUse { waited: Histogram::of(&[(120, MIN_REQUESTS / 2)]), ..BlockUse::default() };
        let block = Some(BTreeMap::from([("vda".to_owned(), slow)]));
        let hardware = HardwareUse { block, timed_out: Some(BTreeMap::new()), ..HardwareUse::default() };
        let node = stats(NodeUse { hardware, cpu_ticks: Some((100, 5)), ..NodeUse::default() });
        let of = |all: &[&Stats], what: &str| states(all).into_iter().find(|(of, _)| *of == what).unwrap().1;
        let disk = "waiting for paravirtual block devices";
        assert_eq!(of(&[&node], disk), State::Ok, "too few");
        assert_eq!(of(&[&node, &node], disk), State::Abnormal);
        assert_eq!(of(&[&node], "CPU time stolen by the hypervisor"), State::Ok);
        assert_eq!(of(&[&node], "transmit queues that hung"), State::Ok);
        assert_eq!(of(&[&node], "machine checks"), State::NotMeasured);
        assert_eq!(of(&[&node], "waiting for a CPU"), State::NotMeasured);
    }
}
