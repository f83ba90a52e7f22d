//! What may be believed: which probes are there, and what they lost when.

use std::collections::{BTreeMap, VecDeque};

use observer_ebpf::Family;

use crate::{
    health::{ProbeReport, Report, Status},
    signals::Signal,
    time::Time,
};

/// Losses remembered of a probe.
const MAX_LOSSES: usize = 64;
const FOREVER: Time = Time(u64::MAX);

#[derive(Debug, Default)]
pub struct Trust {
    statuses: BTreeMap<u8, (Status, Option<String>)>,
    /// When how many records were lost.
    losses: BTreeMap<u8, VecDeque<(Time, u64)>>,
    totals: BTreeMap<u8, u64>,
    /// Until when a probe was given up last; the end of time while it is.
    shed: BTreeMap<u8, Time>,
}

impl Trust {
    pub fn report(&mut self, report: &ProbeReport) {
        if let Report::Status { family, status, why, .. } = &report.what {
            self.statuses.insert(*family, (*status, why.clone()));
            if *status == Status::Shed {
                self.shed.insert(*family, FOREVER);
            } else if let Some(until) = self.shed.get_mut(family).filter(|until| **until == FOREVER) {
                *until = report.time;
            }
        }
    }

    /// Until when a probe was given up last that a signal needs; the end of time while it is.
    pub fn shed_until(&self, signal: Signal) -> Option<Time> {
        signal.spec().needs.iter().filter_map(|family| self.shed.get(&(*family as u8)).copied()).max()
    }

    /// So many records of a family are lost by now.
    pub fn lost(&mut self, family: u8, total: u64, time: Time) {
        let before = self.totals.insert(family, total).unwrap_or(0);
        if total > before {
            let losses = self.losses.entry(family).or_default();
            losses.push_back((time, total - before));
            if losses.len() > MAX_LOSSES {
                losses.pop_front();
            }
        }
    }

    /// Why a signal is not measured at all.
    pub fn absent(&self, signal: Signal) -> Option<String> {
        signal.spec().needs.iter().find_map(|family| match self.statuses.get(&(*family as u8)) {
            Some((Status::Attached | Status::Degraded | Status::Waiting, _)) => None,
            Some((status, Some(why))) => Some(format!("probe {} is {}: {why}", family.name(), status.name())),
            Some((status, None)) => Some(format!("probe {} is {}", family.name(), status.name())),
            None => Some(format!("probe {} is off", family.name())),
        })
    }

    /// What the probes of a signal say of hooks that they could not take, or not as they would.
    pub fn said(&self, signal: Signal) -> Option<String> {
        signal.spec().needs.iter().find_map(|family| {
            let (_, why) = self.statuses.get(&(*family as u8))?;
            Some(format!("probe {} says: {}", family.name(), why.as_ref()?))
        })
    }

    /// Why a signal may not be all that was, from then on.
    pub fn doubt(&self, signal: Signal, from: Time) -> Option<String> {
        signal.spec().needs.iter().find_map(|family| self.doubt_of(*family, from))
    }

    fn doubt_of(&self, family: Family, from: Time) -> Option<String> {
        if self.shed.get(&(family as u8)).is_some_and(|until| *until >= from) {
            return Some(shed(family));
        }
        let losses = self.losses.get(&(family as u8)).into_iter().flatten();
        let lost: u64 = losses.filter(|(time, _)| *time >= from).map(|(_, count)| count).sum();
        (lost > 0).then(|| format!("{lost} records of probe {} were lost meanwhile", family.name()))
    }
}

/// What is said of what relies on a probe that was given up.
pub fn shed(family: Family) -> String {
    format!("probe {} was given up meanwhile: observing cost more than it may", family.name())
}
