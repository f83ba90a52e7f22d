//! Probe status and loss: what may be believed. Pure values; the live edge reports, the pipeline keeps.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A report about one probe, or about the observer itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    pub time: Time,
    pub what: Report,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// Attachment of one probe family.
    Status { family: u8, status: Status, hook: Option<String>, why: Option<String> },
    /// Records handed over by one family so far.
    Records { family: u8, count: u64 },
    /// The observer's own cost so far.
    Own(OwnCost),
    /// What became of the telemetry of others so far.
    Otlp(OtlpCounts),
}

/// What became of the spans, log records and metrics that others have sent. A record that was received is one that was
/// passed on, waits to be, or was left out; what was refused is still its sender's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtlpCounts {
    pub received_spans: u64,
    pub received_logs: u64,
    pub received_metrics: u64,
    /// Records that cannot be understood: their senders were told.
    pub rejected: u64,
    /// Requests that were to be sent again: too many at once.
    pub refused_requests: u64,
    /// Records of our own scope, and those that were received before: never passed on.
    pub own: u64,
    pub seen_before: u64,
    /// Whether records are passed on. The counts below are of this run and of what an earlier one has left behind.
    pub forwards: bool,
    /// Left behind by an earlier run.
    pub resumed: u64,
    pub forwarded: u64,
    /// On disk, or in memory, until the collector takes them.
    pub waiting: u64,
    /// Of those, in memory alone, which a kill would lose: the disk took nothing.
    pub waiting_in_memory: u64,
    /// Refused by the collector for good, not readable any more, or in memory alone at the end.
    pub dropped: u64,
    /// Connections that never said anything, and those for which there was no room.
    pub silent_connections: u64,
    pub refused_connections: u64,
    /// Connections that were to speak TLS, and did not; requests without the token.
    pub failed_handshakes: u64,
    pub unauthorized_requests: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// All its hooks are attached, on whatever rung.
    Attached,
    /// Its target is not there yet.
    Waiting,
    /// Some of its hooks are attached.
    Degraded,
    /// Not asked for.
    Off,
    /// None of its hooks could be attached.
    Failed,
    /// This machine has nothing for it to watch.
    NotApplicable,
    /// Given up for a while: observing cost more than it may.
    Shed,
}

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Status::Attached => "attached",
            Status::Waiting => "waiting",
            Status::Degraded => "degraded",
            Status::Off | Status::Shed => "off",
            Status::Failed => "failed",
            Status::NotApplicable => "not-applicable",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnCost {
    /// CPU time of the observer's process so far, nanoseconds.
    pub cpu_ns: u64,
    pub rss_bytes: u64,
    /// Run time of the kernel programs, if the kernel counts it.
    pub bpf_run_ns: Option<u64>,
}

/// One line of the health object.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeHealth {
    pub name: &'static str,
    pub status: Status,
    pub hook: Option<String>,
    pub why: Option<String>,
    pub records: u64,
    pub lost: u64,
}

/// How one probe family is, or would be, attached.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePlan {
    pub family: observer_ebpf::Family,
    pub status: Status,
    pub hooks: Vec<HookPlan>,
}

/// How one hook is, or would be, attached.
#[derive(Clone, Debug, PartialEq)]
pub struct HookPlan {
    pub name: &'static str,
    /// The rung taken; `None`: no rung attaches.
    pub rung: Option<&'static str>,
    /// Why not a better one, or not at all.
    pub why: Option<String>,
}
