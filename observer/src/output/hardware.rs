//! How the node's devices and its hardware are doing.

use std::collections::BTreeMap;

use super::Histogram;
use crate::probes::hardware::Slow;

/// What was measured within an interval. `None`: not measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HardwareUse {
    /// By the block device's name, of those that had something to do.
    pub block: Option<BTreeMap<String, BlockUse>>,
    /// By process, of components that had their files written to their device.
    pub synced: Option<BTreeMap<u32, SyncUse>>,
    /// How often a network device did not send in time, by its name.
    pub timed_out: Option<BTreeMap<String, u64>>,
    /// By CPU, bank, and whether it was not corrected.
    pub checked: Option<BTreeMap<(u32, u16, bool), u64>>,
}

/// Of a block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockUse {
    /// How long reads, synchronous writes and flushes took, from when they were made until they were done.
    pub waited: Histogram,
    /// Writes that nobody waited for.
    pub behind: u64,
    /// How long all of them took together.
    pub taken_ns: u64,
    /// Requests of which the kernel did not say how long they took.
    pub untimed: u64,
    /// Something was asked of it all the time, and none of it came back.
    pub is_stuck: bool,
    /// Of those that took long.
    pub slowest: Option<Slow>,
}

impl BlockUse {
    /// How many requests were under way at a time.
    pub fn under_way(&self, interval_ns: u64) -> Option<f64> {
        (interval_ns > 0).then(|| self.taken_ns as f64 / interval_ns as f64)
    }

    pub fn add(&mut self, next: &BlockUse) {
        self.waited.add(&next.waited);
        self.behind = self.behind.saturating_add(next.behind);
        self.taken_ns = self.taken_ns.saturating_add(next.taken_ns);
        self.untimed = self.untimed.saturating_add(next.untimed);
        self.is_stuck |= next.is_stuck;
        if next.slowest.as_ref().map(|slow| slow.took_ns) > self.slowest.as_ref().map(|slow| slow.took_ns) {
            self.slowest.clone_from(&next.slowest);
        }
    }
}

/// How long a component waited until its files were on their device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncUse {
    pub comm: String,
    pub waited: Histogram,
}

impl HardwareUse {
    /// Adds the interval that follows.
    pub fn add(&mut self, next: &HardwareUse) {
        self.block = sum(self.block.take(), next.block.as_ref(), BlockUse::add);
        self.synced = sum(self.synced.take(), next.synced.as_ref(), |one, other| {
            one.comm.clone_from(&other.comm);
            one.waited.add(&other.waited);
        });
        let count = |one: &mut u64, other: &u64| *one = one.saturating_add(*other);
        self.timed_out = sum(self.timed_out.take(), next.timed_out.as_ref(), count);
        self.checked = sum(self.checked.take(), next.checked.as_ref(), count);
    }
}

/// What one interval lacks the sum lacks.
fn sum<K: Ord + Clone, V: Default>(
    one: Option<BTreeMap<K, V>>,
    other: Option<&BTreeMap<K, V>>,
    add: impl Fn(&mut V, &V),
) -> Option<BTreeMap<K, V>> {
    let (mut sum, other) = one.zip(other)?;
    other.iter().for_each(|(key, value)| add(sum.entry(key.clone()).or_default(), value));
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn use_of(bucket: u16, taken_ns: u64) -> HardwareUse {
        let block = BlockUse { waited: Histogram::of(&[(bucket, 1)]), taken_ns, ..BlockUse::default() };
        HardwareUse { block: Some(BTreeMap::from([("sda".to_owned(), block)])), ..HardwareUse::default() }
    }

    #[test]
    fn what_one_interval_lacks_the_sum_lacks() {
        let mut one = use_of(3, 5);
        one.add(&use_of(9, 7));
        let block = &one.block.as_ref().unwrap()["sda"];
        assert_eq!((block.waited.count(), block.taken_ns, block.under_way(6)), (2, 12, Some(2.0)));
        one.add(&HardwareUse::default());
        assert_eq!(one, HardwareUse::default());
    }
}
