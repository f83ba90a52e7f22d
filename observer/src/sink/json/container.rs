//! The `container` and `process` objects that other objects hold.

use serde::Serialize;

use crate::{
    output::{Container, Exit, Process},
    sink::units::rfc3339,
};

#[derive(Serialize)]
pub(super) struct ContainerJson<'a> {
    id: &'a str,
    instance: Option<String>,
    name: Option<&'a str>,
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    pod_uid: Option<&'a str>,
    sandbox_id: Option<&'a str>,
    attempt: Option<u32>,
    image: Option<&'a str>,
    runtime: Option<&'a str>,
    runtime_version: Option<&'a str>,
    handler: Option<&'a str>,
    engine: Option<&'a str>,
    kind: &'static str,
    wasm_engine: Option<&'a str>,
    cgroup: Option<&'a str>,
    cgroup_id: Option<u64>,
    started_at: Option<String>,
    exit: Option<ExitJson<'a>>,
    /// Why a null above is one.
    unknown: &'a [String],
}

impl<'a> ContainerJson<'a> {
    pub(super) fn of(container: &'a Container) -> Self {
        ContainerJson {
            id: &container.id,
            instance: container.instance.map(|instance| format!("{}-{}", instance.init, instance.start.0)),
            name: container.name.as_deref(),
            pod: container.pod.as_deref(),
            namespace: container.namespace.as_deref(),
            pod_uid: container.pod_uid.as_deref(),
            sandbox_id: container.sandbox_id.as_deref(),
            attempt: container.attempt,
            image: container.image.as_deref(),
            runtime: container.runtime.as_deref(),
            runtime_version: container.runtime_version.as_deref(),
            handler: container.handler.as_deref(),
            engine: container.engine.as_deref(),
            kind: container.kind.name(),
            wasm_engine: container.wasm_engine.as_deref(),
            cgroup: container.cgroup.as_deref(),
            cgroup_id: container.cgroup_id,
            started_at: container.started_at.map(rfc3339),
            exit: container.exit.as_ref().map(ExitJson::of),
            unknown: &container.unknown,
        }
    }
}

#[derive(Serialize)]
struct ExitJson<'a> {
    code: Option<i32>,
    signal: Option<i32>,
    reason: Option<&'a str>,
}

impl<'a> ExitJson<'a> {
    fn of(exit: &'a Exit) -> Self {
        ExitJson { code: exit.code, signal: exit.signal, reason: exit.reason.as_deref() }
    }
}

#[derive(Serialize)]
pub(super) struct ProcessJson<'a> {
    pid: u32,
    tid: u32,
    ppid: Option<u32>,
    comm: &'a str,
    exe: Option<&'a str>,
    start_time: Option<String>,
}

impl<'a> ProcessJson<'a> {
    pub(super) fn of(process: &'a Process) -> Self {
        ProcessJson {
            pid: process.pid,
            tid: process.tid,
            ppid: process.ppid,
            comm: &process.comm,
            exe: process.exe.as_deref(),
            start_time: process.start.map(rfc3339),
        }
    }
}
