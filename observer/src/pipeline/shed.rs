//! Which probes were given up because observing cost too much, and for how long.

use std::collections::BTreeMap;

use crate::{health::Status, time::Time};

#[derive(Debug, Default)]
pub(super) struct Shed(BTreeMap<u8, Of>);

#[derive(Clone, Copy, Debug, Default)]
struct Of {
    since: Option<Time>,
    before_ns: u64,
}

impl Shed {
    /// Whether it is given up or taken up again by this.
    pub fn report(&mut self, family: u8, status: Status, time: Time) -> bool {
        if status == Status::Shed {
            let of = self.0.entry(family).or_default();
            let is_news = of.since.is_none();
            of.since.get_or_insert(time);
            return is_news;
        }
        let Some(of) = self.0.get_mut(&family) else { return false };
        let Some(since) = of.since.take() else { return false };
        of.before_ns += time.since(since);
        true
    }

    /// Those that were given up, and how long in all by now, nanoseconds.
    pub fn all(&self, now: Time) -> impl Iterator<Item = (u8, u64)> {
        self.0
            .iter()
            .map(move |(family, of)| (*family, of.before_ns + of.since.map_or(0, |since| now.since(since))))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
