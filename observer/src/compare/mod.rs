//! Which phase moved between two sets of starts. Pure: where the sets come from is the sinks' business.
//!
//! Only starts of the same image and the same `t0` are compared, and only those that succeeded. The phases of
//! a start lie on one line and add up to its total, so a phase that a start does not have took 0 ns of it.
//!
//! The rule of noise. A value *moved* only if all of this holds:
//! - each side has at least [`MIN_STARTS`] starts;
//! - the medians differ by more than 20 % of the earlier one and by more than 1 ms;
//! - slower: the later median lies above the earlier p90, and the earlier median below the later p10;
//!   faster: the other way round. So neither side's ordinary spread explains it.

pub mod baseline;
mod percentile;
mod sample;
pub mod usual;

use std::collections::BTreeMap;

pub use percentile::{Spread, nearest_rank};
pub use sample::{Sample, Samples, sums};

use crate::output::{PhaseName, T0};

/// Fewer starts on a side are not judged.
pub const MIN_STARTS: usize = 3;
const MIN_DELTA_NS: u64 = 1_000_000;

/// What is compared with its own kind only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The image; without one, the runtime stands in, so that unlike things stay apart.
    pub image: String,
    pub t0: T0,
}

impl GroupKey {
    pub fn of(sample: &Sample) -> GroupKey {
        let image = sample.image.clone().unwrap_or_else(|| {
            let runtime = sample.runtime.as_deref().unwrap_or("unknown runtime");
            format!("(no image: {runtime}, {})", sample.kind.name())
        });
        GroupKey { image, t0: sample.t0 }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub groups: Vec<Group>,
    /// Failed starts on each side, which are not compared.
    pub failed_before: usize,
    pub failed_after: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub key: GroupKey,
    pub before: usize,
    pub after: usize,
    /// `None`: too few starts on a side to judge.
    pub change: Option<GroupChange>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GroupChange {
    pub total: Change,
    /// The largest contribution to the total's change first.
    pub phases: Vec<(PhaseName, Change)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub before: Spread,
    pub after: Spread,
    pub verdict: Verdict,
}

impl Change {
    /// Later median minus earlier median.
    pub fn delta_ns(&self) -> i64 {
        self.after.p50 as i64 - self.before.p50 as i64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Slower,
    Faster,
    /// Not distinguishable from noise.
    Noise,
}

impl Verdict {
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Slower => "slower",
            Verdict::Faster => "faster",
            Verdict::Noise => "noise",
        }
    }
}

/// Compares two sets of starts; groups that appear on one side only are listed, not judged.
pub fn compare(before: &[Sample], after: &[Sample]) -> Comparison {
    let mut groups: BTreeMap<GroupKey, (Vec<&Sample>, Vec<&Sample>)> = BTreeMap::new();
    for sample in succeeded(before) {
        groups.entry(GroupKey::of(sample)).or_default().0.push(sample);
    }
    for sample in succeeded(after) {
        groups.entry(GroupKey::of(sample)).or_default().1.push(sample);
    }
    let groups = groups.into_iter().map(|(key, (before, after))| Group {
        key,
        before: before.len(),
        after: after.len(),
        change: group_change(&before, &after),
    });
    Comparison {
        groups: groups.collect(),
        failed_before: before.len() - succeeded(before).count(),
        failed_after: after.len() - succeeded(after).count(),
    }
}

fn succeeded(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(|sample| !sample.failed)
}

fn group_change(before: &[&Sample], after: &[&Sample]) -> Option<GroupChange> {
    if before.len().min(after.len()) < MIN_STARTS {
        return None;
    }
    let total = change(before, after, |sample| sample.total_ns)?;
    let mut phases: Vec<(PhaseName, Change)> = PhaseName::ALL
        .iter()
        .filter_map(|&name| Some((name, change(before, after, |sample| sample.phase_ns(name))?)))
        .filter(|(_, change)| change.before.max > 0 || change.after.max > 0)
        .collect();
    // What pushed the total the way it went comes first, what held against it last.
    let way = if total.delta_ns() < 0 { 1 } else { -1 };
    phases.sort_by_key(|(name, change)| (way * change.delta_ns(), *name));
    Some(GroupChange { total, phases })
}

fn change(before: &[&Sample], after: &[&Sample], value: impl Fn(&Sample) -> u64) -> Option<Change> {
    let before = Spread::of(before.iter().map(|sample| value(sample)).collect())?;
    let after = Spread::of(after.iter().map(|sample| value(sample)).collect())?;
    Some(Change { before, after, verdict: verdict(&before, &after) })
}

fn verdict(before: &Spread, after: &Spread) -> Verdict {
    if before.p50.abs_diff(after.p50) <= MIN_DELTA_NS.max(before.p50 / 5) {
        Verdict::Noise
    } else if after.p50 > before.p90 && before.p50 < after.p10 {
        Verdict::Slower
    } else if after.p50 < before.p10 && before.p50 > after.p90 {
        Verdict::Faster
    } else {
        Verdict::Noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Kind;

    const MS: u64 = 1_000_000;

    fn sample(image: &str, t0: T0, phases: &[(PhaseName, u64)]) -> Sample {
        let phases: Vec<_> = phases.iter().map(|(name, ms)| (*name, ms * MS)).collect();
        Sample {
            t0,
            image: Some(image.into()),
            namespace: None,
            runtime: Some("crun".into()),
            kind: Kind::Oci,
            total_ns: phases.iter().map(|(_, ns)| ns).sum(),
            phases,
            failed: false,
        }
    }

    fn runs(rootfs_ms: &[u64]) -> Vec<Sample> {
        let run = |ms: &u64| sample("app", T0::Runtime, &[(PhaseName::Rootfs, *ms), (PhaseName::Exec, 10)]);
        rootfs_ms.iter().map(run).collect()
    }

    fn rootfs_verdict(before: &[u64], after: &[u64]) -> Verdict {
        let comparison = compare(&runs(before), &runs(after));
        let phases = &comparison.groups[0].change.as_ref().unwrap().phases;
        phases.iter().find(|(name, _)| *name == PhaseName::Rootfs).unwrap().1.verdict
    }

    #[test]
    fn a_phase_that_grew_beyond_both_spreads_moved() {
        assert_eq!(rootfs_verdict(&[10, 11, 12], &[30, 31, 32]), Verdict::Slower);
        assert_eq!(rootfs_verdict(&[30, 31, 32], &[10, 11, 12]), Verdict::Faster);
    }

    #[test]
    fn noise_is_not_a_move() {
        assert_eq!(rootfs_verdict(&[100, 101, 102], &[119, 120, 121]), Verdict::Noise, "within 20 %");
        assert_eq!(rootfs_verdict(&[1, 1, 1], &[2, 2, 2]), Verdict::Noise, "within 1 ms");
        assert_eq!(rootfs_verdict(&[10, 11, 40], &[30, 31, 32]), Verdict::Noise, "within the earlier p90");
        assert_eq!(rootfs_verdict(&[10, 11, 12], &[9, 31, 32]), Verdict::Noise, "the later p10 reaches back");
    }

    #[test]
    fn the_phase_that_pushed_most_comes_first() {
        let phases = |rootfs, exec, init| {
            let run = [(PhaseName::Rootfs, rootfs), (PhaseName::Exec, exec), (PhaseName::Init, init)];
            vec![sample("app", T0::Runtime, &run); 3]
        };
        let order = |before: &[Sample], after: &[Sample]| -> Vec<PhaseName> {
            let comparison = compare(before, after);
            comparison.groups[0].change.as_ref().unwrap().phases.iter().map(|(name, _)| *name).collect()
        };
        let (slow, fast) = (phases(10, 5, 40), phases(12, 4, 20));
        assert_eq!(order(&fast, &slow), [PhaseName::Init, PhaseName::Exec, PhaseName::Rootfs]);
        assert_eq!(order(&slow, &fast), [PhaseName::Init, PhaseName::Exec, PhaseName::Rootfs]);
    }

    #[test]
    fn a_phase_missing_on_one_side_took_no_time_there() {
        let before = vec![sample("app", T0::Cri, &[(PhaseName::Exec, 5)]); 3];
        let after = vec![sample("app", T0::Cri, &[(PhaseName::Exec, 5), (PhaseName::ImagePull, 900)]); 3];
        let comparison = compare(&before, &after);
        let (name, change) = comparison.groups[0].change.as_ref().unwrap().phases[0];
        assert_eq!((name, change.before.p50, change.verdict), (PhaseName::ImagePull, 0, Verdict::Slower));
    }

    #[test]
    fn unlike_starts_are_not_compared() {
        let before = vec![sample("app", T0::Cri, &[(PhaseName::Exec, 5)]); 3];
        let after = vec![sample("app", T0::Runtime, &[(PhaseName::Exec, 5)]); 3];
        let comparison = compare(&before, &after);
        assert_eq!(comparison.groups.len(), 2);
        assert!(comparison.groups.iter().all(|group| group.change.is_none()));
    }

    #[test]
    fn few_and_failed_starts_are_said_and_not_judged() {
        let mut after = runs(&[30, 31, 32]);
        after[0].failed = true;
        let comparison = compare(&runs(&[10, 11, 12]), &after);
        assert_eq!((comparison.failed_before, comparison.failed_after), (0, 1));
        let group = &comparison.groups[0];
        assert_eq!((group.before, group.after, &group.change), (3, 2, &None));
    }
}
