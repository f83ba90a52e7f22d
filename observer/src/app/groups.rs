//! Memory control groups of containers: read from time to time, and once more when their container ends.

use std::collections::{BTreeMap, VecDeque};

use super::edge::now;
use crate::{
    input::{MemoryUse, Record, Sample, SampleKind},
    probes::{Event, process},
    source::facts::{HostRoot, memory},
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
}

impl Groups {
    pub fn follow(&mut self, init: u32, cgroup: String) {
        if self.followed.len() < MAX_GROUPS
            && self.followed.insert(init, Group { cgroup, last: None }).is_none()
        {
            self.queue.push_front((Time(0), init));
        }
    }

    /// Sees a record before it is ordered: a control group outlives its container by milliseconds.
    pub fn note(&mut self, host: &HostRoot, record: &Record) {
        if let Event::Process(process::Event::Exited { .. }) = &record.event
            && let Some(mut group) = self.followed.remove(&record.tgid)
        {
            self.ended.extend(group.read(host, record.tgid).ok().flatten());
        }
    }

    /// What has changed since it was last handed on.
    pub fn samples(&mut self, host: &HostRoot) -> Vec<Sample> {
        let mut samples = std::mem::take(&mut self.ended);
        let time = now();
        for _ in 0..A_TURN {
            let Some((_, init)) = self.queue.pop_front_if(|(due, _)| *due <= time) else { break };
            let Some(group) = self.followed.get_mut(&init) else { continue };
            match group.read(host, init) {
                Ok(sample) => {
                    samples.extend(sample);
                    self.queue.push_back((time.plus(EVERY_NS), init));
                }
                // It is gone, or was never there.
                Err(_) => {
                    self.followed.remove(&init);
                }
            }
        }
        samples
    }
}

impl Group {
    fn read(&mut self, host: &HostRoot, init: u32) -> std::io::Result<Option<Sample>> {
        let used = memory::usage(host, &self.cgroup)?;
        if self.last.is_some_and(|last| !has_changed(&last, &used)) {
            return Ok(None);
        }
        self.last = Some(used);
        Ok(Some(Sample { time: now(), what: SampleKind::Memory { init, used } }))
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
        };
        let before = of(100 << 20, 0);
        assert!(!has_changed(&before, &of((100 << 20) + MUCH, 0)));
        assert!(has_changed(&before, &of(98 << 20, 0)));
        assert!(has_changed(&before, &of(100 << 20, 1)));
        assert!(has_changed(&of(1 << 20, 0), &of((1 << 20) + (100 << 10), 0)), "a tenth of little");
    }
}
