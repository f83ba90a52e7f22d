//! The doctor's findings as the object that `-o json` prints.

use serde::Serialize;

use super::{Check, Doctor, EngineSocket, NotTold, Runtime};
use crate::{health::ProbePlan, input::ProcessFact, probes::spec};

#[derive(Serialize)]
pub(super) struct Object<'a> {
    r#type: &'static str,
    time: String,
    node: Option<&'a str>,
    host: &'a str,
    host_id: Option<&'a str>,
    kernel: Kernel<'a>,
    cgroup_mode: &'static str,
    capabilities: Vec<&'static str>,
    checks: Vec<CheckObject<'a>>,
    fitness: Vec<CheckObject<'a>>,
    runtimes: Vec<RuntimeObject<'a>>,
    engines: Vec<EngineObject<'a>>,
    sockets: Vec<SocketObject<'a>>,
    probes: Vec<ProbeObject<'a>>,
    not_told: Vec<NotToldObject>,
    exit_code: i32,
}

#[derive(Serialize)]
struct Kernel<'a> {
    release: &'a str,
    arch: &'static str,
    page_size_bytes: usize,
    btf: bool,
    tracefs: bool,
}

#[derive(Serialize)]
struct CheckObject<'a> {
    name: &'static str,
    state: &'static str,
    found: &'a str,
    costs: Option<&'static str>,
    remedy: Option<&'static str>,
}

#[derive(Serialize)]
struct RuntimeObject<'a> {
    path: &'a str,
    program: &'static str,
    version: Option<&'a str>,
    features: Option<&'a [String]>,
    wasm: Option<&'a str>,
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct EngineObject<'a> {
    pid: u32,
    comm: &'a str,
    exe: Option<&'a str>,
}

#[derive(Serialize)]
struct SocketObject<'a> {
    path: &'a str,
    engine: Option<&'a str>,
    version: Option<&'a str>,
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct ProbeObject<'a> {
    name: &'static str,
    status: &'static str,
    gives: &'static str,
    cost: &'static str,
    hooks: Vec<HookObject<'a>>,
}

#[derive(Serialize)]
struct NotToldObject {
    id: String,
    /// `null`: all of them.
    causes: Option<Vec<String>>,
    wants: Vec<&'static str>,
}

#[derive(Serialize)]
struct HookObject<'a> {
    name: &'static str,
    rung: Option<&'static str>,
    why: Option<&'a str>,
}

impl<'a> Object<'a> {
    pub(super) fn new(doctor: &'a Doctor, checks: &'a [Check], fitness: &'a [Check]) -> Self {
        let host = &doctor.host;
        Self {
            r#type: "doctor",
            time: rfc3339(doctor.time.0),
            node: host.node_name.as_deref(),
            host: &host.hostname,
            host_id: host.host_id.as_deref(),
            kernel: Kernel {
                release: &host.kernel_release,
                arch: host.arch,
                page_size_bytes: host.page_size,
                btf: host.btf,
                tracefs: host.tracefs,
            },
            cgroup_mode: host.cgroup_mode.name(),
            capabilities: host.capabilities.iter().map(|capability| capability.name()).collect(),
            checks: checks.iter().map(check).collect(),
            fitness: fitness.iter().map(check).collect(),
            runtimes: doctor.runtimes.iter().map(runtime).collect(),
            engines: doctor.engines.iter().map(engine).collect(),
            sockets: doctor.sockets.iter().map(socket).collect(),
            probes: doctor.probes.iter().map(probe).collect(),
            not_told: doctor.not_told().into_iter().map(not_told).collect(),
            exit_code: doctor.exit_code(),
        }
    }
}

/// UTC with nanoseconds, as every time in this program's output.
fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).map(|time| format!("{time:.9}")).unwrap_or_default()
}

fn check(check: &Check) -> CheckObject<'_> {
    CheckObject {
        name: check.name,
        state: check.state.name(),
        found: &check.found,
        costs: check.costs,
        remedy: check.remedy,
    }
}

fn runtime(runtime: &Runtime) -> RuntimeObject<'_> {
    let version = runtime.version.as_ref();
    RuntimeObject {
        path: &runtime.path,
        program: runtime.program.name(),
        version: version.ok().map(|version| version.version.as_str()),
        features: version.ok().map(|version| version.features.as_slice()),
        wasm: runtime.wasm(),
        why: version.err().map(|error| error.why.as_str()),
    }
}

fn engine(process: &ProcessFact) -> EngineObject<'_> {
    EngineObject { pid: process.tgid, comm: &process.comm, exe: process.exe.as_deref() }
}

fn socket(socket: &EngineSocket) -> SocketObject<'_> {
    let answer = socket.answer.as_ref();
    SocketObject {
        path: &socket.path,
        engine: answer.ok().map(|engine| engine.name.as_str()),
        version: answer.ok().map(|engine| engine.version.as_str()),
        why: answer.err().map(|error| error.why.as_str()),
    }
}

fn not_told(problem: NotTold) -> NotToldObject {
    NotToldObject { id: problem.id, causes: problem.causes, wants: problem.wants.into_iter().collect() }
}

fn probe(plan: &ProbePlan) -> ProbeObject<'_> {
    let spec = spec(plan.family);
    ProbeObject {
        name: plan.family.name(),
        status: plan.status.name(),
        gives: spec.gives,
        cost: spec.cost,
        hooks: plan
            .hooks
            .iter()
            .map(|hook| HookObject { name: hook.name, rung: hook.rung, why: hook.why.as_deref() })
            .collect(),
    }
}
