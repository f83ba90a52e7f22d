//! What was seen, tied to spans that others have sent.

use super::{ColdStart, Event, names};
use crate::span::{SpanId, TraceId};

/// Something that was seen, and the spans that it explains.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub of: Told,
    pub join: Join,
    /// It belongs to one span alone.
    pub is_child: bool,
    /// One; more, where it concerns all of them.
    pub targets: Vec<Target>,
    /// Targets that are not among them, for want of room.
    pub left_out: u64,
}

/// What is tied; it was told by itself, too.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Event(Box<Event>),
    Start(Box<ColdStart>),
}

/// A span of others. Its texts are theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub trace: TraceId,
    pub span: SpanId,
    pub name: String,
    pub service: Option<String>,
    pub state: String,
    pub host_name: Option<String>,
    pub host_id: Option<String>,
}

names! {
    /// By what evidence is tied to a span. Time alone never is one.
    Join {
        /// The trace context was seen in what was sent.
        Context = "context",
        /// Both ends of the connection.
        Socket = "socket",
        /// The container, or its pod.
        Container = "container",
        /// The process.
        Pid = "pid",
        /// The other end, or its name, and who asked.
        Address = "address",
    }
}

/// What became of all that could have been tied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    pub context: u64,
    pub socket: u64,
    pub container: u64,
    pub pid: u64,
    pub address: u64,
    /// It may have belonged to any of several.
    pub ambiguous: u64,
    /// No span of it came.
    pub unmatched: u64,
    /// Spans and evidence for which there was no room.
    pub given_up: u64,
    /// Requests of which it was not looked at which traces they belong to: there were too many.
    pub unread_requests: u64,
}
