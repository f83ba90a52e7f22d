//! What happens again and again is told at once, and then from time to time.

use std::collections::BTreeMap;

use crate::{
    output::{FaultKind, Memory},
    time::Time,
};

/// Kinds of events that are held back at once to be told together.
const MAX_FOLDS: usize = 64;
/// What happens again within this time is told once.
pub const REPEAT_NS: u64 = 10_000_000_000;

/// What is told together.
type Alike = (FaultKind, Option<i32>, String);

#[derive(Clone, Debug)]
struct Fold {
    told: Time,
    /// What was not told yet.
    pending: Option<Telling>,
}

/// An event to be.
#[derive(Clone, Debug)]
pub struct Telling {
    /// When the first of them happened, where it tells of several.
    pub began: Option<Time>,
    pub time: Time,
    /// Process, thread, its name.
    pub who: (u32, u32, String),
    /// When the process started.
    pub start: Option<Time>,
    pub why: Option<&'static str>,
    pub what: Memory,
}

/// What was told of a container, and what has happened again since.
#[derive(Clone, Debug, Default)]
pub struct Folds {
    by_kind: BTreeMap<Alike, Fold>,
}

impl Folds {
    pub fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    /// Told at once what is new; what happens again waits, and is told as one.
    pub fn take(&mut self, mut telling: Telling) -> Vec<Telling> {
        let alike = (telling.what.kind, telling.what.signal, telling.who.2.clone());
        let mut told = Vec::new();
        match self.by_kind.get_mut(&alike) {
            Some(fold) => {
                if let Some(pending) = fold.pending.take() {
                    telling.what.count += pending.what.count;
                    telling.began = pending.began.or(Some(pending.time));
                }
                if telling.time.since(fold.told) < REPEAT_NS {
                    fold.pending = Some(telling);
                } else {
                    fold.told = telling.time;
                    told.push(telling);
                }
            }
            None => {
                if self.by_kind.len() >= MAX_FOLDS
                    && let Some((_, fold)) = self.by_kind.pop_first()
                {
                    told.extend(fold.pending);
                }
                self.by_kind.insert(alike, Fold { told: telling.time, pending: None });
                told.push(telling);
            }
        }
        told
    }

    /// What has waited long enough as of `time`; without one, all that waits.
    pub fn due(&mut self, time: Option<Time>) -> Vec<Telling> {
        let is_due = |fold: &Fold| time.is_none_or(|time| time.since(fold.told) >= REPEAT_NS);
        let mut told = Vec::new();
        self.by_kind.retain(|_, fold| {
            if !is_due(fold) {
                return true;
            }
            let Some(pending) = fold.pending.take() else { return false };
            fold.told = time.unwrap_or(pending.time);
            told.push(pending);
            true
        });
        told
    }
}
