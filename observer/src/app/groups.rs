//! Control groups of containers, memory and CPU time: read from time to time, and once more when their container ends.

use std::collections::{BTreeMap, VecDeque};

use super::edge::now;
use crate::{
    input::{MemoryUse, Record, Sample, SampleKind},
    probes::{Event, process},
    source::facts::{HostRoot, cpu, memory},
    time::Time,
};

/// How often a control group is read.
const EVERY_NS: u64 = 5_000_000_000;
/// Control groups read in one turn: of more than 2,000 each one is read less often.
const A_TURN: usize = 8;
/// Control groups that are followed; what comes then is not.
const MAX_GROUPS: usize = 16_384;
/// What has changed by less than this, and by less than a 20th, is not handed on.
const MUCH: u64 = 1 << 20;

/// The control groups that are read, by the init of their container.
#[derive(Default)]
pub struct Groups {
    followed: BTreeMap<u32, Group>,
    /// In the order in which they are due.
    queue: VecDeque<(Time, u32)>,
    ended: Vec<Sample>,
}

struct Group {
    cgroup: String,
    last: Option<MemoryUse>,
    /// Or was never there: it is in neither hierarchy.
    is_gone: bool,
}

impl Groups {
    pub fn follow(&mut self, init: u32, cgroup: String) {
        if self.followed.len() < MAX_GROUPS
            && self.followed.insert(init, Group { cgroup, last: None, is_gone: false }).is_none()
        {
            self.queue.push_front((Time(0), init));
        }
    }

    /// Sees a record before it is ordered: a control group outlives its container by milliseconds.
    pub fn note(&mut self, host: &HostRoot, record: &Record) {
        if let Event::Process(process::Event::Exited { .. }) = &record.event
            && let Some(mut group) = self.followed.remove(&record.tgid)
        {
            self.ended.extend(group.read(host, record.tgid));
        }
    }

    /// What has changed since it was last handed on.
    pub fn samples(&mut self, host: &HostRoot) -> Vec<Sample> {
        let mut samples = std::mem::take(&mut self.ended);
        let time = now();
        for _ in 0..A_TURN {
            let Some((_, init)) = self.queue.pop_front_if(|(due, _)| *due <= time) else { break };
            let Some(group) = self.followed.get_mut(&init) else { continue };
            let read = group.read(host, init);
            if group.is_gone {
                self.followed.remove(&init);
            } else {
                self.queue.push_back((time.plus(EVERY_NS), init));
            }
            samples.extend(read);
        }
        samples
    }
}

impl Group {
    /// CPU time is handed on even if there was none: that is what an idle container is known by.
    fn read(&mut self, host: &HostRoot, init: u32) -> Vec<Sample> {
        let cpu = cpu::counts(host, &self.cgroup);
        let cpu = cpu.ok().map(|counts| Sample { time: now(), what: SampleKind::Cpu { init, counts } });
        let memory = memory::usage(host, &self.cgroup);
        self.is_gone = cpu.is_none() && memory.is_err();
        let used = memory.ok().filter(|used| self.last.is_none_or(|last| has_changed(&last, used)));
        self.last = used.or(self.last);
        let memory = used.map(|used| Sample { time: now(), what: SampleKind::Memory { init, used } });
        cpu.into_iter().chain(memory).collect()
    }
}

fn has_changed(before: &MemoryUse, now: &MemoryUse) -> bool {
    let much = |before: u64, now: u64| {
        let change = now.abs_diff(before);
        change > MUCH || change > before / 20
    };
    before.limit != now.limit
        || before.limit_hits != now.limit_hits
        || much(before.current, now.current)
        || much(before.peak.unwrap_or(0), now.peak.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_changes_are_nobodys_concern() {
        let of = |current, limit_hits| MemoryUse {
            current,
            peak: Some(200 << 20),
            limit: None,
            limit_hits: Some(limit_hits),
            inactive_file: None,
            anonymous: None,
        };
        let before = of(100 << 20, 0);
        assert!(!has_changed(&before, &of((100 << 20) + MUCH, 0)));
        assert!(has_changed(&before, &of(98 << 20, 0)));
        assert!(has_changed(&before, &of(100 << 20, 1)));
        assert!(has_changed(&of(1 << 20, 0), &of((1 << 20) + (100 << 10), 0)), "a tenth of little");
    }
}
