//! What starts of an image usually cost on this node: the last few starts of each group, bounded; and what else is
//! usual here.

use std::collections::{BTreeMap, VecDeque};

use super::{GroupKey, Sample, nearest_rank, usual::Usual};
use crate::{input::Normal, time::Wall};

/// Groups kept; the one that learned nothing for the longest time gives way.
pub const MAX_GROUPS: usize = 500;
/// Starts kept of each group; the oldest gives way.
pub const MAX_STARTS: usize = 50;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    groups: BTreeMap<GroupKey, Learned>,
    pub usual: Usual,
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

    /// What is usual, as rules go by it.
    pub fn normals(&self) -> Vec<Normal> {
        let of_starts = self.groups.iter().flat_map(|(key, learned)| {
            // What has no image is compared with nothing.
            let named = learned.starts.iter().filter(|start| start.image.is_some());
            let totals = named.clone().map(|start| ms(start.without_pulling_ns()));
            let loads = named.filter_map(Sample::loading_ns).map(ms);
            let who = format!("{} from {}", key.image, key.t0.name());
            let total = normal("start.total_ms", &who, totals.collect());
            total.into_iter().chain(normal("wasm.load_ms", &who, loads.collect()))
        });
        let of_others = self
            .usual
            .known()
            .filter_map(|(what, who, _, values)| normal(what, who, values.iter().copied().collect()));
        of_starts.chain(of_others).collect()
    }

    pub fn samples(&self) -> Vec<Sample> {
        self.starts().map(|(_, sample)| sample.clone()).collect()
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// `None` of no values.
fn normal(what: &str, who: &str, mut values: Vec<f64>) -> Option<Normal> {
    values.sort_by(f64::total_cmp);
    Some(Normal {
        what: what.to_owned(),
        who: who.to_owned(),
        count: values.len() as u64,
        median: rounded(nearest_rank(&values, 50)?),
        p90: rounded(nearest_rank(&values, 90)?),
    })
}

/// To three places: so few are written and read again as they were, and a replay goes by the same.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Kind, PhaseName, T0};

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
    fn what_is_usual_is_told_of_images_and_of_all_else() {
        let mut baseline = Baseline::default();
        for n in 1..=10 {
            let start = Sample {
                phases: vec![(PhaseName::WasmLoad, n * 500_000), (PhaseName::ImagePull, n * 1_000_000)],
                ..sample(0, n * 3_000_000)
            };
            baseline.learn(Wall(n as i64), start);
            baseline.usual.learn(Wall(n as i64), "cpu.used_percent", "shop/web/app image-0", n as f64);
        }
        baseline.learn(Wall(11), Sample { image: None, ..sample(0, 1) });
        let of = |what: &str, who: &str, median, p90| {
            let (what, who) = (what.to_owned(), who.to_owned());
            Normal { what, who, count: 10, median, p90 }
        };
        let expected = [
            of("start.total_ms", "image-0 from runtime", 10.0, 18.0),
            of("wasm.load_ms", "image-0 from runtime", 2.5, 4.5),
            of("cpu.used_percent", "shop/web/app image-0", 5.0, 9.0),
        ];
        assert_eq!(baseline.normals(), expected);
    }

    #[test]
    fn failed_starts_teach_nothing() {
        let mut baseline = Baseline::default();
        baseline.learn(Wall(1), Sample { failed: true, ..sample(0, 1) });
        assert_eq!(baseline, Baseline::default());
    }
}
