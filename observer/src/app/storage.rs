//! Storage: takes in what the kernel side has counted of calls that failed, and has the node's file systems looked at,
//! from time to time.

use super::edge::now;
use crate::{
    input::{Sample, SampleKind},
    source::live::Live,
    time::Time,
};

/// How often it is asked what has failed and was not told, and for how long it must not have failed again.
const EVERY_NS: u64 = 1_000_000_000;
const IDLE_NS: u64 = 2_000_000_000;
/// How often the node's file systems are looked at.
const LOOK_EVERY_NS: u64 = 10_000_000_000;

#[derive(Default)]
pub struct Storage {
    asked: Option<Time>,
    looked: Option<Time>,
    /// One that waits for a server that is gone is not asked twice.
    is_looking: bool,
}

impl Storage {
    /// What has failed and was not told, if it is time to ask.
    pub fn sample(&mut self, live: &mut Live) -> Option<Sample> {
        let time = now();
        if self.asked.is_some_and(|asked| time.since(asked) < EVERY_NS) {
            return None;
        }
        self.asked = Some(time);
        Self::untold(live, IDLE_NS)
    }

    /// All of it.
    pub fn last(live: &mut Live) -> Option<Sample> {
        Self::untold(live, 0)
    }

    fn untold(live: &mut Live, idle_ns: u64) -> Option<Sample> {
        let time = now();
        let failures = live.untold_failures(time, idle_ns);
        (!failures.is_empty()).then_some(Sample { time, what: SampleKind::Failures(failures) })
    }

    /// Whether it is time to look at the node's file systems: whoever asks has them looked at.
    pub fn looks(&mut self) -> bool {
        let time = now();
        let is_due = self.looked.is_none_or(|looked| time.since(looked) >= LOOK_EVERY_NS);
        if !is_due || self.is_looking {
            return false;
        }
        (self.looked, self.is_looking) = (Some(time), true);
        true
    }

    pub fn has_looked(&mut self) {
        self.is_looking = false;
    }
}
