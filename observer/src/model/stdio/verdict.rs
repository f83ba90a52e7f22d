//! What is said of a stream when its container has ended.

use super::stream::{End, Stream};
use crate::{
    output::{Since, StdioOutcome},
    probes::stdio::ObjectKind,
    time::Time,
};

/// How long what a container leaves in a pipe is given to be taken.
pub const GRACE_NS: u64 = 4_000_000_000;

/// Output that all comes in the last `HELD_LAST_NS` of a life of at least `HELD_LIFE_NS` was held back.
const HELD_LIFE_NS: u64 = 5_000_000_000;
const HELD_LAST_NS: u64 = 500_000_000;

pub const UNSEEN: &str =
    "what was written and taken was not counted all the time: observing cost more than it may";
pub const NOBODY_READS: &str = "writes failed: nobody reads the pipe";

/// What is said of a stream.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub outcome: StdioOutcome,
    pub why: Option<String>,
    /// What was written and not taken; `None`: not known.
    pub left: Option<u64>,
}

impl Said {
    pub fn new(outcome: StdioOutcome, why: Option<&str>, left: Option<u64>) -> Self {
        Said { outcome, why: why.map(str::to_owned), left }
    }
}

impl Stream {
    /// What is to be said when nothing more will come, or `None` while something may.
    pub fn judge(&self, end: &End, time: Time) -> Option<Said> {
        if !self.is_pipe() {
            return Some(self.judge_other(end));
        }
        let left = self.left(end);
        let is_empty = self.pipe.alive && self.pipe.queued == Some(0);
        if left == Some(0) || is_empty {
            return Some(self.judge_drained(end));
        }
        if !self.pipe.alive || self.pipe.readers == 0 {
            return Some(self.judge_abandoned(end, left));
        }
        if time.since(end.time) < GRACE_NS {
            return None;
        }
        let (outcome, why) = match self.pipe.queued {
            _ if self.unseen => (StdioOutcome::Unknown, UNSEEN),
            Some(_) => (StdioOutcome::Blocked, "its reader has not taken what was left in the pipe"),
            None => (StdioOutcome::Unknown, "what is in its pipe could not be read"),
        };
        Some(Said::new(outcome, Some(why), left))
    }

    /// Nobody is left to take what was in the pipe.
    fn judge_abandoned(&self, end: &End, left: Option<u64>) -> Said {
        let is_followed = self.pipe.reader.is_some() || self.reader_gone;
        match left.filter(|_| is_followed) {
            None => {
                let why = "its reader could not be followed, and the pipe is gone";
                Said::new(StdioOutcome::Unknown, Some(why), None)
            }
            Some(_) if end.uncounted => self.uncounted(left),
            Some(_) => {
                let gone = self.reader_gone || self.written.broken > 0;
                let outcome = if gone { StdioOutcome::ReaderGone } else { StdioOutcome::Undelivered };
                Said::new(outcome, Some("it was still in the pipe when the last reader closed"), left)
            }
        }
    }

    /// All that was in the pipe was taken.
    fn judge_drained(&self, end: &End) -> Said {
        let said = |outcome, why| Said::new(outcome, why, Some(0));
        if end.uncounted {
            return self.uncounted(Some(0));
        }
        if self.written.broken > 0 {
            return said(StdioOutcome::ReaderGone, Some(NOBODY_READS));
        }
        if self.written.bytes > 0 {
            let held = self.since == Since::Start && self.was_held(end);
            return said(if held { StdioOutcome::HeldUntilExit } else { StdioOutcome::Delivered }, None);
        }
        if end.now != self.object {
            let why = "it wrote nothing here and now refers to something else";
            return said(StdioOutcome::Redirected, Some(why));
        }
        self.nothing_written(Some(0))
    }

    fn uncounted(&self, left: Option<u64>) -> Said {
        if self.unseen {
            return Said::new(StdioOutcome::Unknown, Some(UNSEEN), left);
        }
        let why = "a process of it writes in a way that is not counted: io_uring, a 32-bit program, or more \
                   streams than are followed";
        Said::new(StdioOutcome::Unknown, Some(why), left)
    }

    fn nothing_written(&self, left: Option<u64>) -> Said {
        match self.since {
            Since::Start => Said::new(StdioOutcome::Silent, None, left),
            Since::Attach => {
                let why = "nothing was written since attach; what was before is not known";
                Said::new(StdioOutcome::Unknown, Some(why), left)
            }
        }
    }

    /// All of it came in the last moment of a long life.
    fn was_held(&self, end: &End) -> bool {
        let first = self.written.first.unwrap_or(end.time);
        end.time.since(self.opened) >= HELD_LIFE_NS && end.time.since(first) <= HELD_LAST_NS
    }

    fn judge_other(&self, end: &End) -> Said {
        match self.object.kind {
            ObjectKind::File | ObjectKind::Null | ObjectKind::Closed => {
                Said::new(StdioOutcome::Redirected, None, None)
            }
            _ if end.uncounted => self.uncounted(None),
            _ if self.written.bytes > 0 => {
                let why = "only of a pipe can be said who took what was written";
                Said::new(StdioOutcome::Unknown, Some(why), None)
            }
            _ => self.nothing_written(None),
        }
    }
}

#[cfg(test)]
mod tests;
