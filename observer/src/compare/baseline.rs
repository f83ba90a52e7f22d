//! What starts of an image usually cost on this node: the last few starts of each group, bounded.

use std::collections::{BTreeMap, VecDeque};

use super::{GroupKey, Sample};
use crate::time::Wall;

/// Groups kept; the one that learned nothing for the longest time gives way.
pub const MAX_GROUPS: usize = 500;
/// Starts kept of each group; the oldest gives way.
pub const MAX_STARTS: usize = 50;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    groups: BTreeMap<GroupKey, Learned>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Learned {
    last: Wall,
    starts: VecDeque<Sample>,
}

impl Baseline {
    /// Takes in a start that began at `time`. Failed ones say nothing about the usual.
    pub fn learn(&mut self, time: Wall, sample: Sample) {
        if sample.failed {
            return;
        }
        let key = GroupKey::of(&sample);
        if !self.groups.contains_key(&key) && self.groups.len() == MAX_GROUPS {
            self.forget_the_stalest();
        }
        let learned = self.groups.entry(key).or_default();
        if learned.starts.len() == MAX_STARTS {
            learned.starts.pop_front();
        }
        learned.starts.push_back(sample);
        learned.last = learned.last.max(time);
    }

    fn forget_the_stalest(&mut self) {
        let stalest = self.groups.iter().min_by_key(|(_, learned)| learned.last);
        if let Some(key) = stalest.map(|(key, _)| key.clone()) {
            self.groups.remove(&key);
        }
    }

    /// All its starts, each with the time at which its group last learned something.
    pub fn starts(&self) -> impl Iterator<Item = (Wall, &Sample)> {
        self.groups.values().flat_map(|learned| learned.starts.iter().map(|sample| (learned.last, sample)))
    }

    pub fn samples(&self) -> Vec<Sample> {
        self.starts().map(|(_, sample)| sample.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Kind, T0};

    fn sample(image: usize, total_ns: u64) -> Sample {
        Sample {
            t0: T0::Runtime,
            image: Some(format!("image-{image}")),
            namespace: None,
            runtime: None,
            kind: Kind::Oci,
            total_ns,
            phases: Vec::new(),
            failed: false,
        }
    }

    #[test]
    fn each_group_keeps_its_latest_starts() {
        let mut baseline = Baseline::default();
        for n in 0..MAX_STARTS as u64 + 5 {
            baseline.learn(Wall(n as i64), sample(0, n));
        }
        let totals: Vec<u64> = baseline.samples().iter().map(|sample| sample.total_ns).collect();
        assert_eq!((totals.len(), totals[0]), (MAX_STARTS, 5));
    }

    #[test]
    fn the_stalest_group_gives_way() {
        let mut baseline = Baseline::default();
        for n in 0..MAX_GROUPS {
            baseline.learn(Wall(if n == 7 { 0 } else { 10 + n as i64 }), sample(n, 1));
        }
        baseline.learn(Wall(10_000), sample(MAX_GROUPS, 1));
        let images: Vec<_> = baseline.samples().into_iter().filter_map(|sample| sample.image).collect();
        assert_eq!(images.len(), MAX_GROUPS);
        assert!(!images.contains(&"image-7".to_owned()));
        assert!(images.contains(&format!("image-{MAX_GROUPS}")));
    }

    #[test]
    fn failed_starts_teach_nothing() {
        let mut baseline = Baseline::default();
        baseline.learn(Wall(1), Sample { failed: true, ..sample(0, 1) });
        assert_eq!(baseline, Baseline::default());
    }
}
