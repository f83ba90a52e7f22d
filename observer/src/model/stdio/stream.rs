//! One standard stream of a container, and what was counted of it.

use super::{held::Held, readers::Reader};
use crate::{
    output::{Since, StdioOutcome},
    probes::stdio::{Object, ObjectKind, PipeState, Written},
    time::Time,
};

/// Of writes that fail is told again after at least, and at most, so long.
const LEAST_PAUSE_NS: u64 = 1_000_000_000;
const LONGEST_PAUSE_NS: u64 = 60_000_000_000;

#[derive(Clone, Debug)]
pub struct Stream {
    pub fd: u32,
    pub object: Object,
    pub since: Since,
    pub opened: Time,
    pub written: Written,
    pub pipe: PipeState,
    pub reader: Option<Reader>,
    /// A writer waits for room.
    pub waiting: Option<Waiting>,
    blocked_ns: u64,
    /// It was said to be blocked, and not yet that it is so no longer.
    pub told_blocked: bool,
    /// The last reader was gone while the container lived, and that was told.
    pub reader_gone: bool,
    broken: Broken,
    pub end: Option<End>,
    /// For a while nothing of it was counted.
    pub unseen: bool,
    /// What is left in the pipe is watched closely.
    pub draining: bool,
    /// Nothing more will come of it.
    pub done: bool,
    /// What waits to be said of it.
    pub held: Option<Held>,
}

/// What was told of writes that failed while the container lived.
#[derive(Clone, Copy, Debug, Default)]
struct Broken {
    told: u64,
    /// When it is told again, and how long it was waited for that.
    next: Time,
    pause_ns: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    from: Time,
    /// From when on nothing was taken, and until when that was seen: an observer that is late has not looked.
    pub quiet: Time,
    pub seen: Time,
}

/// How a stream was when its container ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub time: Time,
    /// What the descriptor refers to.
    pub now: Object,
    /// Some writers were not seen.
    pub uncounted: bool,
    /// Taken out of the pipe by then, and still in it.
    pub taken: u64,
    pub queued: Option<u64>,
}

impl Stream {
    pub fn new(fd: u32, object: Object, since: Since, opened: Time) -> Self {
        Stream {
            fd,
            object,
            since,
            opened,
            written: Written::default(),
            pipe: PipeState::default(),
            reader: None,
            waiting: None,
            blocked_ns: 0,
            told_blocked: false,
            reader_gone: false,
            broken: Broken::default(),
            end: None,
            unseen: false,
            draining: false,
            done: false,
            held: None,
        }
    }

    /// Whether writes failed of which is to be told now: of what goes on for days not every second.
    pub fn breaks(&mut self, now: Time) -> bool {
        if self.written.broken <= self.broken.told || now < self.broken.next {
            return false;
        }
        let pause_ns = (2 * self.broken.pause_ns).clamp(LEAST_PAUSE_NS, LONGEST_PAUSE_NS);
        self.broken =
            Broken { told: self.written.broken, next: Time(now.0.saturating_add(pause_ns)), pause_ns };
        true
    }

    pub fn is_pipe(&self) -> bool {
        self.object.kind == ObjectKind::Pipe
    }

    pub fn queued(&self) -> Option<u64> {
        self.pipe.queued.map(u64::from)
    }

    /// Takes in the state of its pipe at a later time.
    pub fn sample(&mut self, time: Time, state: PipeState) {
        let progress = state.taken != self.pipe.taken || state.queued != self.pipe.queued;
        match (&mut self.waiting, state.waiting) {
            (None, true) => self.waiting = Some(Waiting { from: time, quiet: time, seen: time }),
            (Some(waiting), true) => {
                waiting.quiet = if progress { time } else { waiting.quiet };
                waiting.seen = time;
            }
            (Some(waiting), false) => {
                self.blocked_ns += time.since(waiting.from);
                self.waiting = None;
            }
            _ => {}
        }
        self.pipe = state;
    }

    /// Nothing of it is counted from now on. Says whether it was said to be blocked, and is so no longer for all that is
    /// known.
    pub fn see_no_more(&mut self, time: Time) -> bool {
        self.sample(time, PipeState { waiting: false, ..self.pipe });
        self.unseen = true;
        if let Some(end) = &mut self.end {
            end.uncounted = true;
        }
        std::mem::take(&mut self.told_blocked)
    }

    /// How long writers have waited for room by now, nanoseconds.
    pub fn blocked_ns(&self, time: Time) -> u64 {
        self.blocked_ns + self.waiting.map_or(0, |waiting| time.since(waiting.from))
    }

    /// What can be said of it while its container lives.
    pub fn outcome_now(&self) -> StdioOutcome {
        match self.object.kind {
            ObjectKind::File | ObjectKind::Null | ObjectKind::Closed => StdioOutcome::Redirected,
            ObjectKind::Pipe if self.reader_gone => StdioOutcome::ReaderGone,
            ObjectKind::Pipe if self.told_blocked => StdioOutcome::Blocked,
            ObjectKind::Pipe if self.unseen => StdioOutcome::Unknown,
            ObjectKind::Pipe if self.written.bytes > 0 && self.pipe.queued == Some(0) => {
                StdioOutcome::Delivered
            }
            _ => StdioOutcome::Unknown,
        }
    }

    /// Bytes that the container left in the pipe and nobody has taken yet.
    pub fn left(&self, end: &End) -> Option<u64> {
        let taken_since = self.pipe.taken.saturating_sub(end.taken);
        Some(end.queued?.saturating_sub(taken_since).min(self.written.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_writes_are_told_at_once_and_ever_less_often() {
        let mut stream = Stream::new(1, Object::default(), Since::Start, Time(0));
        let second = |n: u64| Time(n * 1_000_000_000);
        let mut told = Vec::new();
        for n in 0..300 {
            stream.written.broken = 5 * n;
            if stream.breaks(second(n)) {
                told.push(n);
            }
        }
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64, 124, 184, 244]);
        let quiet = (301..400).any(|n| stream.breaks(second(n + 300)) && stream.breaks(second(n + 1000)));
        assert!(!quiet, "nothing new is told once more only");
    }
}
