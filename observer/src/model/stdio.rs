//! What containers write to their standard streams, and what becomes of it.
//!
//! Written is what the kernel counted at the container's side. Delivered is what was taken out of the pipe:
//! written less what is still queued. What is queued when a container ends is watched until it was taken, or
//! nobody is left to take it.

use std::collections::{BTreeMap, VecDeque};

use super::{Made, Model};
use crate::{
    input::{Sample, SampleKind, StreamFact},
    output::{Process, Since, Stdio, StdioOutcome, StdioTarget, Want, What},
    probes::stdio::{Event, Object, ObjectKind, PipeState, Written},
    time::Time,
};

/// A writer that waits this long while nothing is taken is blocked.
const BLOCKED_NS: u64 = 1_000_000_000;

/// How long what a container leaves in a pipe is given to be taken.
const GRACE_NS: u64 = 4_000_000_000;

/// Output that all comes in the last `HELD_LAST_NS` of a life of at least `HELD_LIFE_NS` was held back.
const HELD_LIFE_NS: u64 = 5_000_000_000;
const HELD_LAST_NS: u64 = 500_000_000;

/// Readers remembered; the one found first is forgotten first.
const MAX_READERS: usize = 32_768;

/// The streams of one container, by descriptor.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    by_fd: BTreeMap<u32, Stream>,
}

impl Streams {
    /// Whether nothing more can come of them.
    pub fn are_done(&self) -> bool {
        self.by_fd.values().all(|stream| stream.done)
    }

    /// One that was followed before.
    pub fn take_up(&mut self, fact: &StreamFact, time: Time) {
        let since = if fact.attach { Since::Attach } else { Since::Start };
        let mut stream = Stream::new(fact.fd, fact.object, since, fact.opened);
        stream.written = fact.written;
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
        };
        self.by_fd.values().map(fact).collect()
    }
}

#[derive(Clone, Debug)]
struct Stream {
    fd: u32,
    object: Object,
    since: Since,
    opened: Time,
    written: Written,
    pipe: PipeState,
    reader: Option<Reader>,
    /// A writer waits for room, without anything having been taken since `quiet`.
    waiting: Option<Waiting>,
    blocked_ns: u64,
    was_told_blocked: bool,
    /// The last reader was gone while the container lived, and that was told.
    reader_gone: bool,
    end: Option<End>,
    draining: bool,
    done: bool,
}

/// Who was found to read which pipe, by its inode number: often before a container is given it.
#[derive(Default)]
pub struct Readers {
    by_pipe: BTreeMap<u64, Reader>,
    /// In the order in which they were found.
    found: VecDeque<u64>,
}

impl Readers {
    fn add(&mut self, ino: u64, reader: Reader) {
        if self.by_pipe.insert(ino, reader).is_none() {
            self.found.push_back(ino);
        }
        if self.found.len() > MAX_READERS
            && let Some(oldest) = self.found.pop_front()
        {
            self.by_pipe.remove(&oldest);
        }
    }
}

#[derive(Clone, Debug)]
struct Reader {
    tgid: u32,
    ppid: Option<u32>,
    start: Option<Time>,
    comm: String,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    from: Time,
    /// When something was last taken.
    quiet: Time,
    told: bool,
}

/// How a stream was when its container ended.
#[derive(Clone, Copy, Debug)]
struct End {
    time: Time,
    now: Object,
    uncounted: bool,
    taken: u64,
    queued: Option<u64>,
}

/// What is said of a stream.
struct Said {
    outcome: StdioOutcome,
    why: Option<String>,
    /// What was written and not taken; `None`: not known.
    left: Option<u64>,
}

impl Stream {
    fn new(fd: u32, object: Object, since: Since, opened: Time) -> Self {
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
            was_told_blocked: false,
            reader_gone: false,
            end: None,
            draining: false,
            done: false,
        }
    }

    fn is_pipe(&self) -> bool {
        self.object.kind == ObjectKind::Pipe
    }

    fn sample(&mut self, time: Time, state: PipeState) {
        let progress = state.taken != self.pipe.taken || state.queued != self.pipe.queued;
        match (&mut self.waiting, state.waiting) {
            (None, true) => self.waiting = Some(Waiting { from: time, quiet: time, told: false }),
            (Some(waiting), true) if progress => waiting.quiet = time,
            (Some(waiting), false) => {
                self.blocked_ns += time.since(waiting.from);
                self.waiting = None;
            }
            _ => {}
        }
        self.pipe = state;
    }

    fn blocked_ns(&self, time: Time) -> u64 {
        self.blocked_ns + self.waiting.map_or(0, |waiting| time.since(waiting.from))
    }

    /// Bytes that the container left in the pipe and nobody has taken yet.
    fn left(&self, end: &End) -> Option<u64> {
        let taken_since = self.pipe.taken.saturating_sub(end.taken);
        Some(end.queued?.saturating_sub(taken_since).min(self.written.bytes))
    }

    /// What is to be said when nothing more will come, or `None` while something may.
    fn judge(&self, end: &End, time: Time) -> Option<Said> {
        if !self.is_pipe() {
            return Some(self.judge_other(end));
        }
        let left = self.left(end);
        if left.is_none_or(|left| left > 0) {
            let empty = self.pipe.alive && self.pipe.queued == Some(0);
            let abandoned = !self.pipe.alive || self.pipe.readers == 0;
            if empty {
                return Some(self.judge_pipe(end, Some(0)));
            }
            if abandoned {
                return Some(self.judge_abandoned(end, left));
            }
            if time.since(end.time) < GRACE_NS {
                return None;
            }
            if self.pipe.queued.is_none() {
                let why = "what is in its pipe could not be read".to_owned();
                return Some(Said { outcome: StdioOutcome::Unknown, why: Some(why), left: None });
            }
            let why = "its reader has not taken what was left in the pipe".to_owned();
            return Some(Said { outcome: StdioOutcome::Blocked, why: Some(why), left });
        }
        Some(self.judge_pipe(end, left))
    }

    /// Nobody is left to take what was in the pipe.
    fn judge_abandoned(&self, end: &End, left: Option<u64>) -> Said {
        let known = self.pipe.reader.is_some() && left.is_some();
        if !known && !self.reader_gone {
            let why = "its reader could not be followed, and the pipe is gone";
            return Said { outcome: StdioOutcome::Unknown, why: Some(why.to_owned()), left: None };
        }
        let left = left.unwrap_or(0);
        if left == 0 {
            return self.judge_pipe(end, Some(0));
        }
        let outcome = if self.reader_gone { StdioOutcome::ReaderGone } else { StdioOutcome::Undelivered };
        let why = "it was still in the pipe when the last reader closed".to_owned();
        Said { outcome, why: Some(why), left: Some(left) }
    }

    fn judge_pipe(&self, end: &End, left: Option<u64>) -> Said {
        let said = |outcome, why: Option<&str>| Said { outcome, why: why.map(str::to_owned), left };
        if end.uncounted {
            let why = "a process of it writes through io_uring or as a 32-bit program, which is not counted";
            return said(StdioOutcome::Unknown, Some(why));
        }
        if self.written.broken > 0 {
            return said(StdioOutcome::ReaderGone, Some("writes failed: nobody reads the pipe"));
        }
        if self.written.bytes > 0 {
            let held = self.since == Since::Start && self.was_held(end);
            return said(if held { StdioOutcome::HeldUntilExit } else { StdioOutcome::Delivered }, None);
        }
        if end.now != self.object {
            return said(
                StdioOutcome::Redirected,
                Some("it wrote nothing here and now refers to something else"),
            );
        }
        self.nothing_written(left)
    }

    fn nothing_written(&self, left: Option<u64>) -> Said {
        match self.since {
            Since::Start => Said { outcome: StdioOutcome::Silent, why: None, left },
            Since::Attach => {
                let why = "nothing was written since attach; what was before is not known".to_owned();
                Said { outcome: StdioOutcome::Unknown, why: Some(why), left }
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
                Said { outcome: StdioOutcome::Redirected, why: None, left: None }
            }
            _ if end.uncounted || self.written.bytes > 0 => {
                let why = "only of a pipe can be said who took what was written".to_owned();
                Said { outcome: StdioOutcome::Unknown, why: Some(why), left: None }
            }
            _ => self.nothing_written(None),
        }
    }
}

impl Model {
    /// A record about streams.
    pub(super) fn stdio(&mut self, time: Time, event: &Event, make: &mut impl FnMut(Made)) {
        match event {
            Event::Opened { init, fd, attach, object, pipe } => {
                self.opened(time, *init, *fd, *attach, *object, pipe.unwrap_or_default(), make);
            }
            Event::Closing { init, fd, uncounted, object, written, pipe, now } => {
                let pipe = pipe.unwrap_or_default();
                let end = End {
                    time,
                    now: *now,
                    uncounted: *uncounted,
                    taken: pipe.taken,
                    queued: pipe.queued.map(u64::from),
                };
                self.closing(*init, *fd, object, *written, pipe, end, make);
            }
            Event::Reader { ino, reader, ppid, start, comm } => {
                let found =
                    Reader { tgid: *reader, ppid: Some(*ppid), start: Some(*start), comm: comm.clone() };
                self.each_stream(*ino, |stream| stream.reader = Some(found.clone()));
                if let Some(lives) = &mut self.lives {
                    lives.readers.add(*ino, found);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one record")]
    fn opened(
        &mut self,
        time: Time,
        init: u32,
        fd: u32,
        attach: bool,
        object: Object,
        pipe: PipeState,
        make: &mut impl FnMut(Made),
    ) {
        let Some(lives) = &mut self.lives else { return };
        let Some(life) = lives.by_init.get_mut(&init) else { return };
        let since = if attach { Since::Attach } else { Since::Start };
        let before = life.streams.by_fd.remove(&fd);
        let reader = lives.readers.by_pipe.get(&object.ino).cloned();
        let opened = before.as_ref().map_or(time, |before| before.opened);
        let mut stream = Stream::new(fd, object, since, opened);
        (stream.pipe, stream.reader) = (pipe, reader);
        life.streams.by_fd.insert(fd, stream);
        if let Some(before) = before.filter(Stream::is_pipe).filter(|before| before.object != object) {
            make(Made::Want(Want::ForgetPipe { ino: before.object.ino, init }));
        }
        if object.kind == ObjectKind::Pipe {
            make(Made::Want(Want::FollowPipe { ino: object.ino, init }));
            if pipe.reader.is_none() {
                make(Made::Want(Want::FindReaders));
            }
        }
        if attach {
            let why = "it was there before; this is its state now".to_owned();
            let said =
                Said { outcome: StdioOutcome::Unknown, why: Some(why), left: pipe.queued.map(u64::from) };
            self.say(init, fd, time, said, false, make);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one record")]
    fn closing(
        &mut self,
        init: u32,
        fd: u32,
        object: &Object,
        written: Written,
        pipe: PipeState,
        end: End,
        make: &mut impl FnMut(Made),
    ) {
        let Some(stream) = self.stream(init, fd).filter(|stream| stream.object == *object) else { return };
        stream.sample(end.time, pipe);
        stream.written = written;
        stream.end = Some(end);
        self.settle_stream(init, fd, end.time, make);
    }

    /// A sample of a followed pipe.
    pub(super) fn sampled(&mut self, sample: &Sample, make: &mut impl FnMut(Made)) {
        let SampleKind::Pipe { ino, state, written } = &sample.what;
        let time = sample.time;
        let mut concerned = Vec::new();
        for (init, life) in self.lives.iter_mut().flat_map(|lives| lives.all_mut()) {
            for stream in life.streams.by_fd.values_mut().filter(|stream| stream.object.ino == *ino) {
                if stream.done || !stream.is_pipe() {
                    continue;
                }
                stream.sample(time, *state);
                if let Some((_, written)) = written.iter().find(|(of, _)| of == init)
                    && stream.end.is_none()
                {
                    stream.written = *written;
                }
                concerned.push((*init, stream.fd));
            }
        }
        for (init, fd) in concerned {
            self.tell_reader_gone(init, fd, time, make);
            self.tell_going_on(init, fd, time, make);
            self.settle_stream(init, fd, time, make);
        }
    }

    /// What only time can tell: that a writer is blocked, that nothing more will be taken.
    pub(super) fn stdio_tick(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let mut concerned = Vec::new();
        for (init, life) in self.lives.iter_mut().flat_map(|lives| lives.all_mut()) {
            let open = life.streams.by_fd.values().filter(|stream| !stream.done);
            concerned.extend(
                open.filter(|stream| stream.end.is_some() || stream.waiting.is_some())
                    .map(|stream| (*init, stream.fd)),
            );
        }
        for (init, fd) in concerned {
            self.tell_blocked(init, fd, time, make);
            self.settle_stream(init, fd, time, make);
        }
    }

    fn tell_blocked(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd).filter(|stream| stream.end.is_none()) else { return };
        let Some(waiting) = stream.waiting.as_mut().filter(|waiting| !waiting.told) else { return };
        if time.since(waiting.quiet) < BLOCKED_NS || stream.pipe.readers == 0 {
            return;
        }
        waiting.told = true;
        stream.was_told_blocked = true;
        let left = stream.pipe.queued.map(u64::from);
        let said = Said { outcome: StdioOutcome::Blocked, why: None, left };
        self.say(init, fd, time, said, false, make);
    }

    /// A writer that was said to be blocked is so no longer.
    fn tell_going_on(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd).filter(|stream| stream.end.is_none()) else { return };
        if !stream.was_told_blocked || stream.waiting.is_some_and(|waiting| waiting.quiet < time) {
            return;
        }
        stream.was_told_blocked = false;
        let left = stream.pipe.queued.map(u64::from);
        let why = "its reader takes again".to_owned();
        self.say(init, fd, time, Said { outcome: StdioOutcome::Unknown, why: Some(why), left }, false, make);
    }

    fn tell_reader_gone(&mut self, init: u32, fd: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(stream) = self.stream(init, fd) else { return };
        if stream.reader_gone || stream.end.is_some() || !stream.pipe.alive || stream.pipe.readers > 0 {
            return;
        }
        stream.reader_gone = true;
        let left = stream.pipe.queued.map(u64::from);
        self.say(init, fd, time, Said { outcome: StdioOutcome::ReaderGone, why: None, left }, false, make);
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
        self.say(init, fd, time, said, true, make);
        if is_pipe {
            make(Made::Want(Want::ForgetPipe { ino, init }));
        }
    }

    fn say(&self, init: u32, fd: u32, time: Time, said: Said, ended: bool, make: &mut impl FnMut(Made)) {
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return };
        let Some(stream) = life.streams.by_fd.get(&fd) else { return };
        let other = if fd == 1 { 2 } else { 1 };
        let shared =
            life.streams.by_fd.get(&other).is_some_and(|other| {
                other.object == stream.object && stream.object.kind != ObjectKind::Closed
            });
        if shared && fd == 2 {
            return; // told with descriptor 1
        }
        let uncounted = stream.end.is_some_and(|end| end.uncounted);
        let written = (!uncounted).then_some(stream.written.bytes);
        let delivered = written.zip(said.left).filter(|_| stream.is_pipe());
        let target_now = stream.end.filter(|end| end.now != stream.object).map(|end| target(end.now.kind));
        let what = Stdio {
            fd,
            shared_with_fd: shared.then_some(other),
            target: target(stream.object.kind),
            target_now,
            written_bytes: written,
            delivered_bytes: delivered.map(|(written, left)| written.saturating_sub(left)),
            pipe_bytes: stream.is_pipe().then_some(said.left).flatten(),
            blocked_ns: stream.is_pipe().then(|| stream.blocked_ns(time)),
            broken_pipe_writes: stream.written.broken,
            reader: self.reader_of(stream),
            log_file: None,
            outcome: said.outcome,
            ended,
        };
        self.tell(init, time, said.why, What::Stdio(what), make);
    }

    fn reader_of(&self, stream: &Stream) -> Option<Process> {
        let tgid = stream.pipe.reader.or(stream.reader.as_ref().map(|reader| reader.tgid))?;
        let found = stream.reader.as_ref().filter(|reader| reader.tgid == tgid);
        let known = self.processes.get(tgid);
        Some(Process {
            pid: tgid,
            tid: tgid,
            ppid: found.and_then(|reader| reader.ppid).or(known.map(|info| info.ppid)),
            comm: found
                .map(|reader| reader.comm.clone())
                .or(known.map(|info| info.comm.clone()))
                .unwrap_or_default(),
            exe: known.and_then(|info| info.exe.clone()),
            start: found
                .and_then(|reader| reader.start)
                .or(known.map(|info| info.start))
                .map(|start| self.clock.wall(start)),
        })
    }

    fn stream(&mut self, init: u32, fd: u32) -> Option<&mut Stream> {
        self.lives.as_mut()?.get_mut(init)?.streams.by_fd.get_mut(&fd)
    }

    fn each_stream(&mut self, ino: u64, mut change: impl FnMut(&mut Stream)) {
        for (_, life) in self.lives.iter_mut().flat_map(|lives| lives.all_mut()) {
            let of_it = |stream: &&mut Stream| stream.is_pipe() && stream.object.ino == ino;
            life.streams.by_fd.values_mut().filter(of_it).for_each(&mut change);
        }
    }
}

fn target(kind: ObjectKind) -> StdioTarget {
    match kind {
        ObjectKind::Closed => StdioTarget::Closed,
        ObjectKind::Pipe => StdioTarget::Pipe,
        ObjectKind::File => StdioTarget::File,
        ObjectKind::Null => StdioTarget::Null,
        ObjectKind::Tty => StdioTarget::Tty,
        ObjectKind::Socket => StdioTarget::Socket,
        ObjectKind::Other => StdioTarget::Other,
    }
}
