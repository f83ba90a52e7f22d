//! Percentiles of any number of durations in bounded memory, by nearest rank. What is told is a duration that
//! occurred, above the exact one by less than one part in 64.

use std::collections::BTreeMap;

/// Durations are told apart by this many bits after their first.
const BITS: u32 = 6;

/// Durations, by their leading bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    /// How many, and the longest of them.
    buckets: BTreeMap<u64, (u64, u64)>,
}

impl Durations {
    pub(super) fn add(&mut self, ns: u64) {
        let (count, longest) = self.buckets.entry(leading(ns)).or_default();
        *count += 1;
        *longest = ns.max(*longest);
    }

    pub(super) fn merge(&mut self, other: &Durations) {
        for (bucket, (more, longer)) in &other.buckets {
            let (count, longest) = self.buckets.entry(*bucket).or_default();
            *count += more;
            *longest = (*longest).max(*longer);
        }
    }

    /// The `p`-th percentile, nanoseconds; `None` of none.
    pub(super) fn percentile(&self, p: u64) -> Option<u64> {
        let all: u64 = self.buckets.values().map(|(count, _)| count).sum();
        let rank = (u128::from(all) * u128::from(p)).div_ceil(100).max(1) as u64;
        let mut passed = 0;
        self.buckets.values().find_map(|(count, longest)| {
            passed += count;
            (passed >= rank).then_some(*longest)
        })
    }

    pub(super) fn longest(&self) -> Option<u64> {
        self.buckets.last_key_value().map(|(_, (_, longest))| *longest)
    }
}

/// The number with all but its leading bits cleared.
fn leading(ns: u64) -> u64 {
    let below = u64::BITS.saturating_sub(ns.leading_zeros() + 1 + BITS);
    ns >> below << below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Durations {
        let mut durations = Durations::default();
        values.into_iter().for_each(|ns| durations.add(ns));
        durations
    }

    #[test]
    fn few_are_told_as_they_are() {
        let durations = of([36_330_001, 5, 90_000_000_000]);
        assert_eq!(
            [50, 90, 99].map(|p| durations.percentile(p)),
            [36_330_001, 90_000_000_000, 90_000_000_000].map(Some)
        );
        assert_eq!(durations.percentile(1), Some(5));
        assert_eq!((of([]).percentile(50), of([]).longest()), (None, None));
        assert_eq!(of([0, u64::MAX]).longest(), Some(u64::MAX));
    }

    #[test]
    fn many_are_told_within_a_64th() {
        let durations = of((0..100_000).map(|n| n * 7919 + 3));
        for p in [1, 10, 50, 90, 99, 100] {
            let exact = (100_000_u64 * p).div_ceil(100).max(1) - 1;
            let exact = exact * 7919 + 3;
            let told = durations.percentile(p).unwrap();
            assert!(told >= exact && told - exact <= exact / 64, "{p}: {told} for {exact}");
        }
        assert!(durations.buckets.len() < 2_000);
    }

    #[test]
    fn halves_make_a_whole() {
        let mut first = of(0..500);
        first.merge(&of(500..1000));
        let whole = of(0..1000);
        assert_eq!([1, 50, 99].map(|p| first.percentile(p)), [1, 50, 99].map(|p| whole.percentile(p)));
    }
}
