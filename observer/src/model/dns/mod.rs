//! Look-ups of names, of every process of the node: begun by a query, told as one event when they are over.

mod lookup;
mod name;
mod question;
mod table;

use observer_ebpf::control::role;

use super::{Made, Model, lives::Life};
use crate::{
    output::{Container, Event, Process, Since, What},
    probes::{Record, dns, packet::Owner},
    time::Time,
};
pub use name::zone;
use table::Open;
pub use table::Table;

const NOBODY: &str = "the process is not known: its socket was opened before observer attached";
const NO_CONTAINER: &str = "its container is not known";
const CUT: &str = "the run ended before it was over";

impl Model {
    /// Look-ups given up to bound memory.
    pub fn lookups_given_up(&self) -> u64 {
        self.lookups.given_up
    }

    /// Messages that are none, or that nobody can read.
    pub fn dns_garbage(&self) -> u64 {
        self.lookups.garbage
    }

    pub(super) fn follow_lookups(&mut self, record: &Record, event: &dns::Event) {
        if self.lives.is_none() {
            return;
        }
        match event {
            dns::Event::Packet(packet) => self.lookups.packet(record, packet),
            dns::Event::Failed(failed) => self.lookups.failed(record, failed),
        }
    }

    /// Time has passed for the look-ups under way.
    pub(super) fn look_up_on(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        for open in self.lookups.take_due(time) {
            self.tell_lookup(&open, time, false, make);
        }
    }

    /// The run is over.
    pub(super) fn end_lookups(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        for open in self.lookups.take_all() {
            self.tell_lookup(&open, time, true, make);
        }
    }

    fn tell_lookup(&self, open: &Open, time: Time, cut: bool, make: &mut impl FnMut(Made)) {
        let Some(told) = open.lookup.tell(cut) else { return };
        let began = open.lookup.began;
        let ended = told.latency_ns.map_or(time, |ns| began.plus(ns));
        let (container, since, lack) = match &open.owner {
            Some(owner) => self.whose(owner),
            None => (None, Since::Attach, Some(NOBODY)),
        };
        let cut = Some(CUT).filter(|_| told.outcome == crate::output::DnsOutcome::Unknown);
        let why: Vec<&str> = lack.into_iter().chain(cut).collect();
        make(Made::Event(Box::new(Event {
            time: self.clock.wall(ended),
            began: Some(self.clock.wall(began)),
            container,
            process: open.owner.as_ref().map(|owner| self.asker(owner)),
            since,
            why: (!why.is_empty()).then(|| why.join("; ")),
            what: What::Dns(told),
        })));
    }

    /// The container of a process; or why it cannot be told whether it is in one.
    fn whose(&self, owner: &Owner) -> (Option<Container>, Since, Option<&'static str>) {
        let lives = self.lives.as_ref();
        let life = owner.init.and_then(|init| lives?.get(init)).or_else(|| self.life_in_cgroup(owner));
        if let Some((life, container)) = life.and_then(|life| Some((life, self.container_of(life)?))) {
            return (Some(container), life.since, None);
        }
        let is_contained = owner.init.is_some() || owner.role & role::PAYLOAD != 0;
        (None, Since::Attach, is_contained.then_some(NO_CONTAINER))
    }

    /// Whatever joins a container later (`exec`) is no descendant of its init, but is in its control group.
    fn life_in_cgroup(&self, owner: &Owner) -> Option<&Life> {
        let ids = [owner.cgroup.memory, owner.cgroup.unified];
        // The root of a hierarchy is nobody's own.
        let own = |id: u64| id > 1 && ids.contains(&id);
        let lives = self.lives.as_ref()?;
        lives.iter().filter(|life| life.ended.is_none()).find(|life| self.cgroup_id_of(life).is_some_and(own))
    }

    fn asker(&self, owner: &Owner) -> Process {
        let info = self.processes.get(owner.tgid).filter(|info| info.start == owner.start);
        Process {
            pid: owner.tgid,
            tid: owner.tid,
            ppid: info.map(|info| info.ppid).filter(|ppid| *ppid != 0),
            comm: owner.comm.clone(),
            exe: info.and_then(|info| info.exe.clone()),
            start: Some(self.clock.wall(owner.start)),
        }
    }
}

#[cfg(test)]
mod tests;
