//! What comes out of the pipeline. Sinks turn it into tables, JSON, spans and pages; only the live edge
//! executes a [`Want`]. Times are nanoseconds.

mod backend;
mod cpu;
mod describe;
mod dns;
pub mod errno;
mod event;
mod evidence;
mod exec;
mod file;
mod finding;
mod hardware;
mod io;
mod memory;
mod node;
mod runtime;
pub mod signal;
mod stats;
pub mod tls_alert;
mod tool;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use crate::{
    health::{OtlpCounts, OwnCost, ProbeHealth},
    input::{Device, Module, Route},
    layer::Layer,
    probes::storage::On,
    time::{Time, Wall},
};

pub use backend::Backend;
pub use cpu::{Cpu, CpuOutcome, CpuUse, Throttling};
pub use describe::{
    Api, ApiCondition, ApiEvent, ApiPod, Condition, Connections, Described, Description, Direction, Known,
    Limits, Listening, NetworkLook, PastExit, Source, Standing, Transport,
};
pub use dns::{Dns, DnsOutcome, DnsQuestion, DnsTransport};
pub use event::{
    CallOutcome, CallPhases, CallSeen, Drop, Event, LogFile, Net, NetAction, NetOutcome, Peer, ServerTime,
    Side, Since, Stdio, StdioOutcome, StdioTarget, Text, Thread, TlsAlert, Unflushed, Webhook, What,
};
pub use evidence::{Evidence, Join, Joined, Target, Told};
pub use exec::Exec;
pub use file::{File, FileOutcome};
pub use finding::{
    Bilingual, Check, CheckState, Finding, FindingStatus, Found, Grade, Missing, Proof, Subject, Unproven,
};
pub use hardware::{BlockUse, HardwareUse, SyncUse};
pub use io::Io;
pub use memory::{FaultKind, FaultRegion, Memory, OomScope, Seen};
pub use node::{Histogram, NodeUse};
pub use runtime::{Runtime, RuntimeAction};
pub use stats::{Resident, Stats};
pub use tool::ToolFailed;

#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    ColdStart(Box<ColdStart>),
    Event(Box<Event>),
    Finding(Box<Finding>),
    Unproven(Box<Unproven>),
    Evidence(Box<Evidence>),
    /// A finding that was told as open, once: when it is known which spans of others it explains, or that it
    /// explains none.
    Settled(Box<Finding>),
    Stats(Stats),
    Health(Health),
    Summary(Summary),
    Want(Want),
}

/// A request to the live edge. Its result, also a failure, comes back as an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Read config.json of the bundle that runtime process `tgid` was given: `path`, or its working
    /// directory when it was given none.
    Bundle { tgid: u32, path: Option<String> },
    /// Read the Wasm module that the init of a container has opened at this time by this path; `bundle`: the folder of its bundle, as
    /// far as that is known.
    Module { init: u32, at: Time, path: String, bundle: Option<String> },
    /// Ask the container engine about a container or sandbox.
    Cri { id: String },
    /// Ask a runtime binary for its version, as seen by process `tgid`.
    RuntimeVersion { tgid: u32, exe: String },
    /// Find out whether process `tgid` has the socket with this cookie, which is between these places.
    SocketOwner { cookie: u64, tgid: u32, local: SocketAddr, remote: SocketAddr },
    /// Find out where the node sends what goes this way, which may be the address of a service.
    Backend { route: Route },
    /// Find out which of these connections the node translates, each as one of its ends sees it.
    Translated { routes: Vec<Route> },
    /// Find out where the call of thread `tid` failed of which a record at that time tells, and how much room is there.
    FailedAt {
        at: Time,
        tid: u32,
        tgid: u32,
        /// Others that may see the same, if it is gone.
        others: Vec<u32>,
        on: On,
        fd: i32,
        text: Option<String>,
        device: Device,
    },
    /// Nothing more will come of this connection, of which the kernel side has not seen the end.
    ForgetConnection { cookie: u64 },
    /// Nothing more is of interest about this process and its children.
    Unwatch { tgid: u32 },
    /// Sample this pipe, and what the container with this init writes to it.
    FollowPipe { ino: u64, init: u32 },
    /// The containers that write to this pipe have ended: watch what is left in it closely.
    DrainPipe { ino: u64 },
    /// The container with this init has ended, and all about its pipe is said.
    ForgetPipe { ino: u64, init: u32 },
    /// Find out who reads the followed pipes.
    FindReaders,
    /// Look how long the file is that the engine of the container with this init logs to.
    LogFile { init: u32, path: String },
    /// Sample memory and CPU time of the container with this init, whose control group has this path.
    FollowGroup { init: u32, cgroup: String },
    /// Sample how much of this reservation of a process may be accessed: it is a linear memory of the container with
    /// this init.
    FollowLinear { init: u32, tgid: u32, start: u64, bytes: u64 },
    /// Attach to the engine library that runtime process `tgid` has opened: what it exports says more than the
    /// kernel sees.
    Engine { tgid: u32, path: String },
    /// See the look-ups of the C libraries that the root of this process has. `of_node`: that root is the node's, and so
    /// they are seen from now on.
    Resolver { tgid: u32, of_node: bool },
    /// Nothing but the end of this container init is of interest from now on.
    Quiet { init: u32 },
    /// See the webhook calls that this process makes, or answers, in its TLS library.
    TlsLibrary { tgid: u32, side: Side },
    /// What this connection of a TLS library carries is of no interest.
    LeaveTls { tgid: u32, connection: u64 },
    /// Watch how this process spends its time, which serves webhook calls at this address.
    WatchServer { tgid: u32, address: SocketAddr },
}

/// A container, as far as it is known. `None` is "not known", never "none".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    pub id: String,
    /// Init pid and start time: ids and pids are reused, this is not.
    pub instance: Option<Instance>,
    pub name: Option<String>,
    pub pod: Option<String>,
    pub namespace: Option<String>,
    pub pod_uid: Option<String>,
    pub sandbox_id: Option<String>,
    pub attempt: Option<u32>,
    pub image: Option<String>,
    pub runtime: Option<String>,
    pub runtime_version: Option<String>,
    /// What the runtime says it was built with: `+SECCOMP`, `+WASM:wasmedge`, ... Only asked for, never printed.
    pub runtime_features: Vec<String>,
    /// The CRI runtime handler, or the OCI handler annotation.
    pub handler: Option<String>,
    /// `containerd`, `podman`, `cri-o`, ...: who asked the runtime, as far as its lineage shows.
    pub engine: Option<String>,
    pub kind: Kind,
    /// What runs the payload, where that is Wasm: by its library, or as a part of the runtime.
    pub wasm_engine: Option<String>,
    /// What the module of such a payload says of itself, where it was read.
    pub module: Option<Arc<Module>>,
    pub cgroup: Option<String>,
    /// `kn->id` of its control group: the directory's inode.
    pub cgroup_id: Option<u64>,
    pub started_at: Option<Wall>,
    pub exit: Option<Exit>,
    /// Its own and its pod's, as far as the engine says them. Only asked for, never printed.
    pub labels: BTreeMap<String, String>,
    /// Why a field above could not be filled, e.g. "bundle: No such file or directory".
    pub unknown: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    pub init: u32,
    pub start: Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Oci,
    Wasm,
    Sandbox,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Oci => "oci",
            Kind::Wasm => "wasm",
            Kind::Sandbox => "sandbox",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub reason: Option<String>,
}

/// A process of the initial pid namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub tid: u32,
    pub ppid: Option<u32>,
    pub comm: String,
    pub exe: Option<String>,
    pub start: Option<Wall>,
}

/// Where one container start spent its time.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdStart {
    /// When it began.
    pub time: Wall,
    pub container: Container,
    pub t0: T0,
    pub total_ns: u64,
    pub ready: Ready,
    pub milestones: Milestones,
    /// Whether anything had to come from storage; `None` when that was not seen.
    pub cold: Option<bool>,
    pub phases: Vec<Phase>,
    pub unattributed_ns: u64,
    pub major_faults: Option<u64>,
    pub read_bytes: Option<u64>,
    /// Records lost on this node while it lasted.
    pub lost: u64,
    /// Set when the start did not succeed.
    pub failure: Option<Failure>,
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$vdoc])* $variant),* }

        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name),* }
            }
        }
    };
}
use names;

names! {
    /// What a start's first instant is. Starts are compared only with the same one.
    T0 {
        /// The CRI request, from its span.
        Cri = "cri",
        /// The engine made the pod's network namespace.
        Netns = "netns",
        /// The shim was executed.
        Shim = "shim",
        /// The OCI runtime was executed.
        Runtime = "runtime",
        /// The client command was executed (`podman run`).
        Command = "command",
    }
}

names! {
    /// What ended the start.
    Ready {
        Listen = "listen",
        FirstOutput = "first-output",
        Exec = "exec",
        Exit = "exit",
    }
}

names! {
    /// Parts of a start. The interval between two markers belongs to the marker that ends it.
    PhaseName {
        /// Pod network namespace and pause container, without `cni`.
        Sandbox = "sandbox",
        /// A CNI plugin.
        Cni = "cni",
        ImagePull = "image-pull",
        Snapshot = "snapshot",
        /// The rest of CRI, containerd, podman.
        Engine = "engine",
        Shim = "shim",
        RuntimeLoad = "runtime-load",
        Cgroup = "cgroup",
        Namespaces = "namespaces",
        Rootfs = "rootfs",
        Security = "security",
        /// Created, waiting for the start request.
        WaitStart = "wait-start",
        Exec = "exec",
        /// The engine library is opened and linked, the engine is set up.
        WasmEngine = "wasm-engine",
        /// The module is opened, read, validated.
        WasmLoad = "wasm-load",
        /// From the reservation of linear memory to the first guest action.
        WasmInstantiate = "wasm-instantiate",
        /// The payload's own start, to its first output or end.
        Init = "init",
        /// From there to listening.
        Ready = "ready",
        /// Could not be told apart.
        Unattributed = "unattributed",
    }
}

/// Nanoseconds from the start's beginning; `None` was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Milestones {
    pub exec_ns: Option<u64>,
    pub first_output_ns: Option<u64>,
    pub listen_ns: Option<u64>,
    pub exit_ns: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    pub name: PhaseName,
    pub layer: Layer,
    /// From the start's beginning.
    pub start_ns: u64,
    pub duration_ns: u64,
    /// Who spent it.
    pub process: Option<Process>,
    pub detail: Option<String>,
}

/// Why a start failed, as the kernel told it to the process that gave up.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub phase: PhaseName,
    /// The call that failed last before the end, e.g. `execve`, `mount`, `clone`.
    pub call: Option<String>,
    pub errno: Option<i32>,
    /// What it was about: a path, a flag.
    pub object: Option<String>,
    pub process: Option<Process>,
    /// One sentence.
    pub text: String,
}

/// State of all probes and the observer's own cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub time: Wall,
    pub probes: Vec<ProbeHealth>,
    pub own: Option<OwnCost>,
    /// Share of one CPU since the run began.
    pub cpu_percent: Option<f64>,
    /// Where telemetry of others is received.
    pub otlp: Option<OtlpCounts>,
}

/// The last word of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub from: Wall,
    pub to: Wall,
    pub scope: String,
    pub containers: u64,
    pub starts: u64,
    pub failed_starts: u64,
    /// Events by the probe's name, where containers were followed beyond their start.
    pub events: Option<BTreeMap<&'static str, u64>>,
    /// What was found, where rules were run.
    pub found: Option<Found>,
    pub not_measured: Vec<NotMeasured>,
    pub lost: u64,
    pub command_exit: Option<i32>,
    /// Where telemetry of others is received.
    pub otlp: Option<OtlpCounts>,
    /// Where what is seen is tied to their spans.
    pub joined: Option<Joined>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NotMeasured {
    pub layer: Layer,
    pub what: String,
    pub why: String,
    pub how: Option<String>,
}
