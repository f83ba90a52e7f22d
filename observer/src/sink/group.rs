//! Starts by image, namespace or runtime, and how their times are spread.

use std::collections::BTreeMap;

use crate::{
    compare::{GroupKey, Sample, Spread},
    output::{PhaseName, T0},
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupBy {
    #[default]
    Image,
    Namespace,
    Runtime,
}

impl GroupBy {
    pub const fn name(self) -> &'static str {
        match self {
            GroupBy::Image => "image",
            GroupBy::Namespace => "namespace",
            GroupBy::Runtime => "runtime",
        }
    }

    fn key(self, sample: &Sample) -> String {
        let known = match self {
            GroupBy::Image => return GroupKey::of(sample).image,
            GroupBy::Namespace => &sample.namespace,
            GroupBy::Runtime => &sample.runtime,
        };
        known.clone().unwrap_or_else(|| format!("({} unknown)", self.name()))
    }
}

/// Starts with the same key and the same `t0`.
pub(super) struct Group {
    pub key: String,
    pub t0: T0,
    /// Of those that succeeded; `None` if none did.
    pub total: Option<Spread>,
    /// Over the starts that have the phase; the largest median first. None of a single start: that is what
    /// its waterfall is for.
    pub phases: Vec<(PhaseName, Spread)>,
    pub failed: usize,
}

impl Group {
    pub(super) fn starts(&self) -> usize {
        self.failed + self.total.map_or(0, |total| total.count)
    }
}

/// The slowest group first.
pub(super) fn groups(samples: &[Sample], by: GroupBy) -> Vec<Group> {
    let mut sorted: BTreeMap<(String, T0), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        sorted.entry((by.key(sample), sample.t0)).or_default().push(sample);
    }
    let groups = sorted.into_iter().map(|((key, t0), samples)| group(key, t0, &samples));
    let mut groups: Vec<Group> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.total.map(|total| total.p50)));
    groups
}

fn group(key: String, t0: T0, samples: &[&Sample]) -> Group {
    let fine: Vec<&Sample> = samples.iter().filter(|sample| !sample.failed).copied().collect();
    let phase = |name: PhaseName| {
        let times = fine.iter().map(|sample| sample.phase_ns(name)).filter(|ns| *ns > 0);
        Some((name, Spread::of(times.collect())?))
    };
    let names: &[PhaseName] = if fine.len() > 1 { PhaseName::ALL } else { &[] };
    let mut phases: Vec<_> = names.iter().filter_map(|name| phase(*name)).collect();
    phases.sort_by_key(|(_, spread)| std::cmp::Reverse(spread.p50));
    Group {
        key,
        t0,
        total: Spread::of(fine.iter().map(|sample| sample.total_ns).collect()),
        phases,
        failed: samples.len() - fine.len(),
    }
}
