//! The node's devices: what was counted of them since they were looked at last.

use std::collections::BTreeMap;

use observer_ebpf::wire::cpu::BUCKETS;

use crate::{
    input::{BlockCounts, CheckCounts, HardwareCounts, SyncCounts},
    source::{
        facts::{
            HostRoot,
            disks::{self, Progress},
        },
        live::{self, Live},
    },
};

/// A process that has not waited in so many looks is not looked at any more, until it waits again.
const IDLE_LOOKS: u32 = 12;

#[derive(Default)]
pub struct Hardware {
    last: live::Hardware,
    progress: BTreeMap<String, Progress>,
    /// In how many looks each process has not waited.
    idle: BTreeMap<u32, u32>,
}

impl Hardware {
    /// What was counted since the last look, at first since they are counted.
    pub fn look(&mut self, live: &mut Live, host: &HostRoot) -> HardwareCounts {
        let now = live.hardware();
        let mut counts = HardwareCounts {
            block: now.block.as_ref().map(|now| self.block(now)),
            synced: now.syncing.as_ref().map(|now| self.synced(now)),
            timed_out: now.timed_out.as_ref().map(|now| {
                more(self.last.timed_out.as_ref(), now).map(|(name, more)| (name.clone(), more)).collect()
            }),
            checked: now.checked.as_ref().map(|now| {
                let of = |(&(cpu, bank, uncorrected), count)| CheckCounts { cpu, bank, uncorrected, count };
                more(self.last.checked.as_ref(), now).map(of).collect()
            }),
        };
        if let Some(block) = &mut counts.block {
            self.stuck(host, block);
        }
        self.last = now;
        for tgid in self.idle.extract_if(.., |_, looks| *looks >= IDLE_LOOKS).map(|(tgid, _)| tgid) {
            live.forget_syncing(tgid);
            self.last.syncing.as_mut().map(|all| all.remove(&tgid));
        }
        counts
    }

    fn block(&self, now: &BTreeMap<u32, live::Block>) -> Vec<BlockCounts> {
        let counts = |(device, now): (&u32, &live::Block)| {
            let before = self.last.block.as_ref().and_then(|all| all.get(device));
            let since = |of: fn(&live::Block) -> u64| of(now).saturating_sub(before.map_or(0, of));
            BlockCounts {
                name: live::text(&now.name),
                waited: moved(before.map(|before| &before.waited), &now.waited),
                behind: since(|block| block.behind),
                taken_ns: since(|block| block.taken_ns),
                untimed: since(|block| block.untimed),
                is_stuck: false,
            }
        };
        let had_something_to_do = |of: &BlockCounts| !of.waited.is_empty() || of.behind > 0 || of.untimed > 0;
        now.iter().map(counts).filter(had_something_to_do).collect()
    }

    fn synced(&mut self, now: &BTreeMap<u32, live::Syncing>) -> Vec<SyncCounts> {
        self.idle.retain(|tgid, _| now.contains_key(tgid));
        let mut synced = Vec::new();
        for (tgid, now) in now {
            let before = self.last.syncing.as_ref().and_then(|all| all.get(tgid));
            let waited = moved(before.map(|before| &before.waited), &now.waited);
            let idle = self.idle.entry(*tgid).or_default();
            if waited.is_empty() {
                *idle += 1;
            } else {
                *idle = 0;
                synced.push(SyncCounts { tgid: *tgid, comm: live::text(&now.comm), waited });
            }
        }
        synced
    }

    /// Devices that had something to do, by now and the last time, and have done none of it.
    fn stuck(&mut self, host: &HostRoot, block: &mut Vec<BlockCounts>) {
        let now = disks::progress(host);
        let before = std::mem::replace(&mut self.progress, now);
        for (name, now) in &self.progress {
            let was_under_way =
                before.get(name).is_some_and(|before| before.under_way > 0 && before.done == now.done);
            let is_stuck = was_under_way && now.under_way > 0 && !block.iter().any(|of| of.name == *name);
            if is_stuck && disks::is_given_requests(host, name) {
                block.push(BlockCounts { name: name.clone(), is_stuck, ..BlockCounts::default() });
            }
        }
    }
}

/// What has grown, and by how much.
fn more<'a, K: Ord>(
    before: Option<&'a BTreeMap<K, u64>>,
    now: &'a BTreeMap<K, u64>,
) -> impl Iterator<Item = (&'a K, u64)> {
    let known = move |key| before.and_then(|all| all.get(key)).copied().unwrap_or(0);
    now.iter().map(move |(key, count)| (key, count.saturating_sub(known(key)))).filter(|(_, more)| *more > 0)
}

/// The buckets that have grown, and by how much. Counts that are smaller than before began anew.
pub fn moved(before: Option<&[u64; BUCKETS]>, now: &[u64; BUCKETS]) -> Vec<(u16, u64)> {
    let grown = now.iter().enumerate().filter_map(|(bucket, now)| {
        let before = before.map_or(0, |before| before[bucket]);
        let more = if before > *now { *now } else { now - before };
        (more > 0).then_some((bucket as u16, more))
    });
    grown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_grown_is_told() {
        let mut before = [0; BUCKETS];
        (before[3], before[7]) = (4, 1);
        let mut now = before;
        now[7] = 3;
        assert_eq!(moved(Some(&before), &now), [(7, 2)]);
        assert_eq!(moved(None, &before), [(3, 4), (7, 1)]);
        now = [0; BUCKETS];
        now[3] = 1;
        assert_eq!(moved(Some(&before), &now), [(3, 1)], "it began anew");
        let (one, two) = (BTreeMap::from([("eth0", 1)]), BTreeMap::from([("eth0", 3), ("eth1", 1)]));
        let grown: Vec<_> = more(Some(&one), &two).collect();
        assert_eq!(grown, [(&"eth0", 2), (&"eth1", 1)]);
        assert_eq!(more(Some(&two), &two).count(), 0);
    }
}
