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
}

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Status::Attached => "attached",
            Status::Waiting => "waiting",
            Status::Degraded => "degraded",
            Status::Off => "off",
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
