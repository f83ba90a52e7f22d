//! Look-ups of names, of every process of the node: begun by a query, told as one event when they are over.

mod lookup;
mod name;
mod question;
mod table;
mod unasked;

use observer_ebpf::Family;

use super::{Made, Model, net::Way};
use crate::{
    output::{DnsOutcome, Event, Since, What},
    probes::{Record, dns},
    time::Time,
};
pub use name::zone;
use table::Open;
pub use table::Table;

const NOBODY: &str = "the process is not known: its socket was opened before observer attached";
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

    /// Connections over which names are looked up in a way that cannot be read.
    pub fn encrypted_lookups(&self) -> u64 {
        self.lookups.encrypted
    }

    pub(super) fn follow_lookups(
        &mut self,
        record: &Record,
        event: &dns::Event,
        make: &mut impl FnMut(Made),
    ) {
        if self.lives.is_none() || self.shed.missed(Family::Dns, record.time) {
            return;
        }
        match event {
            dns::Event::Packet(packet) => self.lookups.packet(record, packet),
            dns::Event::Failed(failed) => self.lookups.failed(record, failed),
            dns::Event::Unresolved(call) => self.tell_unasked(record, call, make),
        }
    }

    /// Time has passed for the look-ups under way.
    pub(super) fn look_up_on(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        for open in self.lookups.take_due(time) {
            self.tell_lookup(&open, time, false, make);
        }
        self.tell_without_backend(time, false, make);
    }

    /// The run is over.
    pub(super) fn end_lookups(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        for open in self.lookups.take_all() {
            self.tell_lookup(&open, time, true, make);
        }
        self.tell_without_backend(time, true, make);
    }

    fn tell_lookup(&mut self, open: &Open, time: Time, cut: bool, make: &mut impl FnMut(Made)) {
        let Some(mut told) = open.lookup.tell(cut) else { return };
        if told.outcome == DnsOutcome::Error && told.decided.errno.is_some() {
            self.lookups.told_refused(open, time);
            if open.again {
                return;
            }
        }
        let began = open.lookup.began;
        if told.outcome.is_failure() {
            let of_it = [told.decided.server, told.decided.backend.as_ref().map(|backend| backend.address)];
            let mut ways = open.lookup.ways().filter(|(to, _)| of_it.contains(&Some(*to)));
            told.drop =
                ways.find_map(|(remote, port)| self.drops.since(began, &Way { remote, port, netns: None }));
        }
        let ended = told.latency_ns.map_or(time, |ns| began.plus(ns));
        let (container, since, lack) = match &open.owner {
            Some(owner) => self.whose(owner),
            None => (None, Since::Attach, Some(NOBODY)),
        };
        let cut = Some(CUT).filter(|_| told.outcome == DnsOutcome::Unknown);
        let why: Vec<&str> = lack.into_iter().chain(cut).collect();
        let route = open.lookup.route(&told.decided);
        let event = Event {
            time: self.clock.wall(ended),
            began: Some(self.clock.wall(began)),
            container,
            process: open.owner.as_ref().map(|owner| self.process_of(owner)),
            since,
            why: (!why.is_empty()).then(|| why.join("; ")),
            what: What::Dns(told),
        };
        self.tell_with_backend(Box::new(event), route, (began, time), make);
    }
}

#[cfg(test)]
mod tests;
