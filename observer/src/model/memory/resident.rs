//! How much memory a container's control group is charged with, from samples of it: since it was first looked at, at
//! most, and how often its limit was reached without anything being killed for it.

use std::collections::BTreeMap;

use super::{State, fold::Telling, of_kind};
use crate::{
    input::{MemoryUse, ResidentFact},
    model::{Made, Model},
    output::{self, FaultKind, Kind, Memory, OomScope, Seen, Since, Want},
    time::Time,
};

/// Processes of one container whose linear memories are known.
const MAX_LINEAR: usize = 256;

/// What was sampled of a container.
#[derive(Clone, Debug, Default)]
pub struct Resident {
    /// Its control group is known, and sampled.
    is_followed: bool,
    sampled: Option<ResidentFact>,
    /// What may be accessed of the linear memories of each of its processes, bytes.
    linear: BTreeMap<u32, u64>,
    /// Something was killed for want of memory since the last sample.
    pub was_killed: bool,
}

impl Resident {
    pub fn take_up(&mut self, fact: Option<ResidentFact>) {
        self.sampled = fact;
    }

    pub fn as_fact(&self) -> Option<ResidentFact> {
        self.sampled
    }

    /// What it holds, by the last sample.
    pub(in crate::model) fn told(&self) -> Option<output::Resident> {
        let ResidentFact { first, last, peak, limit, working_set, anonymous, .. } = self.sampled?;
        let growth = i64::try_from(last).unwrap_or(i64::MAX) - i64::try_from(first).unwrap_or(i64::MAX);
        Some(output::Resident {
            rss_bytes: last,
            rss_peak_bytes: peak,
            rss_growth_bytes: growth,
            working_set_bytes: working_set,
            limit_bytes: limit,
            linear_bytes: self.linear(),
            anonymous_bytes: anonymous,
            of_sidecar: false,
        })
    }

    /// What may be accessed of all its linear memories; `None`: none is known.
    fn linear(&self) -> Option<u64> {
        (!self.linear.is_empty()).then(|| self.linear.values().sum())
    }

    /// Takes in how much of its linear memories a process may access; nothing of one that has ended.
    fn linear_sampled(&mut self, tgid: u32, bytes: u64) {
        if bytes == 0 {
            self.linear.remove(&tgid);
        } else if self.linear.len() < MAX_LINEAR || self.linear.contains_key(&tgid) {
            self.linear.insert(tgid, bytes);
        }
    }

    /// Takes in a sample; how often the limit was reached since the last one. Of a container that has ended only
    /// its peak is left, and its counts.
    fn sampled(&mut self, used: &MemoryUse, since: Since, has_ended: bool) -> u64 {
        let fresh = ResidentFact {
            first: used.current,
            last: used.current,
            peak: used.peak.unwrap_or(used.current),
            limit_hits: used.limit_hits,
            limit: used.limit,
            working_set: None,
            anonymous: None,
        };
        // Before a container began, nothing was counted in its group.
        let counted = if since == Since::Start { Some(0) } else { None };
        let before = self.sampled.map_or(counted, |before| before.limit_hits);
        let mut now = self.sampled.unwrap_or(fresh);
        now.limit = used.limit;
        if !has_ended {
            now.last = used.current;
            now.working_set = used.inactive_file.map(|inactive| used.current.saturating_sub(inactive));
            now.anonymous = used.anonymous;
        }
        now.peak = now.peak.max(fresh.peak).max(now.last);
        now.limit_hits = used.limit_hits.or(now.limit_hits);
        self.sampled = Some(now);
        used.limit_hits.zip(before).map_or(0, |(now, before)| now.saturating_sub(before))
    }
}

impl State {
    /// What a sample tells of a container's memory.
    fn sampled(
        &mut self,
        time: Time,
        who: (u32, u32, String),
        used: &MemoryUse,
        since: Since,
        has_ended: bool,
    ) -> Vec<Telling> {
        let hits = self.resident.sampled(used, since, has_ended);
        // The last sample of an ended one counts what led to the kill, too.
        let was_killed = if has_ended { self.has_been_killed() } else { false };
        if std::mem::take(&mut self.resident.was_killed) || was_killed || hits == 0 {
            return Vec::new();
        }
        let what = Memory {
            scope: Some(OomScope::Memcg),
            rss_bytes: self.resident.sampled.map(|sampled| sampled.last),
            limit_bytes: used.limit,
            count: hits,
            ..of_kind(FaultKind::Limit, Seen::Kernel)
        };
        self.folds.take(Telling { began: None, time, who, start: None, why: None, what })
    }
}

impl Model {
    /// A sample of the control group of the container with this init.
    pub(in crate::model) fn memory_sampled(
        &mut self,
        init: u32,
        time: Time,
        used: &MemoryUse,
        make: &mut impl FnMut(Made),
    ) {
        let who = (init, init, super::comm(&self.processes, init));
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) else { return };
        let mut told = life.memory.sampled(time, who, used, life.since, life.ended.is_some());
        if !self.sees_kills {
            // Something may have been killed.
            told.clear();
        }
        self.tell_memory(init, told, make);
        self.tell_resident(init, make);
    }

    /// A sample of the linear memories of a process of the container with this init.
    pub(in crate::model) fn linear_sampled(
        &mut self,
        init: u32,
        tgid: u32,
        bytes: u64,
        make: &mut impl FnMut(Made),
    ) {
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) else { return };
        life.memory.resident.linear_sampled(tgid, bytes);
        self.tell_resident(init, make);
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return };
        let linear = life.memory.resident.linear();
        if let Some((container, bytes)) = self.container_of(life).zip(linear) {
            make(Made::Linear(Box::new(container), bytes));
        }
    }

    /// How much memory a container holds, for the counts of an interval.
    pub(in crate::model) fn tell_resident(&self, init: u32, make: &mut impl FnMut(Made)) {
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return };
        let Some(resident) = life.memory.resident.told() else { return };
        if let Some(container) = self.container_of(life).filter(|container| container.kind != Kind::Sandbox) {
            let of_sidecar = self.is_sidecar(life, &container);
            make(Made::Resident(Box::new(container), output::Resident { of_sidecar, ..resident }));
        }
    }

    /// From now on the control group of this container is sampled, once it is known.
    pub(in crate::model) fn follow_resident(&mut self, init: u32, make: &mut impl FnMut(Made)) {
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return };
        if life.memory.resident.is_followed || life.ended.is_some() {
            return;
        }
        let of_it = self.container_of(life).filter(|container| container.kind != Kind::Sandbox);
        let Some(cgroup) = of_it.and_then(|container| container.cgroup).filter(|path| is_own(path)) else {
            return;
        };
        if let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) {
            life.memory.resident.is_followed = true;
            make(Made::Want(Want::FollowGroup { init, cgroup }));
        }
    }
}

/// Whether a control group can be a container's own: the root is everybody's.
fn is_own(path: &str) -> bool {
    path.len() > 1 && path.starts_with('/') && !path.split('/').any(|name| name == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn used(current: u64, peak: Option<u64>, limit_hits: u64) -> MemoryUse {
        let current = current * MIB;
        MemoryUse {
            current,
            peak,
            limit: Some(64 * MIB),
            limit_hits: Some(limit_hits),
            inactive_file: Some(0),
            anonymous: None,
        }
    }

    fn sample(state: &mut State, time: u64, used: &MemoryUse) -> Vec<Memory> {
        let who = (9, 9, "app".to_owned());
        let told = state.sampled(Time(time * 1_000_000_000), who, used, Since::Start, false);
        told.into_iter().map(|telling| telling.what).collect()
    }

    #[test]
    fn first_last_and_peak_are_kept() {
        let mut state = State::default();
        for (time, (current, peak)) in [(5, None), (40, None), (10, Some(50 * MIB))].into_iter().enumerate() {
            assert_eq!(sample(&mut state, time as u64, &used(current, peak, 0)), []);
        }
        let told = state.resident.told().unwrap();
        assert_eq!((told.rss_bytes, told.rss_peak_bytes), (10 * MIB, 50 * MIB));
        assert_eq!(told.rss_growth_bytes, 5 * MIB as i64);
        state.sampled(Time(9), (9, 9, String::new()), &used(0, None, 0), Since::Start, true);
        assert_eq!(state.resident.told().unwrap().rss_bytes, 10 * MIB, "an ended one has no memory any more");
    }

    #[test]
    fn a_limit_that_is_reached_is_told_at_most_every_ten_seconds() {
        let mut state = State::default();
        assert_eq!(sample(&mut state, 0, &used(60, None, 0)), []);
        let told = sample(&mut state, 5, &used(64, None, 3));
        assert_eq!((told[0].kind, told[0].count), (FaultKind::Limit, 3));
        assert_eq!((told[0].rss_bytes, told[0].limit_bytes), (Some(64 * MIB), Some(64 * MIB)));
        assert_eq!(sample(&mut state, 10, &used(64, None, 5)), []);
        assert_eq!(sample(&mut state, 14, &used(64, None, 6)), []);
        let due = state.folds.due(Some(Time(15_000_000_000)));
        assert_eq!(due.into_iter().map(|telling| telling.what.count).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_kill_is_not_told_as_a_limit_too() {
        let mut state = State::default();
        state.resident.was_killed = true;
        assert_eq!(sample(&mut state, 5, &used(64, None, 3)), []);
        assert_eq!(sample(&mut state, 10, &used(64, None, 4)).len(), 1, "the next one is");
    }

    #[test]
    fn what_was_counted_before_attach_is_nobodys_news() {
        let mut state = State::default();
        let told = state.sampled(Time(0), (9, 9, String::new()), &used(5, None, 7), Since::Attach, false);
        assert!(told.is_empty());
    }

    #[test]
    fn linear_memories_of_all_its_processes_are_one_sum() {
        let mut state = State::default();
        state.resident.linear_sampled(9, MIB);
        assert_eq!(state.resident.told(), None, "its control group comes first");
        sample(&mut state, 0, &used(60, None, 0));
        let told = |state: &State| state.resident.told().unwrap().linear_bytes;
        state.resident.linear_sampled(10, 2 * MIB);
        assert_eq!(told(&state), Some(3 * MIB));
        state.resident.linear_sampled(9, 0);
        assert_eq!(told(&state), Some(2 * MIB));
        state.resident.linear_sampled(10, 0);
        assert_eq!(told(&state), None);
    }

    #[test]
    fn the_root_is_nobodys_own() {
        assert!(is_own("/kubepods/pod1/c") && !is_own("/") && !is_own("") && !is_own("/../a"));
    }
}
