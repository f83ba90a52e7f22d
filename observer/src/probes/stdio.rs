//! Standard streams of followed containers: what they are, what was written to them, what was taken out of
//! their pipes. Never what it was.

use observer_ebpf::{
    Family,
    control::role,
    wire::stdio::{self, Closing, Opened, Reader, since, state},
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, chars, fixed,
    spec::{Hook, Rung, Spec, covered, syscall, tracepoint},
};
use crate::time::Time;

/// The hook that makes those of reading calls superfluous.
pub const PIPE_FUNCTIONS: &str = "pipe functions";

pub const SPEC: Spec = Spec {
    family: Family::Stdio,
    gives: "what containers write to their standard streams, who reads it, and what is lost",
    cost: "a hash look-up at the exit of read, readv, write, writev, sendfile, splice and their kin; where the \
           kernel's pipe functions can be hooked, at those instead of reads",
    hooks: &[
        Hook {
            name: PIPE_FUNCTIONS,
            required: false,
            covered_by: None,
            rungs: &[
                Rung::Functions {
                    programs: &["anon_pipe_write", "anon_pipe_read", "fifo_pipe_write", "fifo_pipe_read"],
                },
                Rung::Functions { programs: &["pipe_write", "pipe_read"] },
            ],
        },
        covered(PIPE_FUNCTIONS, &syscall!("read", "exit_read", ["fd", "buf", "count"])),
        covered(PIPE_FUNCTIONS, &syscall!("readv", "exit_readv", ["fd", "vec", "vlen"])),
        // These go past the pipe functions.
        syscall!("tee", "exit_tee", ["fdin", "fdout"]),
        syscall!("vmsplice", "exit_vmsplice", ["fd"]),
        syscall!("pwritev2", "exit_pwritev2", ["fd", "vec", "vlen"]),
        tracepoint!(optional "io_uring_create", "io_uring_btf", "io_uring_raw", []),
        Hook {
            name: "open files",
            required: true,
            covered_by: None,
            rungs: &[Rung::Iterator { program: "open_files", over: "task_file" }],
        },
        Hook {
            name: "pipe state",
            required: true,
            covered_by: None,
            rungs: &[Rung::OnDemand { program: "sample_pipe" }],
        },
    ],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Descriptor `fd` of a container's init refers to this object.
    Opened { init: u32, fd: u32, attach: bool, object: Object, pipe: Option<PipeState> },
    /// A container's init ends.
    Closing {
        init: u32,
        fd: u32,
        /// Some writers of the container could not be seen.
        uncounted: bool,
        object: Object,
        written: Written,
        pipe: Option<PipeState>,
        /// What the descriptor refers to now.
        now: Object,
    },
    /// A process holds the reading end of a followed pipe.
    Reader { ino: u64, reader: u32, ppid: u32, start: Time, comm: String },
}

/// What a descriptor refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    pub ino: u64,
    pub kind: ObjectKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectKind {
    #[default]
    Closed,
    Pipe,
    File,
    Null,
    Tty,
    Socket,
    Other,
}

/// A pipe at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipeState {
    /// Bytes taken out by processes known to read it, since it is followed.
    pub taken: u64,
    /// Bytes in it; `None`: could not be read.
    pub queued: Option<u32>,
    /// Open reading ends.
    pub readers: u32,
    /// It is full, and someone waits for room.
    pub waiting: bool,
    /// It is still there.
    pub alive: bool,
    /// The process that reads it, as far as that is known.
    pub reader: Option<u32>,
    /// Who has waited longest for room, where somebody does; looked at only in samples.
    #[serde(default)]
    pub waiter: Option<Waiter>,
}

/// A thread that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiter {
    pub tgid: u32,
    pub tid: u32,
}

/// From the kernel's `pid_tgid`.
pub fn waiter(thread: u64) -> Option<Waiter> {
    (thread != 0).then_some(Waiter { tgid: (thread >> 32) as u32, tid: thread as u32 })
}

/// What a container wrote to one of its streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub bytes: u64,
    pub first: Option<Time>,
    pub last: Option<Time>,
    /// Writes that failed because nobody reads.
    pub broken: u64,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    match number {
        1 => {
            let (wire, _) = fixed::<Opened>(bytes)?;
            let object = object(&wire.object);
            let attach = match wire.since {
                since::START => false,
                since::ATTACH => true,
                other => return Err(Malformed::Operation(other)),
            };
            let pipe = state_of(object, wire.pipe);
            Ok(Event::Opened { init: wire.init, fd: descriptor(wire.fd)?, attach, object, pipe })
        }
        2 => {
            let (wire, _) = fixed::<Closing>(bytes)?;
            let object = object(&wire.object);
            Ok(Event::Closing {
                init: wire.init,
                fd: descriptor(wire.fd)?,
                uncounted: wire.role & role::UNCOUNTED != 0,
                object,
                written: written(&wire.written),
                pipe: state_of(object, wire.pipe),
                now: self::object(&wire.now),
            })
        }
        3 => {
            let (wire, _) = fixed::<Reader>(bytes)?;
            Ok(Event::Reader {
                ino: wire.ino,
                reader: wire.reader,
                ppid: wire.ppid,
                start: Time(wire.start_ns),
                comm: chars::comm(&wire.comm),
            })
        }
        other => Err(Malformed::Operation(u32::from(other))),
    }
}

fn descriptor(fd: u32) -> Result<u32, Malformed> {
    if fd == 1 || fd == 2 { Ok(fd) } else { Err(Malformed::Operation(fd)) }
}

fn object(wire: &stdio::Object) -> Object {
    const MEMORY_MAJOR: u32 = 1;
    const NULL_MINOR: u32 = 3;
    let (major, minor) = (wire.rdev >> 20, wire.rdev & 0xf_ffff);
    let kind = match wire.mode & 0o170_000 {
        0 => ObjectKind::Closed,
        0o010_000 => ObjectKind::Pipe,
        0o100_000 => ObjectKind::File,
        0o140_000 => ObjectKind::Socket,
        0o020_000 if (major, minor) == (MEMORY_MAJOR, NULL_MINOR) => ObjectKind::Null,
        0o020_000 if is_terminal(major) => ObjectKind::Tty,
        _ => ObjectKind::Other,
    };
    Object { ino: wire.ino, kind }
}

/// Majors of terminals: virtual consoles, `/dev/tty`, serial lines, BSD and Unix98 pseudo-terminals.
fn is_terminal(major: u32) -> bool {
    matches!(major, 2..=5 | 136..=143 | 204)
}

fn state_of(object: Object, wire: stdio::PipeState) -> Option<PipeState> {
    (object.kind == ObjectKind::Pipe).then(|| pipe_state(&wire))
}

/// From the wire, or from what was sampled.
pub fn pipe_state(wire: &stdio::PipeState) -> PipeState {
    PipeState {
        taken: wire.taken,
        queued: (wire.state & state::UNREADABLE == 0).then_some(wire.queued),
        readers: wire.readers,
        waiting: wire.state & state::WAITING != 0,
        alive: wire.state & state::ALIVE != 0,
        reader: (wire.reader != 0).then_some(wire.reader),
        waiter: None,
    }
}

/// From the wire, or from what was sampled.
pub fn written(wire: &stdio::Written) -> Written {
    let time = |ns: u64| (ns != 0).then_some(Time(ns));
    Written { bytes: wire.bytes, first: time(wire.first_ns), last: time(wire.last_ns), broken: wire.broken }
}
