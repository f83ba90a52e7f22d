//! How a stream is told.

use super::{stream::Stream, verdict::Said};
use crate::{
    model::Model,
    output::{Process, Stdio, StdioTarget, Thread, Unflushed},
    probes::stdio::ObjectKind,
    time::Time,
};

impl Model {
    /// What is to be told of a stream as it is now; nothing of the second one where both are one.
    pub(super) fn describe(&self, init: u32, fd: u32, time: Time, said: &Said, ended: bool) -> Option<Stdio> {
        let life = self.lives.as_ref()?.get(init)?;
        let stream = life.streams.by_fd.get(&fd)?;
        let other = if fd == 1 { 2 } else { 1 };
        let shared =
            life.streams.by_fd.get(&other).is_some_and(|other| {
                other.object == stream.object && stream.object.kind != ObjectKind::Closed
            });
        if shared && fd == 2 {
            return None; // told with descriptor 1
        }
        let uncounted = stream.unseen || stream.end.is_some_and(|end| end.uncounted);
        let written = (!uncounted).then_some(stream.written.bytes);
        let delivered = written.zip(said.left).filter(|_| stream.is_pipe());
        let target_now = stream.end.filter(|end| end.now != stream.object).map(|end| target(end.now.kind));
        Some(Stdio {
            fd,
            shared_with_fd: shared.then_some(other),
            target: target(stream.object.kind),
            target_now,
            written_bytes: written,
            delivered_bytes: delivered.map(|(written, left)| written.saturating_sub(left)),
            pipe_bytes: stream.is_pipe().then_some(said.left).flatten(),
            blocked_ns: stream.is_pipe().then(|| stream.blocked_ns(time)),
            waiter: stream
                .waiting
                .and(stream.pipe.waiter)
                .map(|waiter| Thread { pid: waiter.tgid, tid: waiter.tid }),
            broken_pipe_writes: stream.written.broken,
            reader: self.reader_of(stream),
            log_file: None,
            outcome: said.outcome,
            unflushed: written.filter(|_| ended && life.was_killed_deaf()).and_then(unflushed),
            ended,
        })
    }

    /// The streams of a container that lives, as they are now.
    pub(in crate::model) fn streams_now(&self, init: u32, time: Time) -> Vec<Stdio> {
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return Vec::new() };
        let log = life.log.told(Time(0), life.streams.last_write()).map(|(log, _)| log);
        let now = |stream: &Stream| {
            let outcome = stream.outcome_now();
            let left = if stream.is_pipe() { stream.queued() } else { None };
            let stdio = self.describe(init, stream.fd, time, &Said::new(outcome, None, left), stream.done)?;
            Some(Stdio { log_file: log.clone(), ..stdio })
        };
        life.streams.by_fd.values().filter(|stream| matches!(stream.fd, 1 | 2)).filter_map(now).collect()
    }

    fn reader_of(&self, stream: &Stream) -> Option<Process> {
        let tgid = stream.pipe.reader.or(stream.reader.as_ref().map(|reader| reader.tgid))?;
        let known = self.processes.get(tgid);
        if let Some(reader) = stream.reader.as_ref().filter(|reader| reader.tgid == tgid) {
            return Some(Process {
                pid: tgid,
                tid: tgid,
                ppid: Some(reader.ppid),
                comm: reader.comm.clone(),
                exe: known.and_then(|info| info.exe.clone()),
                start: Some(self.clock.wall(reader.start)),
            });
        }
        Some(Process {
            pid: tgid,
            tid: tgid,
            ppid: known.map(|info| info.ppid),
            comm: known.map(|info| info.comm.clone()).unwrap_or_default(),
            exe: known.and_then(|info| info.exe.clone()),
            start: known.map(|info| self.clock.wall(info.start)),
        })
    }
}

/// What those bytes say of a program that was killed before it could write the rest.
fn unflushed(written: u64) -> Option<Unflushed> {
    /// What C libraries write to a pipe at once (`st_blksize`); those of other languages take multiples of it.
    const BLOCK: u64 = 4_096;
    match written {
        0 => Some(Unflushed::Possible),
        bytes if bytes % BLOCK == 0 => Some(Unflushed::Likely),
        _ => None,
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
