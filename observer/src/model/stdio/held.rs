//! What is to be said of a stream waits for a look at the file that its reader logs to: a moment while the container
//! lives, until the engine can have written when it has ended.

use super::{log::Log, verdict::Said};
use crate::{
    model::{Made, Model, lives::Lives},
    output::{Since, Stdio, StdioOutcome, What},
    time::Time,
};

/// How long after a container's end its engine is given to write what it took.
const WRITTEN_NS: u64 = 250_000_000;
/// How long before it is said that it did not.
const NOT_WRITTEN_NS: u64 = 2_000_000_000;
/// How long a look at the file may take.
const LOOK_NS: u64 = 300_000_000;
/// How long an engine may take to say where the file of a container is that was there before.
const OLDER_NS: u64 = 1_500_000_000;

/// What is to be said of a stream.
#[derive(Clone, Debug)]
pub struct Held {
    at: Time,
    what: Stdio,
    why: Option<String>,
    /// Where the file is may become known until then.
    until: Time,
    /// When the file is to be looked at.
    due: Time,
    /// When that was wanted.
    asked: Option<Time>,
    /// When it is looked at again: when the engine can have written, and if it did not.
    again: Vec<Time>,
}

/// What is to be done with what waits.
#[derive(Debug, PartialEq)]
enum Step {
    Wait,
    Look,
    Say,
}

impl Held {
    fn new(at: Time, ended_at: Time, since: Since, what: Stdio, why: Option<String>) -> Self {
        let is_first_of_older = since == Since::Attach && !what.ended;
        Held {
            at,
            until: at.plus(if is_first_of_older { OLDER_NS } else { LOOK_NS }),
            due: at,
            asked: None,
            // The last one first.
            again: match what.ended {
                true => vec![at.max(ended_at.plus(NOT_WRITTEN_NS)), at.max(ended_at.plus(WRITTEN_NS))],
                false => Vec::new(),
            },
            what,
            why,
        }
    }

    fn step(&mut self, log: &Log, is_awaited: bool, last_write: Option<Time>, time: Time) -> Step {
        if !log.is_known() {
            return if is_awaited && time < self.until { Step::Wait } else { Step::Say };
        }
        if !self.what.ended && self.asked.is_none() && log.was_looked_at(self.at) {
            self.asked = Some(self.at);
        }
        let Some(asked) = self.asked else {
            return if time < self.due { Step::Wait } else { Step::Look };
        };
        if !log.was_looked_at(asked) {
            return if time.since(asked) < LOOK_NS { Step::Wait } else { Step::Say };
        }
        let is_last = self.again.len() < 2 && !self.is_missing(log, last_write);
        match self.again.pop().filter(|_| !is_last) {
            Some(again) => {
                self.asked = None;
                self.due = again;
                Step::Wait
            }
            None => Step::Say,
        }
    }

    /// It was taken out of the pipe, and is not in the file.
    fn is_missing(&self, log: &Log, last_write: Option<Time>) -> bool {
        let was_taken = matches!(self.what.outcome, StdioOutcome::Delivered | StdioOutcome::HeldUntilExit)
            && self.what.delivered_bytes.is_some_and(|bytes| bytes > 0);
        let grew = log.told(self.at, last_write).and_then(|(file, _)| file.grew);
        was_taken && grew == Some(false)
    }
}

impl Model {
    /// Says something of a stream, as it is now, once its log file was looked at.
    pub(super) fn hold(
        &mut self,
        init: u32,
        fd: u32,
        time: Time,
        said: Said,
        ended: bool,
        make: &mut impl FnMut(Made),
    ) {
        self.let_go(init, fd, make);
        let Some(what) = self.describe(init, fd, time, &said, ended) else { return };
        let is_awaited = self.log_is_awaited(init);
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) else { return };
        let Some(stream) = life.streams.by_fd.get_mut(&fd) else { return };
        let ended_at = stream.end.map_or(time, |end| end.time);
        let held = Held::new(time, ended_at, life.since, what, said.why);
        let waits = stream.is_pipe() && (life.log.is_known() || is_awaited);
        stream.held = Some(held);
        if waits { self.review(init, fd, time, make) } else { self.let_go(init, fd, make) }
    }

    /// Time has passed for what waits.
    pub(super) fn review_held(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        for (init, fd) in self.held() {
            self.review(init, fd, time, make);
        }
    }

    /// At the end of a run: nothing waits any longer.
    pub(in crate::model) fn let_all_go(&mut self, make: &mut impl FnMut(Made)) {
        for (init, fd) in self.held() {
            self.let_go(init, fd, make);
        }
    }

    fn held(&mut self) -> Vec<(u32, u32)> {
        let mut held = Vec::new();
        for life in self.lives.iter_mut().flat_map(Lives::iter_mut) {
            let waiting = life.streams.by_fd.values().filter(|stream| stream.held.is_some());
            held.extend(waiting.map(|stream| (life.init, stream.fd)));
        }
        held
    }

    fn review(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let is_awaited = self.log_is_awaited(init);
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) else { return };
        let last_write = life.streams.last_write();
        let Some(stream) = life.streams.by_fd.get_mut(&fd) else { return };
        let Some(held) = &mut stream.held else { return };
        match held.step(&life.log, is_awaited, last_write, time) {
            Step::Wait => {}
            Step::Look => {
                held.asked = Some(time);
                life.log.look(init, time).into_iter().for_each(|want| make(Made::Want(want)));
            }
            Step::Say => self.let_go(init, fd, make),
        }
    }

    /// Says what waits, with what is known of the file by now.
    fn let_go(&mut self, init: u32, fd: u32, make: &mut impl FnMut(Made)) {
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) else { return };
        let last_write = life.streams.last_write();
        let Some(stream) = life.streams.by_fd.get_mut(&fd) else { return };
        let Some(mut held) = stream.held.take() else { return };
        let mut whys: Vec<String> = held.why.take().into_iter().collect();
        if stream.is_pipe()
            && let Some((file, why)) = life.log.told(held.at, last_write)
        {
            if held.what.ended && held.is_missing(&life.log, last_write) {
                whys.push("it was taken from the pipe, and its log file did not grow".to_owned());
            }
            whys.extend(why);
            held.what.log_file = Some(file);
        }
        let why = (!whys.is_empty()).then(|| whys.join("; "));
        self.tell(init, held.at, why, What::Stdio(held.what), make);
    }
}

#[cfg(test)]
mod tests;
