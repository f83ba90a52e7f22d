//! What was seen of a container that lives, as it changes: `observer run`'s events.

use std::net::{IpAddr, SocketAddr};

use super::{Backend, Container, Cpu, Dns, Exec, File, Io, Memory, Process, Runtime, names};
use crate::{probes::context::Parent, time::Wall};

/// Something that was seen of a container, or of a process of the node that is in none.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub time: Wall,
    /// When what is told began, where it took time.
    pub began: Option<Wall>,
    /// `None`: a process of the node itself, or one whose container is not known, which `why` says.
    pub container: Option<Container>,
    pub process: Option<Process>,
    /// Whether the container was seen from its start on; if not, counts are since attach.
    pub since: Since,
    /// Why something in it is not known: a sentence.
    pub why: Option<String>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Exec(Exec),
    Runtime(Runtime),
    Stdio(Stdio),
    Memory(Memory),
    Dns(Dns),
    Net(Net),
    Webhook(Box<Webhook>),
    Text(Text),
    Cpu(Cpu),
    File(Box<File>),
    Io(Io),
}

impl What {
    /// The interface's name of the probe that saw it.
    pub const fn probe(&self) -> &'static str {
        match self {
            What::Exec(_) => "exec",
            What::Runtime(_) => "runtime",
            What::Stdio(_) => "stdio",
            What::Memory(_) => "memory",
            What::Dns(_) => "dns",
            What::Net(_) => "net",
            What::Webhook(_) => "webhook",
            What::Text(_) => "text",
            What::Cpu(_) => "cpu",
            What::File(_) => "file",
            What::Io(_) => "io",
        }
    }
}

names! {
    /// From when on it was watched.
    Since {
        Start = "start",
        Attach = "attach",
    }
}

/// A standard stream of a container: the object that its init's descriptor referred to at its start, whatever
/// process or descriptor writes to it later.
#[derive(Clone, Debug, PartialEq)]
pub struct Stdio {
    /// 1 or 2.
    pub fd: u32,
    /// The other descriptor, where both refer to the same object: what is told is of both.
    pub shared_with_fd: Option<u32>,
    pub target: StdioTarget,
    /// What the same descriptor of init refers to now, where that is something else.
    pub target_now: Option<StdioTarget>,
    /// Bytes that were written; `None`: some writers could not be seen.
    pub written_bytes: Option<u64>,
    /// Bytes that were taken out of the pipe, by anyone.
    pub delivered_bytes: Option<u64>,
    /// Bytes still queued in the pipe.
    pub pipe_bytes: Option<u64>,
    /// How long a writer waited for room, sampled; nanoseconds.
    pub blocked_ns: Option<u64>,
    /// The thread that waits longest for room, while one does.
    pub waiter: Option<Thread>,
    /// Writes that failed because nobody reads any more.
    pub broken_pipe_writes: u64,
    pub reader: Option<Process>,
    pub log_file: Option<LogFile>,
    pub outcome: StdioOutcome,
    /// Whether the container was killed with output that it had not written yet; `None`: nothing speaks for it.
    pub unflushed: Option<Unflushed>,
    /// Nothing more will come.
    pub ended: bool,
}

names! {
    /// Of a container that was killed after it had ignored SIGTERM: output that it kept to itself is lost with it.
    Unflushed {
        /// It wrote nothing but whole blocks, as C libraries do into a pipe until a program flushes or exits.
        Likely = "likely",
        /// It wrote nothing at all: it may have had nothing to say.
        Possible = "possible",
    }
}

/// Of a process, by its numbers in the initial namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    pub pid: u32,
    pub tid: u32,
}

names! {
    StdioTarget {
        Pipe = "pipe",
        Fifo = "fifo",
        File = "file",
        Null = "null",
        Tty = "tty",
        Socket = "socket",
        Closed = "closed",
        Other = "other",
    }
}

names! {
    StdioOutcome {
        /// All that was written was taken out of the pipe.
        Delivered = "delivered",
        /// Written, and still queued when the last reader closed.
        Undelivered = "undelivered",
        /// Nothing was written from start to exit.
        Silent = "silent",
        /// A writer waits for room, and the reader takes nothing.
        Blocked = "blocked",
        /// It never was, or no longer is, what the runtime gave.
        Redirected = "redirected",
        /// The last reader has closed while the container lived.
        ReaderGone = "reader-gone",
        /// All of it was written in the last moment of a long life.
        HeldUntilExit = "held-until-exit",
        /// It cannot be said, or not yet.
        Unknown = "unknown",
    }
}

/// Where the reader of a pipe writes what it takes, as far as the node shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    pub path: String,
    pub bytes: Option<u64>,
    /// Whether it grew since the container's start, or since attach.
    pub grew: Option<bool>,
}

/// What became of a TCP connection that a process has opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    pub action: NetAction,
    pub outcome: NetOutcome,
    /// Whom it was opened to, as it was asked for; `None`: that could not be read.
    pub server: Option<SocketAddr>,
    /// Where the node sent it instead, as far as that is known of connections that failed, and of others meanwhile.
    pub backend: Option<Backend>,
    pub local: Option<SocketAddr>,
    /// From when it was asked for until the other side answered; nanoseconds.
    pub latency_ns: Option<u64>,
    /// How long it has been there.
    pub age_ns: Option<u64>,
    pub errno: Option<i32>,
    /// Packets sent again; of those, before it was established.
    pub retransmits: u32,
    pub syn_retransmits: u32,
    /// Smoothed round trip, nanoseconds.
    pub rtt_ns: Option<u64>,
    pub sent_bytes: Option<u64>,
    pub received_bytes: Option<u64>,
    /// A packet between the two that this node dropped meanwhile.
    pub drop: Option<Drop>,
    /// By what a TLS handshake was ended.
    pub alert: Option<TlsAlert>,
}

impl Net {
    /// Of which nothing more is known.
    pub const fn of(action: NetAction, outcome: NetOutcome) -> Net {
        Net {
            action,
            outcome,
            server: None,
            backend: None,
            local: None,
            latency_ns: None,
            age_ns: None,
            errno: None,
            retransmits: 0,
            syn_retransmits: 0,
            rtt_ns: None,
            sent_bytes: None,
            received_bytes: None,
            drop: None,
            alert: None,
        }
    }
}

/// What a side of a TLS handshake said when it ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsAlert {
    pub by: Side,
    /// As TLS numbers them; `None`: it was encrypted, and is known by its length alone.
    pub description: Option<u8>,
}

/// A packet that this node dropped, by the kernel's own reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// As `enum skb_drop_reason` calls it.
    pub reason: String,
    /// Number of the network namespace.
    pub netns: Option<u32>,
    /// It was on its way back.
    pub of_answer: bool,
}

names! {
    NetAction {
        Connect = "connect",
        Stall = "stall",
        Close = "close",
        /// TLS, on a connection that was made.
        Handshake = "tls-handshake",
    }
}

names! {
    NetOutcome {
        Connected = "connected",
        /// Nobody listens there.
        Refused = "refused",
        Unreachable = "unreachable",
        /// Nobody answered.
        Timeout = "timeout",
        Reset = "reset",
        /// A rule of this node forbids it.
        Forbidden = "forbidden",
        /// Whoever asked gave up, at once.
        Abandoned = "abandoned",
        /// What is sent is not acknowledged any more.
        Stalled = "stalled",
        /// It ended as it should, after packets were sent again.
        Closed = "closed",
        /// A side has ended its TLS handshake with an alert.
        TlsFailed = "tls-failed",
        Error = "error",
    }
}

/// A call of a webhook, as seen on its connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// What the user calls it.
    pub name: String,
    pub client: Peer,
    pub server: Peer,
    /// Whose socket it was seen on.
    pub side: Side,
    pub method: Option<String>,
    pub path: Option<String>,
    /// After how long its caller gives up, nanoseconds.
    pub deadline_ns: Option<u64>,
    /// All phases together; of a call without an answer until its caller gave up, or it was clear that none comes.
    pub latency_ns: Option<u64>,
    pub phases: CallPhases,
    /// What the server's process did meanwhile; `None`: it is not of this node, or was not watched then.
    pub server_time: Option<ServerTime>,
    /// How long the connection had been there when the request began.
    pub connection_age_ns: Option<u64>,
    /// HTTP's.
    pub status: Option<u16>,
    pub allowed: Option<bool>,
    pub message: Option<String>,
    pub outcome: CallOutcome,
    pub seen: CallSeen,
    /// The client spoke again before the answer: this may be more than one request.
    pub overlapping: bool,
    /// Packets of the request that were sent again, and how often the connection was asked for.
    pub retransmits: u32,
    pub connects: u32,
    /// Bytes of the request that the server has not acknowledged.
    pub unacknowledged_bytes: Option<u32>,
    /// What the request says of the trace that it belongs to, where it was read.
    pub parent: Option<Parent>,
}

/// How a server's process has spent the time in which a request was with it, as a whole: on a CPU if any of its threads
/// was; nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTime {
    pub on_cpu_ns: u64,
    /// No thread ran, and at least one waited for a CPU.
    pub runnable_ns: u64,
    /// None ran or waited, and at least one was kept from CPUs by its control group's limit. `None`: the kernel does not
    /// say; such time is in `runnable_ns`.
    pub throttled_ns: Option<u64>,
    pub blocked_ns: u64,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// `None`: seen by what was said alone, whose connection is not known.
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    /// The name that the client asked for.
    pub host: Option<String>,
    pub pod: Option<String>,
    pub process: Option<Process>,
}

/// Where a call's time went, nanoseconds. `None`: there was no such phase (connections are used again), or it could
/// not be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallPhases {
    pub connect_ns: Option<u64>,
    pub tls_ns: Option<u64>,
    /// From the first byte of the request to the last.
    pub send_ns: Option<u64>,
    /// From there to the first byte of the answer.
    pub server_ns: Option<u64>,
    /// From there to the last.
    pub receive_ns: Option<u64>,
}

names! {
    Side {
        Client = "client",
        Server = "server",
    }
}

names! {
    CallOutcome {
        Answered = "answered",
        /// Answered with a no.
        Denied = "denied",
        /// Not answered within its deadline, and the client gave up.
        Timeout = "timeout",
        /// Nobody listens.
        Refused = "refused",
        /// The server ended the connection in place of an answer.
        Reset = "reset",
        TlsFailed = "tls-failed",
        /// Answered with another status than success.
        HttpError = "http-error",
        /// It cannot be said.
        Unknown = "unknown",
    }
}

names! {
    /// How much of a call was seen.
    CallSeen {
        /// What was said, without encryption.
        Plain = "plain",
        /// What was said, before it was encrypted.
        TlsLibrary = "tls-library",
        /// When something was said, and how much.
        Socket = "socket",
    }
}

/// A line with a keyword in it. Text of a process: untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Which keyword of the catalogue.
    pub keyword: String,
    /// The layer that it points to.
    pub layer: String,
    /// A component of the node that the keyword is of wrote it, not a workload.
    pub component: bool,
    /// The descriptor that it was written to.
    pub fd: u32,
    /// Without its secrets.
    pub line: String,
    /// There is more of it.
    pub is_cut: bool,
    /// What the keyword's named groups hold.
    pub captures: Vec<(String, String)>,
    /// The database of a cluster that whoever wrote it has opened, unless the line names another file.
    pub datastore: Option<String>,
}
