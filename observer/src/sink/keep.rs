//! The starts that are shown in full at the end: a bounded number, the failed and the slowest ones.

use std::collections::BTreeMap;

use crate::output::ColdStart;

#[derive(Debug)]
pub(super) struct Keep {
    limit: usize,
    failed_first: bool,
    seen: u64,
    /// The first key gives way. Of equals the later one.
    starts: BTreeMap<(bool, u64, std::cmp::Reverse<u64>), Box<ColdStart>>,
}

impl Keep {
    /// The slowest of all.
    pub(super) fn slowest(limit: usize) -> Keep {
        Keep { limit, failed_first: false, seen: 0, starts: BTreeMap::new() }
    }

    /// The failed ones, and the slowest of the others.
    pub(super) fn failed_and_slowest(limit: usize) -> Keep {
        Keep { failed_first: true, ..Keep::slowest(limit) }
    }

    pub(super) fn add(&mut self, start: &ColdStart) {
        self.seen += 1;
        let failed = self.failed_first && start.failure.is_some();
        let key = (failed, start.total_ns, std::cmp::Reverse(self.seen));
        let full = self.starts.len() >= self.limit;
        if full && self.starts.first_key_value().is_none_or(|(least, _)| *least >= key) {
            return;
        }
        self.starts.insert(key, Box::new(start.clone()));
        if full {
            self.starts.pop_first();
        }
    }

    /// The foremost first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &ColdStart> {
        self.starts.values().rev().map(|start| &**start)
    }

    pub(super) fn left_out(&self) -> u64 {
        self.seen - self.starts.len() as u64
    }
}
