//! Records of one ring arrive slightly out of order: they are held for a moment and handed on by time.

use std::collections::BTreeMap;

use crate::{input::Record, time::Time};

/// How long a record is held, nanoseconds.
pub const HOLD_NS: u64 = 20_000_000;

/// Orders records by time, then by arrival.
#[derive(Default)]
pub struct Reorder {
    held: BTreeMap<(Time, u64), Record>,
    arrivals: u64,
    /// Everything up to here was handed on.
    passed: Time,
}

impl Reorder {
    /// Takes a record in. One from before the last [`Reorder::release`] is marked late.
    pub fn push(&mut self, mut record: Record) {
        record.late = record.time <= self.passed && self.passed != Time(0);
        self.arrivals += 1;
        self.held.insert((record.time, self.arrivals), record);
    }

    /// Hands on, in order, what is not younger than `until`.
    pub fn release(&mut self, until: Time) -> impl Iterator<Item = Record> + use<> {
        self.passed = self.passed.max(until);
        let younger = self.held.split_off(&(Time(until.0.saturating_add(1)), 0));
        std::mem::replace(&mut self.held, younger).into_values()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::{Event, process};

    fn record(time: u64) -> Record {
        let event = Event::Process(process::Event::Renamed { role: 0, comm: String::new() });
        Record { time: Time(time), tgid: 1, tid: 1, unreadable: false, late: false, event }
    }

    fn times(records: impl Iterator<Item = Record>) -> Vec<(u64, bool)> {
        records.map(|record| (record.time.0, record.late)).collect()
    }

    #[test]
    fn hands_on_in_order_and_keeps_the_young() {
        let mut reorder = Reorder::default();
        for time in [30, 10, 20, 40] {
            reorder.push(record(time));
        }
        assert_eq!(times(reorder.release(Time(30))), [(10, false), (20, false), (30, false)]);
        assert_eq!(reorder.len(), 1);
    }

    #[test]
    fn marks_stragglers() {
        let mut reorder = Reorder::default();
        reorder.push(record(30));
        assert_eq!(times(reorder.release(Time(30))), [(30, false)]);
        reorder.push(record(25));
        assert_eq!(times(reorder.release(Time(31))), [(25, true)]);
    }
}
