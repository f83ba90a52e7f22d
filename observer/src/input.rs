//! The only way into the pipeline, and what the recorder keeps.
//!
//! Nothing here holds bytes of content: records have passed [`crate::probes::reduce`].

mod certificate;
mod cpu;
mod hardware;
mod kube;
mod listening;
mod module;
mod node;
mod normal;
mod storage;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use crate::probes::Record;
use crate::{
    health::ProbeReport,
    probes::{
        packet::Owner,
        stdio::{Object, PipeState, Written},
        webhook::Target,
    },
    span::Span,
    time::{ClockOffset, Time},
};
pub use certificate::Certificate;
pub use cpu::{Bandwidth, CpuCounts, CpuFact, Quota};
pub use hardware::{BlockCounts, CheckCounts, HardwareCounts, SyncCounts};
pub use kube::{
    Allows, Kube, KubeAutoscaler, KubeEvent, KubeKind, KubeNamespace, KubeNode, KubePod, KubePolicy,
    KubeRequirement, KubeRuntimeClass, KubeService, KubeSlice, KubeWebhook, Requires,
};
pub use listening::Listening;
pub use module::{AheadOfTime, AotForm, LinearMemory, Module, ModuleFormat};
pub use node::{CpuTime, NodeCounts, Route, Tracked, Translated};
pub use normal::Normal;
pub use storage::{Alike, Device, FailedAt, Filesystem, NodeFilesystem, Purpose, Room};

/// Everything that can make the pipeline act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// Something a kernel probe saw.
    Record(Record),
    /// Something that was read or asked, or the failure to do so.
    Fact(Fact),
    /// The state of a probe, or of the observer itself.
    Probe(ProbeReport),
    /// Records of a family were lost before this time; `count` is the total so far, not an increment.
    Lost { time: Time, family: u8, count: u64 },
    /// What the kernel has counted by now.
    Sample(Sample),
    /// A span that somebody has sent.
    Span(Box<Span>),
    /// A promise: every kernel source was drained past this time.
    Tick(Time),
}

impl Input {
    pub fn time(&self) -> Time {
        match self {
            Input::Record(record) => record.time,
            Input::Sample(sample) => sample.time,
            Input::Fact(fact) => fact.time,
            Input::Probe(report) => report.time,
            Input::Span(span) => span.time,
            Input::Lost { time, .. } | Input::Tick(time) => *time,
        }
    }
}

/// A state or a count that was read, at this time. Read often, handed on when it has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub time: Time,
    pub what: SampleKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SampleKind {
    /// A followed pipe, by its inode number; what each container, by its init, has written to it.
    Pipe { ino: u64, state: PipeState, written: Vec<(u32, Written)> },
    /// The memory control group of a container, by its init.
    Memory { init: u32, used: MemoryUse },
    /// The CPU control group of a container, by its init.
    Cpu { init: u32, counts: CpuCounts },
    /// The node itself.
    Node(Box<NodeCounts>),
    /// Calls that have failed and that no record has told: how many, by what they have in common.
    Failures(Vec<(Alike, u64)>),
    /// Certificates of the cluster's components on the node's disk.
    Certificates(Vec<Certificate>),
    /// How many bytes of the linear memories of a process of a container, by its init, may be accessed; 0: it has ended.
    Linear { init: u32, tgid: u32, bytes: u64 },
    /// The table of connections of the network of a container, by its init; of the node, by none. Since the sample before.
    Tracked { init: Option<u32>, counts: Tracked },
    /// Where a container, by its init, listens by now, of the ports by which clusters are entered; the node, by none.
    Listening { init: Option<u32>, at: Listening },
}

/// How much memory a control group is charged with; bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    pub current: u64,
    /// The most ever, where the kernel keeps it.
    pub peak: Option<u64>,
    /// `None`: there is none.
    pub limit: Option<u64>,
    /// How often more was asked for than the limit allows.
    pub limit_hits: Option<u64>,
    /// Of `current`, pages of files that nobody has used of late: they are given up before anything is killed.
    #[serde(default)]
    pub inactive_file: Option<u64>,
    /// Of `current`, what its processes have of their own: not pages of files.
    #[serde(default)]
    pub anonymous: Option<u64>,
}

/// What was looked up. `time` is the time from which it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    pub time: Time,
    pub what: FactKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FactKind {
    Clock(ClockOffset),
    /// A process that was there before the observer, of interest by its name.
    Process(ProcessFact),
    /// The OCI bundle of a container that a runtime (`tgid`) is creating.
    Bundle {
        tgid: u32,
        result: Result<Bundle, LookupError>,
    },
    /// What the container engine says of a container or pod sandbox.
    Cri {
        id: String,
        result: Result<CriContainer, LookupError>,
    },
    /// The module that the init of a container has opened.
    Module {
        init: u32,
        result: Result<Box<Module>, LookupError>,
    },
    /// `RUNTIME --version`, asked once a binary.
    RuntimeVersion {
        exe: String,
        result: Result<RuntimeVersion, LookupError>,
    },
    /// How long the file is that the engine of a container, by its init, logs to.
    LogFile {
        init: u32,
        path: String,
        result: Result<u64, LookupError>,
    },
    /// Whether process `tgid` has the socket with this cookie.
    SocketOwner {
        cookie: u64,
        tgid: u32,
        result: Result<Owner, LookupError>,
    },
    /// Where the node sends what goes this way; `None`: on, or nowhere that it knows.
    Backend {
        route: Route,
        result: Result<Option<SocketAddr>, LookupError>,
    },
    /// Of the connections that were asked about those that the node translates.
    Translated {
        result: Result<Vec<Translated>, LookupError>,
    },
    /// Where the call of thread `tid` failed of which a record at that time tells.
    FailedAt {
        at: Time,
        tid: u32,
        result: Result<FailedAt, LookupError>,
    },
    /// The file systems that the node lives on.
    Filesystems(Vec<NodeFilesystem>),
    /// A container that lives: it was there before the observer, or before this part of a recording.
    Life(Box<LifeFact>),
    /// What this kernel calls the reasons for which it drops packets, by number.
    DropReasons(Vec<(u32, String)>),
    /// Options from here on: the pipeline's settings, as a recording's header has them.
    Settings(String),
    /// What the Kubernetes API says of what is of this kind.
    Kube {
        kind: KubeKind,
        result: Box<Result<Kube, LookupError>>,
    },
    /// The webhooks that the Kubernetes API has named so far, in the order in which it did. Of older recordings.
    KubeTargets(Vec<Target>),
    /// All webhooks that were named so far, in the order in which they were.
    WebhookPlaces(Vec<WebhookPlace>),
    /// The run is over: nothing later is coming.
    End(End),
}

/// A webhook that was named once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookPlace {
    pub target: Target,
    /// By a configuration of the Kubernetes API, not by the user.
    pub by_api: bool,
    /// It is yet.
    pub is_watched: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessFact {
    pub tgid: u32,
    pub ppid: u32,
    /// CLOCK_BOOTTIME at the process's start: with its pid, its identity.
    pub start: Time,
    pub comm: String,
    pub exe: Option<String>,
    /// Bits of `observer_ebpf::control::role`.
    pub role: u32,
    /// The database that it has open, where it keeps a cluster's objects in one.
    #[serde(default)]
    pub datastore: Option<String>,
}

/// A container that lives, by its init.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LifeFact {
    pub init: u32,
    /// CLOCK_BOOTTIME at the start of init.
    pub start: Time,
    pub comm: String,
    pub ppid: u32,
    pub id: String,
    pub runtime: Option<String>,
    pub runtime_version: Option<String>,
    pub engine: Option<String>,
    pub cgroup: Option<String>,
    pub cgroup_id: Option<u64>,
    pub bundle: Option<Bundle>,
    /// Who it is, as far as its engine has said.
    pub cri: Option<CriContainer>,
    pub is_wasm: bool,
    /// By the library that its init has, or as a part of what its init is.
    #[serde(default)]
    pub wasm_engine: Option<String>,
    /// What its module says of itself, where that was read.
    #[serde(default)]
    pub module: Option<Result<Box<Module>, LookupError>>,
    /// It was watched from its start on.
    pub since_start: bool,
    pub begun: Option<Time>,
    pub streams: Vec<StreamFact>,
    #[serde(default)]
    pub log: Option<LogFact>,
    #[serde(default)]
    pub resident: Option<ResidentFact>,
    #[serde(default)]
    pub cpu: Option<CpuFact>,
}

/// What was sampled of a container's memory: at first, last, and at most; bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResidentFact {
    pub first: u64,
    pub last: u64,
    pub peak: u64,
    pub limit_hits: Option<u64>,
    #[serde(default)]
    pub limit: Option<u64>,
    /// What cannot be given up, by the last sample.
    #[serde(default)]
    pub working_set: Option<u64>,
    /// What its processes have of their own, by the last sample.
    #[serde(default)]
    pub anonymous: Option<u64>,
}

/// The file that a container's engine logs to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogFact {
    pub path: String,
    /// Nothing was in it when the container began.
    pub began_empty: bool,
    /// When it was looked at first, and its bytes then.
    pub first: Option<(Time, u64)>,
}

/// A standard stream of a container that lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamFact {
    pub fd: u32,
    pub object: Object,
    pub attach: bool,
    pub opened: Time,
    pub written: Written,
    pub pipe: PipeState,
    /// For a while nothing of it was counted.
    #[serde(default)]
    pub unseen: bool,
}

/// A look-up that failed: what, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}: {why}")]
pub struct LookupError {
    pub what: String,
    pub why: String,
}

/// The parts of an OCI bundle's config.json that say who a container is. No environment, no arguments but
/// the first (a Wasm handler runs it as the module).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    pub path: String,
    pub entrypoint: Option<String>,
    pub rootfs: Option<String>,
    pub cgroups_path: Option<String>,
    /// Whether a network namespace is made (`true`) or joined by path (`false`), if any is named.
    pub new_netns: Option<bool>,
    pub netns_path: Option<String>,
    /// Only keys that name a pod, an image or a handler.
    pub annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CriContainer {
    pub is_sandbox: bool,
    pub name: Option<String>,
    pub pod: Option<String>,
    pub namespace: Option<String>,
    pub pod_uid: Option<String>,
    pub sandbox_id: Option<String>,
    pub attempt: Option<u32>,
    pub image: Option<String>,
    /// What the engine resolved that to; it ends with a digest.
    #[serde(default)]
    pub image_ref: Option<String>,
    pub handler: Option<String>,
    pub labels: std::collections::BTreeMap<String, String>,
    /// The file that the engine logs to.
    #[serde(default)]
    pub log_path: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuntimeVersion {
    pub version: String,
    /// `+SECCOMP`, `+WASM:wasmedge`, ... as the runtime prints them.
    pub features: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub why: EndReason,
    /// Exit code of CMD, when one was given and has ended; negative: the signal that ended it.
    pub command_exit: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    Interrupted,
    Deadline,
    CommandEnded,
}
