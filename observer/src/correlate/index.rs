//! Spans that came lately, by what they can be tied by.

use std::collections::{BTreeMap, VecDeque};

use super::key::{Key, keys};
use crate::{span::Span, time::Time};

/// How long a span is kept: longer than evidence waits.
const KEEP_NS: u64 = 120_000_000_000;
const MAX_SPANS: usize = 32_768;

#[derive(Default)]
pub(super) struct Index {
    spans: BTreeMap<u64, Span>,
    by_key: BTreeMap<Key, VecDeque<u64>>,
    next: u64,
    keeps_traces: bool,
}

impl Index {
    /// From now on spans can be found by their traces, too.
    pub(super) fn keep_traces(&mut self) {
        self.keeps_traces = true;
    }

    /// Keeps a span that can be tied by anything; gives how many had to go for it.
    pub(super) fn add(&mut self, span: &Span) -> u64 {
        let mut keys = keys(span);
        keys.extend(self.keeps_traces.then_some(Key::Trace(span.trace)));
        if keys.is_empty() {
            return 0;
        }
        self.next += 1;
        for key in keys {
            self.by_key.entry(key).or_default().push_back(self.next);
        }
        self.spans.insert(self.next, span.clone());
        if self.spans.len() > MAX_SPANS {
            self.drop_oldest();
            return 1;
        }
        0
    }

    pub(super) fn forget(&mut self, now: Time) {
        while self.spans.first_key_value().is_some_and(|(_, span)| now.since(span.time) > KEEP_NS) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((number, span)) = self.spans.pop_first() else { return };
        for key in keys(&span).into_iter().chain([Key::Trace(span.trace)]) {
            if let Some(numbers) = self.by_key.get_mut(&key) {
                numbers.retain(|other| *other != number);
                if numbers.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    pub(super) fn find(&self, key: &Key) -> impl Iterator<Item = &Span> {
        let numbers = self.by_key.get(key).into_iter().flatten();
        numbers.filter_map(|number| self.spans.get(number))
    }
}
