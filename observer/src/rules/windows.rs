//! What was observed of late, by series and key. Bounded: what there is no room for is counted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{compile::MAX_COUNT, series::Series};
use crate::{
    output::Since,
    signals::{Label, Observation, Signal},
    time::{Time, Wall},
};

/// Observations kept of one key of a series, and of all together.
const MAX_KEPT: usize = MAX_COUNT as usize;
const MAX_ALL: usize = 1 << 18;
/// How often what is too old is looked for: all that is kept is looked through, and what is too old is never judged by.
const PRUNE_NS: u64 = 5_000_000_000;

/// An observation, as far as rules and evidence need it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Which of all that was ever kept it is: later ones have higher numbers.
    pub number: u64,
    pub time: Time,
    pub at: Wall,
    pub signal: Signal,
    pub probe: &'static str,
    pub value: f64,
    pub text: Option<Arc<str>>,
    /// The value of the label that its series keeps.
    pub other: Option<Arc<str>>,
    pub since: Since,
}

/// Values of labels that evidence has in common, in the order of the rule's labels.
pub type Key = Vec<Arc<str>>;

#[derive(Debug, Default)]
pub struct Windows {
    by_series: Vec<BTreeMap<Key, VecDeque<Kept>>>,
    all: usize,
    /// What was ever kept.
    taken: u64,
    pruned: Time,
    /// Observations for which there was no room.
    pub given_up: u64,
}

impl Windows {
    pub fn new(series: usize) -> Windows {
        Windows { by_series: vec![BTreeMap::new(); series], ..Windows::default() }
    }

    /// Keeps an observation in a series; `false`: it does not belong there.
    pub fn take(&mut self, at: usize, series: &Series, observation: &Observation) -> bool {
        let about = &observation.about;
        if (about.in_teardown && !series.in_teardown) || (about.is_young && !series.when_young) {
            return false;
        }
        if !series.of.takes(|label| observation.label(label))
            || series.least.is_some_and(|least| observation.value < least)
        {
            return false;
        }
        let Some(key) = key(&series.key, observation) else { return false };
        if self.all >= MAX_ALL {
            self.given_up += 1;
            return false;
        }
        // Most keys are those of containers of which there is one observation.
        let window = self.by_series[at].entry(key).or_insert_with(|| VecDeque::with_capacity(1));
        let before = window.len();
        while window.front().is_some_and(|kept| observation.time.since(kept.time) > series.keep.0) {
            window.pop_front();
        }
        if window.len() >= MAX_KEPT {
            window.pop_front();
        }
        self.taken += 1;
        window.push_back(Kept {
            number: self.taken,
            time: observation.time,
            at: observation.at,
            signal: observation.signal,
            probe: about.probe,
            value: observation.value,
            text: observation.text.as_deref().map(Arc::from),
            other: series.other.and_then(|label| observation.label(label)).map(Arc::from),
            since: about.since,
        });
        self.all = self.all + window.len() - before;
        true
    }

    /// What is kept of a key, oldest first.
    pub fn of(&self, series: usize, key: &[Arc<str>]) -> impl DoubleEndedIterator<Item = &Kept> {
        self.by_series[series].get(key).into_iter().flatten()
    }

    /// What is kept of a series, whatever its keys.
    pub fn of_all(&self, series: usize) -> impl Iterator<Item = &Kept> {
        self.by_series[series].values().flatten()
    }

    /// What is kept of a series, by key.
    pub fn all_of(&self, series: usize) -> impl Iterator<Item = (&Key, &VecDeque<Kept>)> {
        self.by_series[series].iter()
    }

    /// Forgets what nobody looks back at any more.
    pub fn prune(&mut self, series: &[Series], now: Time) {
        if now.since(self.pruned) < PRUNE_NS {
            return;
        }
        self.pruned = now;
        for (windows, series) in self.by_series.iter_mut().zip(series) {
            windows.retain(|_, window| {
                window.back().is_some_and(|newest| now.since(newest.time) <= series.keep.0)
            });
        }
        self.all = self.by_series.iter().flat_map(BTreeMap::values).map(VecDeque::len).sum();
    }
}

/// The values of these labels; `None`: one is not known.
pub fn key(labels: &[Label], observation: &Observation) -> Option<Key> {
    labels.iter().map(|label| observation.label(*label).map(Arc::from)).collect()
}
