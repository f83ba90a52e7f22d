//! Who a container is: the kernel's records first, then its bundle and its engine.

use super::{coldstart::Context, identity, origin::start_ancestors, process::Processes, start::Start, wasm};
use crate::{
    output::{Container, Exit, Instance, Kind},
    probes::{Event, cgroup, invocation::Program, process},
};

/// Who the container is: the kernel's records first, then bundle and engine.
pub fn container(start: &Start, context: &Context) -> Container {
    let version = context.versions.get(&start.exe).and_then(Option::as_ref);
    let mut container = Container {
        id: start.container_id.clone().unwrap_or_default(),
        runtime: Some(start.program.name().to_owned()),
        runtime_version: version.map(|version| version.version.clone()),
        runtime_features: version.map(|version| version.features.clone()).unwrap_or_default(),
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
    if container.kind == Kind::Wasm {
        container.wasm_engine = wasm::engine(start);
    }
    if let Some(module) = &start.module {
        wasm::take_up(&mut container, module);
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
        Event::Cgroup(cgroup::Event::Entered { id, path, .. }) => Some((*id, path)),
        Event::Cgroup(cgroup::Event::Made { id, path, .. }) => Some((*id, path)),
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
