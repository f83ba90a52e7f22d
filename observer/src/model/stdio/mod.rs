//! What containers write to their standard streams, and what becomes of it.
//!
//! Written is what the kernel counted at the container's side. Delivered is what was taken out of the pipe:
//! written less what is still queued. What is queued when a container ends is watched until it was taken, or
//! nobody is left to take it.

mod held;
mod log;
mod readers;
mod say;
mod stream;
mod verdict;

use std::collections::BTreeMap;

use observer_ebpf::Family;

use super::{Made, Model, lives::Lives};
use crate::{
    input::StreamFact,
    output::{Since, StdioOutcome, Want},
    probes::stdio::{Event, ObjectKind, PipeState, Written},
    time::Time,
};
pub use log::Log;
use readers::Reader;
pub use readers::Readers;
use stream::{End, Stream};
use verdict::{GRACE_NS, Said};

/// A writer that waits this long while nothing is taken is blocked.
const BLOCKED_NS: u64 = 1_000_000_000;

/// The streams of one container, by descriptor.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    by_fd: BTreeMap<u32, Stream>,
}

impl Streams {
    /// Whether nothing more can come of them.
    pub fn are_done(&self) -> bool {
        self.by_fd.values().all(|stream| stream.done && stream.held.is_none())
    }

    /// When the container last wrote to any of them.
    fn last_write(&self) -> Option<Time> {
        self.by_fd.values().filter_map(|stream| stream.written.last).max()
    }

    /// One that was followed before.
    pub fn take_up(&mut self, fact: &StreamFact, time: Time) {
        let since = if fact.attach { Since::Attach } else { Since::Start };
        let mut stream = Stream::new(fact.fd, fact.object, since, fact.opened);
        stream.written = fact.written;
        stream.unseen = fact.unseen;
        stream.sample(time, fact.pipe);
        self.by_fd.insert(fact.fd, stream);
    }

    pub fn as_facts(&self) -> Vec<StreamFact> {
        let fact = |stream: &Stream| StreamFact {
            fd: stream.fd,
            object: stream.object,
            attach: stream.since == Since::Attach,
            opened: stream.opened,
            written: stream.written,
            pipe: stream.pipe,
            unseen: stream.unseen,
        };
        self.by_fd.values().map(fact).collect()
    }
}

impl Model {
    /// A record about streams.
    pub(super) fn stdio(&mut self, time: Time, event: &Event, make: &mut impl FnMut(Made)) {
        match event {
            Event::Opened { .. } => self.opened(time, event, make),
            Event::Closing { .. } => self.closing(time, event, make),
            Event::Reader { ino, reader, ppid, start, comm } => {
                let found = Reader { tgid: *reader, ppid: *ppid, start: *start, comm: comm.clone() };
                self.each_stream(*ino, |stream| stream.reader = Some(found.clone()));
                if let Some(lives) = &mut self.lives {
                    lives.readers.add(*ino, found);
                }
            }
        }
    }

    fn opened(&mut self, time: Time, event: &Event, make: &mut impl FnMut(Made)) {
        let Event::Opened { init, fd, attach, object, pipe } = event else { return };
        let (init, fd, pipe) = (*init, *fd, pipe.unwrap_or_default());
        let Some(lives) = &mut self.lives else { return };
        let Some(life) = lives.by_init.get_mut(&init) else { return };
        let since = if *attach { Since::Attach } else { Since::Start };
        let before = life.streams.by_fd.remove(&fd);
        let opened = before.as_ref().map_or(time, |before| before.opened);
        let mut stream = Stream::new(fd, *object, since, opened);
        stream.unseen =
            self.shed.missed(Family::Stdio, time) || before.as_ref().is_some_and(|before| before.unseen);
        stream.reader = lives.readers.get(object.ino).cloned();
        stream.sample(time, pipe);
        life.streams.by_fd.insert(fd, stream);
        if let Some(before) = before.filter(Stream::is_pipe).filter(|before| before.object != *object) {
            make(Made::Want(Want::ForgetPipe { ino: before.object.ino, init }));
        }
        if object.kind == ObjectKind::Pipe {
            make(Made::Want(Want::FollowPipe { ino: object.ino, init }));
            if pipe.reader.is_none() {
                make(Made::Want(Want::FindReaders));
            }
        }
        if *attach {
            let why = "it was there before; this is its state now";
            let said = Said::new(StdioOutcome::Unknown, Some(why), pipe.queued.map(u64::from));
            self.hold(init, fd, time, said, false, make);
        }
    }

    fn closing(&mut self, time: Time, event: &Event, make: &mut impl FnMut(Made)) {
        let Event::Closing { init, fd, uncounted, object, written, pipe, now } = event else { return };
        let pipe = pipe.unwrap_or_default();
        let Some(stream) = self.stream(*init, *fd).filter(|stream| stream.object == *object) else { return };
        stream.sample(time, pipe);
        stream.written = *written;
        stream.end = Some(End {
            time,
            now: *now,
            uncounted: *uncounted || stream.unseen,
            taken: pipe.taken,
            queued: pipe.queued.map(u64::from),
        });
        self.settle_stream(*init, *fd, time, make);
    }

    /// A sample of a followed pipe.
    pub(super) fn pipe_sampled(
        &mut self,
        time: Time,
        ino: u64,
        state: PipeState,
        written: &[(u32, Written)],
        make: &mut impl FnMut(Made),
    ) {
        let mut concerned = Vec::new();
        // Whether anything is taken while a writer waits is not known then.
        let waiting = state.waiting && !self.shed.missed(Family::Stdio, time);
        let state = PipeState { waiting, ..state };
        for life in self.lives.iter_mut().flat_map(Lives::iter_mut) {
            for stream in life.streams.by_fd.values_mut().filter(|stream| stream.object.ino == ino) {
                if stream.done || !stream.is_pipe() {
                    continue;
                }
                stream.sample(time, state);
                if let Some((_, written)) = written.iter().find(|(of, _)| *of == life.init)
                    && stream.end.is_none()
                {
                    stream.written = *written;
                }
                concerned.push((life.init, stream.fd));
            }
        }
        for (init, fd) in concerned {
            self.tell_reader_gone(init, fd, time, make);
            self.tell_broken(init, fd, time, make);
            self.tell_blocked(init, fd, time, make);
            self.tell_going_on(init, fd, time, make);
            self.settle_stream(init, fd, time, make);
        }
    }

    /// From now on, for a while, what is written and taken is not counted: of streams that are open by then, all that is
    /// known later is the state of their pipes.
    pub(super) fn streams_unseen(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let mut blocked = Vec::new();
        for life in self.lives.iter_mut().flat_map(Lives::iter_mut) {
            for stream in life.streams.by_fd.values_mut().filter(|stream| !stream.done) {
                if stream.see_no_more(time) {
                    blocked.push((life.init, stream.fd));
                }
            }
        }
        for (init, fd) in blocked {
            let queued = self.stream(init, fd).and_then(|stream| stream.queued());
            let said = Said::new(StdioOutcome::Unknown, Some(verdict::UNSEEN), queued);
            self.hold(init, fd, time, said, false, make);
        }
    }

    /// What only time can tell: that nothing more will be taken, or come.
    pub(super) fn stdio_tick(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let mut concerned = Vec::new();
        for life in self.lives.iter_mut().flat_map(Lives::iter_mut) {
            let open = life.streams.by_fd.values().filter(|stream| !stream.done);
            let ended = life.ended.map(|(ended, _)| ended);
            concerned.extend(
                open.filter(|stream| stream.end.is_some() || ended.is_some())
                    .map(|stream| (life.init, stream.fd, ended)),
            );
        }
        for (init, fd, ended) in concerned {
            self.give_up(init, fd, ended, time, make);
            self.settle_stream(init, fd, time, make);
        }
        self.review_held(time, make);
    }

    fn tell_blocked(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd).filter(|stream| stream.end.is_none()) else { return };
        let Some(waiting) = stream.waiting.filter(|_| !stream.told_blocked) else { return };
        if waiting.seen.since(waiting.quiet) < BLOCKED_NS || stream.pipe.readers == 0 {
            return;
        }
        stream.told_blocked = true;
        let said = Said::new(StdioOutcome::Blocked, None, stream.queued());
        self.hold(init, fd, time, said, false, make);
    }

    /// A writer that was said to be blocked is so no longer.
    fn tell_going_on(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd).filter(|stream| stream.end.is_none()) else { return };
        if !stream.told_blocked || stream.waiting.is_some_and(|waiting| waiting.quiet < time) {
            return;
        }
        stream.told_blocked = false;
        let said = Said::new(StdioOutcome::Unknown, Some("its reader takes again"), stream.queued());
        self.hold(init, fd, time, said, false, make);
    }

    fn tell_reader_gone(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd) else { return };
        if stream.reader_gone || stream.end.is_some() || !stream.pipe.alive || stream.pipe.readers > 0 {
            return;
        }
        stream.reader_gone = true;
        let said = Said::new(StdioOutcome::ReaderGone, None, stream.queued());
        self.hold(init, fd, time, said, false, make);
    }

    /// Its writes go on failing: nobody may ever end it.
    fn tell_broken(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd).filter(|stream| stream.end.is_none()) else { return };
        if stream.breaks(time) {
            let said = Said::new(StdioOutcome::ReaderGone, Some(verdict::NOBODY_READS), stream.queued());
            self.hold(init, fd, time, said, false, make);
        }
    }

    fn settle_stream(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd).filter(|stream| !stream.done) else { return };
        let Some(end) = stream.end else { return };
        let Some(said) = stream.judge(&end, time) else {
            if !std::mem::replace(&mut stream.draining, true) {
                make(Made::Want(Want::DrainPipe { ino: stream.object.ino }));
            }
            return;
        };
        stream.done = true;
        let (is_pipe, ino) = (stream.is_pipe(), stream.object.ino);
        self.hold(init, fd, time, said, true, make);
        if is_pipe {
            make(Made::Want(Want::ForgetPipe { ino, init }));
        }
    }

    /// The run is over: streams of ended containers are told as far as they came.
    pub(super) fn end_streams(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let mut open = Vec::new();
        for life in self.lives.iter().flat_map(Lives::iter) {
            let streams = life.streams.by_fd.values().filter(|stream| !stream.done);
            open.extend(streams.filter_map(|stream| Some((life.init, stream.fd, stream.left(&stream.end?)))));
        }
        for (init, fd, left) in open {
            if let Some(stream) = self.stream(init, fd) {
                stream.done = true;
            }
            let why = "the run ended before its reader had taken what was left in the pipe";
            self.hold(init, fd, time, Said::new(StdioOutcome::Unknown, Some(why), left), true, make);
        }
    }

    /// Its container ended, and what was counted of it never came.
    fn give_up(&mut self, init: u32, fd: u32, ended: Option<Time>, time: Time, make: &mut impl FnMut(Made)) {
        let overdue = ended.is_some_and(|ended| time.since(ended) >= GRACE_NS);
        let Some(stream) = self.stream(init, fd).filter(|stream| overdue && stream.end.is_none()) else {
            return;
        };
        stream.done = true;
        let said = Said::new(StdioOutcome::Unknown, Some("what was counted of it was lost"), None);
        self.hold(init, fd, time, said, true, make);
    }

    fn stream(&mut self, init: u32, fd: u32) -> Option<&mut Stream> {
        self.lives.as_mut()?.get_mut(init)?.streams.by_fd.get_mut(&fd)
    }

    fn each_stream(&mut self, ino: u64, mut change: impl FnMut(&mut Stream)) {
        for life in self.lives.iter_mut().flat_map(Lives::iter_mut) {
            let of_it = |stream: &&mut Stream| stream.is_pipe() && stream.object.ino == ino;
            life.streams.by_fd.values_mut().filter(of_it).for_each(&mut change);
        }
    }
}
