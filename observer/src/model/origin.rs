//! What came before the runtime was executed: the pod's sandbox, CNI plugins, shims, a client; and so where a
//! start begins.

use super::{
    coldstart::Context,
    images::{self, Created},
    markers::Marker,
    pods::Sandbox,
    process::{ProcessInfo, Processes},
    start::Start,
};
use crate::{
    output::{Container, PhaseName, T0},
    probes::invocation::Program,
    time::Time,
};

/// Where a start begins, and the markers up to the runtime's exec.
pub struct Origin {
    pub time: Time,
    pub t0: T0,
    pub markers: Vec<Marker>,
}

pub fn origin(start: &Start, container: &Container, context: &Context) -> Origin {
    if let Some(id) = &container.sandbox_id {
        let first = context.pods.known_sandbox(id).filter(|sandbox| sandbox.first == Some(start.id));
        return first
            .and_then(|sandbox| pod_origin(start, id, sandbox, context))
            .or_else(|| cri_origin(start, context))
            .unwrap_or_else(|| runtime_origin(start));
    }
    shim_origin(start, context)
        .or_else(|| client_origin(start, context))
        .unwrap_or_else(|| runtime_origin(start))
}

fn runtime_origin(start: &Start) -> Origin {
    Origin { time: start.id.at, t0: T0::Runtime, markers: Vec::new() }
}

pub fn marker(time: Time, name: PhaseName, process: &ProcessInfo, detail: Option<&str>) -> Marker {
    Marker { time, name, process: process.clone(), detail: detail.map(str::to_owned), mounts: 0 }
}

/// The first container of a pod: from the pod's network namespace, or from its shim on the host's network.
fn pod_origin(start: &Start, id: &str, sandbox: &Sandbox, context: &Context) -> Option<Origin> {
    let (begun, pods) = (sandbox.begun?, context.pods);
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
    let created = created(start, context).filter(|created| created.at > begun);
    match created {
        Some(created) => markers.extend(created_markers(start, created, begun, context)),
        None => markers.push(marker(start.id.at, PhaseName::Engine, &engine, None)),
    }
    Some(Origin { time, t0, markers })
}

fn created<'a>(start: &Start, context: &'a Context) -> Option<&'a Created> {
    let created = context.images.created(start.container_id.as_deref()?)?;
    (created.at < start.id.at).then_some(created)
}

/// From a pod that is ready to its container's runtime: what fetched the image, if that was not there; what made it.
fn created_markers(start: &Start, created: &Created, ready: Time, context: &Context) -> Vec<Marker> {
    let cri = start.cri.as_ref();
    let digest = cri.and_then(|cri| images::digest(cri.image_ref.as_deref()?));
    let pulled = digest.and_then(|digest| context.images.pulled(digest, ready, created.at));
    let image = cri.and_then(|cri| cri.image.as_deref());
    pulled
        .map(|at| marker(at, PhaseName::ImagePull, &created.engine, image))
        .into_iter()
        .chain([marker(created.at, PhaseName::Engine, &created.engine, None)])
        .chain(context.images.markers(created, start.id.at))
        .collect()
}

/// A further container of a pod: from the request for it.
fn cri_origin(start: &Start, context: &Context) -> Option<Origin> {
    let created = created(start, context)?;
    let markers = context.images.markers(created, start.id.at);
    Some(Origin { time: created.at, t0: T0::Cri, markers })
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
            markers.push(marker(ended, PhaseName::Cni, &run.plugin, Some(&run.detail())));
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

pub fn start_ancestors<'a>(start: &'a Start, processes: &'a Processes) -> Vec<&'a ProcessInfo> {
    let parent = start.processes.get(&start.id.root).map_or(0, |root| root.ppid);
    processes.ancestors(parent).collect()
}
