//! What is known of one pod, or of one container: who it is, how it is now, and what became of it before.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    Check, ColdStart, Container, CpuUse, Event, Finding, NotMeasured, Resident, Since, Stdio, Unproven, names,
};
use crate::{input::Tracked, time::Wall};

/// A container that lives, as it is at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub container: Container,
    pub since: Since,
    pub streams: Vec<Stdio>,
    pub resident: Option<Resident>,
    /// Of the last interval that was sampled.
    pub cpu: Option<CpuUse>,
}

/// The answer to "what about this one?".
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    pub time: Wall,
    /// As it was typed.
    pub asked: String,
    pub source: Source,
    /// From when on was watched.
    pub from: Wall,
    pub known: Known,
    /// The same in a sentence.
    pub said: String,
    /// What the Kubernetes API says, where it was asked and has answered.
    pub api: Option<Api>,
    pub containers: Vec<Described>,
    /// Containers that there was no room for.
    pub left_out: u64,
    pub findings: Vec<Finding>,
    pub unproven: Vec<Unproven>,
    /// What was looked at on this node.
    pub checked: Vec<Check>,
    pub not_measured: Vec<NotMeasured>,
}

names! {
    Source {
        /// A look at what is there, and a few seconds of watching.
        Snapshot = "snapshot",
        /// An observer that has run for a while.
        Observer = "observer",
    }
}

names! {
    Known {
        /// A container of it lives.
        Here = "here",
        /// It has containers, none of which lives.
        Down = "down",
        /// It was here.
        Gone = "gone",
        Never = "never-seen",
    }
}

names! {
    Condition {
        Running = "running",
        Exited = "exited",
        Created = "created",
        Unknown = "unknown",
    }
}

/// One container, with what went before it under the same name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    pub container: Container,
    pub condition: Option<Condition>,
    pub since: Option<Since>,
    /// How often its engine has started it anew; `None`: no engine has said so.
    pub restarts: Option<u32>,
    /// The latest first.
    pub exits: Vec<PastExit>,
    pub streams: Vec<Stdio>,
    pub resident: Option<Resident>,
    pub cpu: Option<CpuUse>,
    /// Where its engine logs to.
    pub log_path: Option<String>,
    /// What its engine was told to allow it.
    pub limits: Limits,
    /// Outcomes counted since it is watched, by probe.
    pub outcomes: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// The latest events that need attention, the oldest of them first.
    pub recent: Vec<Event>,
    pub start: Option<ColdStart>,
    /// `None`: it does not run, or may not be looked at.
    pub network: Option<NetworkLook>,
}

/// The sockets of a container at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkLook {
    /// It has no network of its own.
    pub is_nodes: bool,
    pub listening: Vec<Listening>,
    pub connections: Vec<Connections>,
    /// Places and peers that there was no room for.
    pub left_out: u64,
    /// What the table of connections of its network has counted since that is there; `None`: the kernel does not say.
    pub tracked: Option<Tracked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    pub transport: Transport,
    pub at: SocketAddr,
    /// Connections that nobody has accepted yet.
    pub waiting: Option<u64>,
}

/// Connections alike: those that came in by where they arrived, the others by where they go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    pub direction: Direction,
    pub transport: Transport,
    pub at: SocketAddr,
    pub state: &'static str,
    pub count: u64,
    /// Handed to the kernel, and not acknowledged by the peer.
    pub unsent_bytes: u64,
    /// Here, and not taken by the container.
    pub unread_bytes: u64,
}

names! {
    Transport {
        Tcp = "tcp",
        Udp = "udp",
    }
}

names! {
    Direction {
        In = "in",
        Out = "out",
    }
}

/// An end of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastExit {
    pub id: String,
    pub attempt: Option<u32>,
    /// When it ended.
    pub time: Option<Wall>,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// In its engine's words, or by what was seen.
    pub reason: Option<String>,
}

/// `None`: there is none, or nobody has said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    pub milli_cpus: Option<u64>,
}

/// What the Kubernetes API says of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Api {
    /// It has none of that name.
    Absent,
    Pod(Box<ApiPod>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ApiPod {
    /// The node that it is to run on.
    pub node: Option<String>,
    pub phase: Option<String>,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub conditions: Vec<ApiCondition>,
    /// Containers that wait: name, reason, message.
    pub waiting: Vec<(String, String, String)>,
    /// What was said of it, the latest last, or why that is not known.
    pub events: Result<Vec<ApiEvent>, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiCondition {
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiEvent {
    pub time: Option<Wall>,
    pub is_warning: bool,
    pub reason: String,
    pub message: String,
    pub count: u64,
}
