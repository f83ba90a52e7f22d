//! A settled start becomes a breakdown: prefix, markers, phases on one line, what is left over.

use super::{
    failure, identity,
    markers::{self, Marker},
    pods::{Pods, Sandbox},
    process::{ProcessInfo, Processes},
    start::Start,
};
use crate::{
    input::RuntimeVersion,
    layer::Layer,
    output::{
        ColdStart, Container, Exit, Failure, Instance, Kind, Milestones, Phase, PhaseName, Process, Ready, T0,
    },
    probes::{Event, invocation::Program, process},
    time::{ClockOffset, Time},
};

/// What a breakdown needs beside the start itself.
pub struct Context<'a> {
    pub pods: &'a Pods,
    pub processes: &'a Processes,
    pub clock: ClockOffset,
    /// Of each runtime binary, if it is known.
    pub versions: &'a std::collections::BTreeMap<String, Option<RuntimeVersion>>,
    /// Records lost on the node so far.
    pub lost: u64,
}

/// The breakdown of a start.
pub fn cold_start(start: &Start, context: &Context) -> ColdStart {
    let mut all = markers::markers(start);
    let failure = start.has_failed().then(|| failure::failure(start));
    let ready_at = ready(start);
    let (ready, until) = match ready_at {
        Some((ready, time)) => (ready, time),
        None => (Ready::Exit, last_seen(start)),
    };
    let mut failed = None;
    if let Some((found, at)) = failure {
        failed = Some(mark_failure(start, found, at, until, &mut all));
    }
    let container = container(start, context);
    let origin = origin(start, &container, context);
    let mut markers = origin.markers;
    markers.extend(all);
    markers.retain(|marker| marker.time > origin.time && marker.time <= until);
    markers.sort_by_key(|marker| marker.time);

    let (phases, unattributed_ns) = phases(origin.time, &markers, until, &container, context.clock);
    let (major_faults, read_bytes) = storage(start, until);
    let since = |time: Option<Time>| time.map(|time| time.since(origin.time));
    ColdStart {
        time: context.clock.wall(origin.time),
        t0: origin.t0,
        total_ns: until.since(origin.time),
        ready,
        milestones: Milestones {
            exec_ns: since(start.progress.begun),
            first_output_ns: since(start.progress.first_output),
            listen_ns: since(start.progress.listening),
            exit_ns: since(start.progress.init_ended.or_else(|| failed.as_ref().map(|_| until))),
        },
        cold: Some(major_faults > 0 || read_bytes > 0),
        phases,
        unattributed_ns,
        major_faults: Some(major_faults),
        read_bytes: Some(read_bytes),
        lost: context.lost.saturating_sub(start.lost_before) + start.records_dropped,
        failure: failed,
        container,
    }
}

/// What ended the start: listening, else the first output, else its end, else its beginning.
fn ready(start: &Start) -> Option<(Ready, Time)> {
    let progress = &start.progress;
    let listen = progress.listening.map(|time| (Ready::Listen, time));
    let output = progress.first_output.map(|time| (Ready::FirstOutput, time));
    let exit = progress.begun.and(progress.init_ended).map(|time| (Ready::Exit, time));
    let exec = progress.begun.map(|time| (Ready::Exec, time));
    listen.or(output).or(exit).or(exec)
}

/// For a start that failed: when the last of it ended.
fn last_seen(start: &Start) -> Time {
    let ended = start.progress.root_ended.map(|(time, _)| time).max(start.progress.init_ended);
    ended.or_else(|| start.records.last().map(|record| record.time)).unwrap_or(start.id.at)
}

fn mark_failure(
    start: &Start,
    mut failure: Failure,
    at: Option<(Time, u32)>,
    until: Time,
    markers: &mut Vec<Marker>,
) -> Failure {
    let root = last_known(start, start.id.root, markers);
    if let Some((time, tgid)) = at {
        let process = last_known(start, tgid, markers);
        failure.process = Some(Process {
            pid: tgid,
            tid: tgid,
            ppid: Some(process.ppid),
            comm: process.comm.clone(),
            exe: process.exe.clone(),
            start: None,
        });
        markers.retain(|marker| marker.time <= time);
        markers.push(marker(time, failure.phase, &process, Some("failed here")));
    }
    markers.push(marker(until, PhaseName::Unattributed, &root, Some("reporting and cleaning up")));
    failure
}

/// A process as it was at its last marker.
fn last_known(start: &Start, tgid: u32, markers: &[Marker]) -> ProcessInfo {
    let last = markers.iter().rev().find(|marker| marker.process.tgid == tgid).map(|marker| &marker.process);
    let unknown = || ProcessInfo { tgid, ..ProcessInfo::default() };
    last.or_else(|| start.processes.get(&tgid)).cloned().unwrap_or_else(unknown)
}

/// Where a start begins, and the markers up to the runtime's exec.
struct Origin {
    time: Time,
    t0: T0,
    markers: Vec<Marker>,
}

fn origin(start: &Start, container: &Container, context: &Context) -> Origin {
    if let Some(id) = &container.sandbox_id {
        let first = context.pods.known_sandbox(id).filter(|sandbox| sandbox.first == Some(start.id));
        return first
            .and_then(|sandbox| pod_origin(start, id, sandbox, context.pods))
            .unwrap_or_else(|| runtime_origin(start));
    }
    shim_origin(start, context)
        .or_else(|| client_origin(start, context))
        .unwrap_or_else(|| runtime_origin(start))
}

fn runtime_origin(start: &Start) -> Origin {
    Origin { time: start.id.at, t0: T0::Runtime, markers: Vec::new() }
}

fn marker(time: Time, name: PhaseName, process: &ProcessInfo, detail: Option<&str>) -> Marker {
    Marker { time, name, process: process.clone(), detail: detail.map(str::to_owned), mounts: 0 }
}

/// The first container of a pod: from the pod's network namespace, or from its shim on the host's network.
fn pod_origin(start: &Start, id: &str, sandbox: &Sandbox, pods: &Pods) -> Option<Origin> {
    let begun = sandbox.begun?;
    let shim = pods.known_shim(id);
    let netns = sandbox.netns.as_deref().and_then(|path| pods.netns_made(path));
    let shim_started = shim.and_then(|shim| shim.starter.as_ref());
    let (time, t0, engine) = match (netns, shim_started) {
        (Some((time, engine)), _) => (*time, T0::Netns, engine.clone()),
        (None, Some((time, shim))) => (*time, T0::Shim, shim.clone()),
        (None, None) => return None,
    };
    let mut markers = cni_markers(sandbox, &engine);
    if let Some(shim) = shim {
        markers.extend(shim.starter.iter().map(|(at, _)| marker(*at, PhaseName::Sandbox, &engine, None)));
        let starter = shim.starter.as_ref().map_or(&engine, |(_, process)| process);
        markers
            .extend(shim.daemon.iter().map(|(at, _)| marker(*at, PhaseName::Shim, starter, Some("start"))));
        let ready = shim.daemon.as_ref().zip(sandbox.executed);
        markers.extend(ready.map(|((_, daemon), at)| marker(at, PhaseName::Shim, daemon, None)));
    }
    for pause in &sandbox.markers {
        markers.push(Marker {
            name: PhaseName::Sandbox,
            detail: Some(format!("pause container: {}", pause.name.name())),
            ..pause.clone()
        });
    }
    markers.retain(|marker| marker.time <= begun);
    markers.push(marker(start.id.at, PhaseName::Engine, &engine, None));
    Some(Origin { time, t0, markers })
}

/// Up to a plugin's start the time is its parent's; from there to its end its own.
fn cni_markers(sandbox: &Sandbox, engine: &ProcessInfo) -> Vec<Marker> {
    let mut markers = Vec::new();
    for run in &sandbox.cni {
        let parent = sandbox.cni.iter().find(|other| other.plugin.tgid == run.plugin.ppid);
        match parent {
            Some(parent) => {
                markers.push(marker(run.began, PhaseName::Cni, &parent.plugin, Some(&parent.plugin.comm)));
            }
            None => markers.push(marker(run.began, PhaseName::Sandbox, engine, None)),
        }
        if let Some(ended) = run.ended {
            markers.push(marker(ended, PhaseName::Cni, &run.plugin, Some(&run.plugin.comm)));
        }
    }
    markers
}

/// A container with a shim of its own (`ctr run`).
fn shim_origin(start: &Start, context: &Context) -> Option<Origin> {
    let shim = context.pods.known_shim(start.container_id.as_deref()?)?;
    let (daemon_at, daemon) = shim.daemon.as_ref()?;
    let runtime = marker(start.id.at, PhaseName::Shim, daemon, None);
    let Some((started_at, starter)) = &shim.starter else {
        return Some(Origin { time: *daemon_at, t0: T0::Shim, markers: vec![runtime] });
    };
    let markers = vec![marker(*daemon_at, PhaseName::Shim, starter, Some("start")), runtime];
    Some(Origin { time: *started_at, t0: T0::Shim, markers })
}

/// A container whose client is an ancestor of its runtime (podman, through conmon).
fn client_origin(start: &Start, context: &Context) -> Option<Origin> {
    let ancestors: Vec<&ProcessInfo> = start_ancestors(start, context.processes);
    let conmon = ancestors.iter().find(|process| process.program == Some(Program::Conmon))?;
    let conmon_exec = conmon.executed?;
    let runtime = marker(start.id.at, PhaseName::Shim, conmon, None);
    let client = ancestors.iter().rev().find(|process| process.program == Some(Program::Podman));
    // A service that has started containers before is not this start's command.
    let one_shot =
        client.filter(|client| client.starts <= 1).and_then(|client| Some((client, client.executed?)));
    let Some((client, client_exec)) = one_shot else {
        return Some(Origin { time: conmon_exec, t0: T0::Shim, markers: vec![runtime] });
    };
    let mut markers = vec![marker(conmon_exec, PhaseName::Engine, client, None), runtime];
    if let Some(sandbox) = start.container_id.as_deref().and_then(|id| context.pods.known_sandbox(id)) {
        let plugins = cni_markers(sandbox, client);
        markers.extend(plugins.into_iter().map(|marker| match marker.name {
            PhaseName::Sandbox => Marker { name: PhaseName::Engine, ..marker },
            _ => marker,
        }));
    }
    Some(Origin { time: client_exec, t0: T0::Command, markers })
}

fn start_ancestors<'a>(start: &'a Start, processes: &'a Processes) -> Vec<&'a ProcessInfo> {
    let parent = start.processes.get(&start.id.root).map_or(0, |root| root.ppid);
    processes.ancestors(parent).collect()
}

/// Consecutive markers of one name and process are one phase.
fn phases(
    from: Time,
    markers: &[Marker],
    until: Time,
    container: &Container,
    clock: ClockOffset,
) -> (Vec<Phase>, u64) {
    let mut phases: Vec<Phase> = Vec::new();
    let mut mounts: Vec<u32> = Vec::new();
    let mut at = from;
    for marker in markers {
        let duration_ns = marker.time.since(at);
        let same = phases.last().is_some_and(|last| {
            last.name == marker.name
                && last.process.as_ref().is_some_and(|process| process.pid == marker.process.tgid)
        });
        if same && let Some(last) = phases.last_mut() {
            last.duration_ns += duration_ns;
            if marker.detail.is_some() {
                last.detail.clone_from(&marker.detail);
            }
            if let Some(count) = mounts.last_mut() {
                *count += marker.mounts;
            }
        } else {
            phases.push(Phase {
                name: marker.name,
                layer: layer(marker.name, container.kind),
                start_ns: at.since(from),
                duration_ns,
                process: Some(process_of(&marker.process, clock)),
                detail: marker.detail.clone(),
            });
            mounts.push(marker.mounts);
        }
        at = at.max(marker.time);
    }
    for (phase, count) in phases.iter_mut().zip(mounts) {
        if count > 0 {
            phase.detail = Some(format!("{count} mounts"));
        }
    }
    let told: u64 = phases
        .iter()
        .filter(|phase| phase.name != PhaseName::Unattributed)
        .map(|phase| phase.duration_ns)
        .sum();
    phases.retain(|phase| phase.name != PhaseName::Unattributed);
    (phases, until.since(from).saturating_sub(told))
}

fn layer(name: PhaseName, kind: Kind) -> Layer {
    match name {
        PhaseName::WasmEngine | PhaseName::WasmLoad | PhaseName::WasmInstantiate => Layer::L4,
        PhaseName::Init | PhaseName::Ready if kind != Kind::Oci => Layer::L4,
        _ => Layer::L3,
    }
}

fn process_of(info: &ProcessInfo, clock: ClockOffset) -> Process {
    Process {
        pid: info.tgid,
        tid: info.tgid,
        ppid: (info.ppid != 0).then_some(info.ppid),
        comm: info.comm.clone(),
        exe: info.exe.clone(),
        start: (info.start != Time(0)).then(|| clock.wall(info.start)),
    }
}

/// Major faults and bytes read by the start's processes up to `until`: each process's last count.
fn storage(start: &Start, until: Time) -> (u64, u64) {
    let mut last = std::collections::BTreeMap::new();
    for record in start.records.iter().filter(|record| record.time <= until) {
        let counts = match &record.event {
            Event::Process(process::Event::Executed(exec)) => (exec.major_faults, exec.read_bytes),
            Event::Process(process::Event::Exited { major_faults, read_bytes, .. }) => {
                (*major_faults, *read_bytes)
            }
            Event::Output(event) => (event.major_faults, event.read_bytes),
            Event::Socket(event) => (event.major_faults, event.read_bytes),
            _ => continue,
        };
        last.insert(record.tgid, counts);
    }
    last.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
}

/// Who the container is: the kernel's records first, then bundle and engine.
pub fn container(start: &Start, context: &Context) -> Container {
    let version = context.versions.get(&start.exe).and_then(Option::as_ref);
    let mut container = Container {
        id: start.container_id.clone().unwrap_or_default(),
        runtime: Some(start.program.name().to_owned()),
        runtime_version: version.map(|version| version.version.clone()),
        engine: engine(start, context.processes),
        started_at: start.progress.begun.map(|time| context.clock.wall(time)),
        ..Container::default()
    };
    match &start.bundle {
        Some(Ok(_)) => {}
        Some(Err(error)) => container.unknown.push(format!("bundle: {error}")),
        None => container.unknown.push("bundle: no answer yet".to_owned()),
    }
    identity::identify(&mut container, start.known_bundle(), start.cri.as_ref());
    if container.name.is_none() {
        container.name = context.pods.conmon_name(&container.id).map(str::to_owned);
    }
    if start.ran_in_process() {
        container.kind = Kind::Wasm;
    }
    if let Some(init) = start.init {
        fill_from_kernel(&mut container, start, init);
    }
    container
}

fn fill_from_kernel(container: &mut Container, start: &Start, init: u32) {
    let mut ids = process::CgroupIds::default();
    for record in &start.records {
        match &record.event {
            Event::Process(process::Event::Forked { child, start, cgroup, .. }) if *child == init => {
                container.instance = Some(Instance { init, start: *start });
                ids = *cgroup;
            }
            Event::Process(process::Event::Executed(exec)) if record.tgid == init => ids = exec.cgroup,
            Event::Process(process::Event::Exited { exit_code, cgroup, .. }) if record.tgid == init => {
                ids = *cgroup;
                container.exit = Some(exit(*exit_code));
            }
            _ => {}
        }
    }
    let entered = start.records.iter().filter_map(|record| match &record.event {
        Event::Cgroup(crate::probes::cgroup::Event::Entered { id, path, .. }) => Some((*id, path)),
        Event::Cgroup(crate::probes::cgroup::Event::Made { id, path, .. }) => Some((*id, path)),
        _ => None,
    });
    let entered: Vec<(u64, &String)> = entered.collect();
    let found = [ids.memory, ids.unified]
        .into_iter()
        .find_map(|id| entered.iter().rev().find(|(made, _)| *made == id));
    if let Some((id, path)) = found.or(entered.last()) {
        container.cgroup = Some((*path).clone());
        container.cgroup_id = Some(*id);
    }
}

/// `task->exit_code` as people know it.
pub fn exit(exit_code: u32) -> Exit {
    let signal = (exit_code & 0x7f) as i32;
    if signal != 0 {
        return Exit { code: Some(128 + signal), signal: Some(signal), reason: None };
    }
    Exit { code: Some((exit_code >> 8 & 0xff) as i32), signal: None, reason: None }
}

/// Who asked the runtime, as far as its lineage shows.
fn engine(start: &Start, processes: &Processes) -> Option<String> {
    let ancestors = start_ancestors(start, processes);
    let named = ancestors.iter().find_map(|process| match process.program? {
        Program::RuncShim | Program::OtherShim | Program::WasmShim => {
            let in_k3s =
                process.exe.as_deref().is_some_and(|exe| exe.contains("/k3s/") || exe.contains("/rancher/"));
            Some(if in_k3s { "k3s containerd" } else { "containerd" })
        }
        Program::Podman | Program::Crio | Program::Dockerd => process.program.map(Program::name),
        _ => None,
    });
    named.map(str::to_owned)
}
