//! How the node's devices are doing: from samples, with the slowest requests that were told meanwhile.

use std::collections::BTreeMap;

use crate::{
    input::{HardwareCounts, Record},
    output::{BlockUse, HardwareUse, Histogram, SyncUse},
    probes::{
        Event,
        hardware::{Event as Told, Slow},
    },
};

/// Devices whose slowest request is kept: as many as the kernel side tells apart.
const MAX: usize = observer_ebpf::wire::hardware::MAX_DEVICES as usize;

/// The slowest request of each device since the last sample.
#[derive(Debug, Default)]
pub struct Slowest(BTreeMap<String, Slow>);

impl Slowest {
    pub fn note(&mut self, record: &Record) {
        let Event::Hardware(Told::Slow(slow)) = &record.event else { return };
        let known = self.0.get(&slow.name);
        if known.is_some_and(|known| known.took_ns < slow.took_ns) || (known.is_none() && self.0.len() < MAX)
        {
            self.0.insert(slow.name.clone(), slow.clone());
        }
    }

    pub fn hardware_use(&mut self, counts: &HardwareCounts) -> HardwareUse {
        let mut slowest = std::mem::take(&mut self.0);
        HardwareUse {
            block: counts.block.as_ref().map(|all| {
                let mut of = |of: &crate::input::BlockCounts| BlockUse {
                    waited: Histogram::of(&of.waited),
                    behind: of.behind,
                    taken_ns: of.taken_ns,
                    untimed: of.untimed,
                    is_stuck: of.is_stuck,
                    slowest: slowest.remove(&of.name),
                };
                all.iter().map(|counts| (counts.name.clone(), of(counts))).collect()
            }),
            synced: counts.synced.as_ref().map(|all| {
                let of = |of: &crate::input::SyncCounts| SyncUse {
                    comm: of.comm.clone(),
                    waited: Histogram::of(&of.waited),
                };
                all.iter().map(|counts| (counts.tgid, of(counts))).collect()
            }),
            timed_out: counts.timed_out.as_ref().map(|all| all.iter().cloned().collect()),
            checked: counts
                .checked
                .as_ref()
                .map(|all| all.iter().map(|of| ((of.cpu, of.bank, of.uncorrected), of.count)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        input::BlockCounts,
        probes::{hardware::Op, storage::Device},
        time::Time,
    };

    fn slow(name: &str, took_ns: u64) -> Record {
        let device = Device { major: 8, minor: 0 };
        let slow = Slow { device, name: name.to_owned(), op: Op::Flush, took_ns, bytes: 0, count: 1 };
        let event = Event::Hardware(Told::Slow(slow));
        Record { time: Time(1), tgid: 0, tid: 0, unreadable: false, late: false, event }
    }

    #[test]
    fn a_sample_has_the_slowest_of_its_own_time() {
        let mut slowest = Slowest::default();
        [("sda", 5), ("sda", 9), ("sda", 7), ("sdb", 1)]
            .iter()
            .for_each(|(name, took)| slowest.note(&slow(name, *took)));
        let sda = BlockCounts { name: "sda".to_owned(), ..BlockCounts::default() };
        let counts = HardwareCounts { block: Some(vec![sda]), ..HardwareCounts::default() };
        let took = |used: HardwareUse| used.block.unwrap()["sda"].slowest.as_ref().map(|slow| slow.took_ns);
        assert_eq!(took(slowest.hardware_use(&counts)), Some(9));
        assert_eq!(took(slowest.hardware_use(&counts)), None);
    }
}
