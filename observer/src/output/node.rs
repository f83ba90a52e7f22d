//! How the node itself is doing, whatever runs on it.

use std::collections::BTreeMap;

use observer_ebpf::wire::cpu::longest;

use super::HardwareUse;

/// What was measured of the node within an interval. `None`: not measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    pub interval_ns: u64,
    /// How long tasks waited for a CPU: a sample of all waits.
    pub run_queue: Option<Histogram>,
    /// Ticks of all CPUs, and those of them that the machine below kept for itself.
    pub cpu_ticks: Option<(u64, u64)>,
    pub hardware: HardwareUse,
}

impl NodeUse {
    /// Share of the time of all CPUs.
    pub fn steal_percent(&self) -> Option<f64> {
        self.cpu_ticks.filter(|(all, _)| *all > 0).map(|(all, stolen)| stolen as f64 * 100.0 / all as f64)
    }

    /// Adds the interval that follows.
    pub fn add(&mut self, next: &NodeUse) {
        self.interval_ns = self.interval_ns.saturating_add(next.interval_ns);
        self.run_queue = self.run_queue.take().zip(next.run_queue.as_ref()).map(|(mut sum, more)| {
            sum.add(more);
            sum
        });
        self.cpu_ticks = self
            .cpu_ticks
            .zip(next.cpu_ticks)
            .map(|(one, other)| (one.0.saturating_add(other.0), one.1.saturating_add(other.1)));
        self.hardware.add(&next.hardware);
    }
}

/// Durations, by buckets of which four make a doubling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: BTreeMap<u16, u64>,
}

impl Histogram {
    pub fn of(counts: &[(u16, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        counts.iter().for_each(|(bucket, count)| histogram.count_more(*bucket, *count));
        histogram
    }

    pub fn add(&mut self, more: &Histogram) {
        more.counts.iter().for_each(|(bucket, count)| self.count_more(*bucket, *count));
    }

    fn count_more(&mut self, bucket: u16, more: u64) {
        let count = self.counts.entry(bucket).or_default();
        *count = count.saturating_add(more);
    }

    pub fn count(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The `p`-th percentile by nearest rank, nanoseconds: the longest that its bucket takes, above the exact one by
    /// less than a quarter. `None` of none.
    pub fn percentile(&self, p: u64) -> Option<u64> {
        let rank = (u128::from(self.count()) * u128::from(p)).div_ceil(100).max(1) as u64;
        let mut passed = 0_u64;
        let found = self.counts.iter().find(|(_, count)| {
            passed = passed.saturating_add(**count);
            passed >= rank
        });
        found.map(|(bucket, _)| longest(usize::from(*bucket)))
    }
}

#[cfg(test)]
mod tests {
    use observer_ebpf::wire::cpu::{BUCKETS, bucket};

    use super::*;

    #[test]
    fn a_percentile_is_never_too_low_and_by_less_than_a_quarter_too_high() {
        for ns in (0..2_000).chain([12_345, 999_999, 20_000_000, 3_000_000_000, 1 << 40]) {
            let told = Histogram::of(&[(bucket(ns) as u16, 1)]).percentile(99).unwrap();
            assert!(told >= ns && told - ns <= ns / 4, "{told} for {ns}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
        assert_eq!(Histogram::of(&[(u16::MAX, u64::MAX), (0, 1)]).percentile(99), Some(u64::MAX));
    }

    #[test]
    fn ranks_are_counted_over_all_buckets() {
        let mut waits = Histogram::of(&[(bucket(1_000) as u16, 98), (bucket(20_000_000) as u16, 1)]);
        assert!(waits.percentile(99).is_some_and(|ns| ns >= 20_000_000));
        waits.add(&Histogram::of(&[(bucket(1_000) as u16, 901)]));
        assert!(
            waits.percentile(99).is_some_and(|ns| ns < 2_000),
            "one of 1,000 is none of the last hundredth"
        );
        assert_eq!((waits.count(), Histogram::default().percentile(50)), (1_000, None));
    }

    #[test]
    fn what_one_interval_lacks_the_sum_lacks() {
        let one = NodeUse {
            interval_ns: 5,
            run_queue: Some(Histogram::of(&[(1, 2)])),
            cpu_ticks: Some((100, 10)),
            ..NodeUse::default()
        };
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!(
            (sum.steal_percent(), sum.run_queue.as_ref().map(Histogram::count)),
            (Some(10.0), Some(4))
        );
        sum.add(&NodeUse::default());
        assert_eq!((sum.steal_percent(), sum.run_queue), (None, None));
    }
}
