//! Processes of interest: who they are and what they descend from.

use std::collections::{BTreeMap, VecDeque};

use crate::{input::ProcessFact, probes::invocation::Program, time::Time};

/// Processes kept; the oldest that ended goes first.
const MAX_PROCESSES: usize = 131_072;
/// Of those, how many that have ended, and for how long: what comes late of them, and their children, still name them.
const MAX_ENDED: usize = 16_384;
const ENDED_NS: u64 = 120_000_000_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessInfo {
    pub tgid: u32,
    pub ppid: u32,
    pub start: Time,
    pub comm: String,
    pub exe: Option<String>,
    pub program: Option<Program>,
    pub ended: Option<Time>,
    /// When it was last executed as a program of its own.
    pub executed: Option<Time>,
    /// Container starts that it has asked for.
    pub starts: u32,
    /// The database that it has opened, where it keeps a cluster's objects in one.
    pub datastore: Option<String>,
}

/// `/proc` says when a process began to the clock tick, the kernel side to the nanosecond.
const TICK_NS: u64 = 10_000_000;

impl ProcessInfo {
    /// Whether it is the process with its pid that began then.
    pub fn began_at(&self, start: Time) -> bool {
        start.0.checked_sub(self.start.0).is_some_and(|later| later < TICK_NS)
    }
}

/// One that has ended: `start` tells it from another with its pid.
struct Ended {
    tgid: u32,
    start: Time,
    at: Time,
}

/// All known processes by pid. A pid that is used again replaces the process that ended.
#[derive(Default)]
pub struct Processes {
    by_tgid: BTreeMap<u32, ProcessInfo>,
    /// Ended ones in the order of their end.
    ended: VecDeque<Ended>,
    pub evicted: u64,
}

impl Processes {
    pub fn get(&self, tgid: u32) -> Option<&ProcessInfo> {
        self.by_tgid.get(&tgid)
    }

    pub fn get_mut(&mut self, tgid: u32) -> Option<&mut ProcessInfo> {
        self.by_tgid.get_mut(&tgid)
    }

    pub fn insert(&mut self, info: ProcessInfo) {
        self.by_tgid.insert(info.tgid, info);
        while self.by_tgid.len() > MAX_PROCESSES
            && let Some(was_known) = self.forget_ended()
        {
            self.evicted += u64::from(was_known);
        }
        // Nothing has ended: give up the one with the lowest pid rather than grow.
        if self.by_tgid.len() > MAX_PROCESSES {
            self.by_tgid.pop_first();
            self.evicted += 1;
        }
    }

    /// A child begins as a copy of its parent.
    pub fn fork(&mut self, parent: u32, child: u32, start: Time) {
        let mut info = self.by_tgid.get(&parent).cloned().unwrap_or_default();
        info.tgid = child;
        info.ppid = parent;
        info.start = start;
        info.ended = None;
        info.starts = 0;
        self.insert(info);
    }

    /// It has opened the database of a cluster. What nothing is known of is looked up yet, with what it has open.
    pub fn opened_datastore(&mut self, tgid: u32, path: &str) {
        if let Some(info) = self.by_tgid.get_mut(&tgid) {
            info.datastore = Some(path.to_owned());
        }
    }

    pub fn end(&mut self, tgid: u32, time: Time) {
        if let Some(info) = self.by_tgid.get_mut(&tgid) {
            info.ended = Some(time);
            self.ended.push_back(Ended { tgid, start: info.start, at: time });
        }
        while self.ended.len() > MAX_ENDED
            || self.ended.front().is_some_and(|oldest| time.since(oldest.at) > ENDED_NS)
        {
            self.forget_ended();
        }
    }

    /// The one that ended first goes, if it was still known: its pid may be another's by now. `None`: none has ended.
    fn forget_ended(&mut self) -> Option<bool> {
        let Ended { tgid, start, .. } = self.ended.pop_front()?;
        let is_known =
            self.by_tgid.get(&tgid).is_some_and(|info| info.start == start && info.ended.is_some());
        if is_known {
            self.by_tgid.remove(&tgid);
        }
        Some(is_known)
    }

    /// Those that live and are programs of interest, as facts.
    pub fn alive(&self) -> impl Iterator<Item = ProcessFact> {
        let of_interest = |info: &&ProcessInfo| {
            info.ended.is_none() && (info.program.is_some() || info.datastore.is_some())
        };
        self.by_tgid.values().filter(of_interest).map(|info| ProcessFact {
            tgid: info.tgid,
            ppid: info.ppid,
            start: info.start,
            comm: info.comm.clone(),
            exe: info.exe.clone(),
            role: 0,
            datastore: info.datastore.clone(),
        })
    }

    /// The process and its ancestors, as far as they are known. Ends, whatever pids are reused.
    pub fn ancestors(&self, tgid: u32) -> impl Iterator<Item = &ProcessInfo> {
        std::iter::successors(self.get(tgid), |info| {
            self.get(info.ppid).filter(|parent| parent.tgid != info.tgid)
        })
        .take(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_a_copy_with_its_own_identity() {
        let mut processes = Processes::default();
        processes.insert(ProcessInfo { tgid: 7, comm: "crun".to_owned(), ..ProcessInfo::default() });
        processes.fork(7, 8, Time(5));
        let child = processes.get(8).unwrap();
        assert_eq!((child.ppid, child.start, child.comm.as_str()), (7, Time(5), "crun"));
        assert_eq!(processes.ancestors(8).map(|info| info.tgid).collect::<Vec<_>>(), [8, 7]);
    }

    #[test]
    fn of_those_that_ended_the_latest_are_remembered_and_no_more() {
        let mut processes = Processes::default();
        let all = 3 * MAX_ENDED as u32;
        processes.insert(ProcessInfo { tgid: 1, ..ProcessInfo::default() });
        for number in 0..all {
            // Pids are used again.
            let tgid = 2 + number % (2 * MAX_ENDED as u32);
            processes.fork(1, tgid, Time(u64::from(number)));
            processes.end(tgid, Time(u64::from(number)));
        }
        assert_eq!((processes.by_tgid.len(), processes.ended.len()), (MAX_ENDED + 1, MAX_ENDED));
        assert!(processes.get(1).is_some_and(|info| info.ended.is_none()));
        let last = processes.get(2 + (all - 1) % (2 * MAX_ENDED as u32)).expect("the last that ended");
        assert_eq!(last.start, Time(u64::from(all - 1)));
        assert_eq!(processes.evicted, 0);
    }

    #[test]
    fn those_that_ended_long_ago_are_forgotten() {
        let mut processes = Processes::default();
        for (tgid, at) in [(1, 0), (2, ENDED_NS), (3, ENDED_NS + 1)] {
            processes.fork(0, tgid, Time(0));
            processes.end(tgid, Time(at));
        }
        let known = [1, 2, 3].map(|tgid| processes.get(tgid).is_some());
        assert_eq!((known, processes.ended.len()), ([false, true, true], 2));
    }

    #[test]
    fn a_loop_of_reused_pids_ends() {
        let mut processes = Processes::default();
        processes.insert(ProcessInfo { tgid: 1, ppid: 2, ..ProcessInfo::default() });
        processes.insert(ProcessInfo { tgid: 2, ppid: 1, ..ProcessInfo::default() });
        assert_eq!(processes.ancestors(1).count(), 32);
    }
}
