//! Probes that are given up for a while: what was under way then is not known to have come to anything, and is told so or
//! not at all. What they would have seen meanwhile must not look as if it had not happened.

use std::collections::BTreeMap;

use observer_ebpf::Family;

use super::{Made, Model};
use crate::{
    health::{ProbeReport, Report, Status},
    time::Time,
};

const FOREVER: Time = Time(u64::MAX);

/// Until when each was given up last; the end of time while it is.
#[derive(Debug, Default)]
pub(super) struct Shed(BTreeMap<u8, Time>);

impl Shed {
    /// Whether this probe was given up at that time, or before it: since then it may have seen a part only.
    pub fn missed(&self, family: Family, time: Time) -> bool {
        self.0.get(&(family as u8)).is_some_and(|until| time < *until)
    }
}

impl Model {
    pub(super) fn reported(&mut self, report: &ProbeReport, make: &mut impl FnMut(Made)) {
        let Report::Status { family, status, .. } = &report.what else { return };
        if *family == Family::Fault as u8 {
            self.sees_kills = matches!(status, Status::Attached | Status::Degraded | Status::Waiting);
        }
        if *status == Status::Shed {
            let before = self.shed.0.insert(*family, FOREVER);
            if before != Some(FOREVER) && *family == Family::Dns as u8 {
                self.lookups.take_all();
            }
            if before != Some(FOREVER) && *family == Family::Stdio as u8 {
                self.streams_unseen(report.time, make);
            }
        } else if let Some(until) = self.shed.0.get_mut(family).filter(|until| **until == FOREVER) {
            *until = report.time;
        }
    }
}

#[cfg(test)]
mod tests;
