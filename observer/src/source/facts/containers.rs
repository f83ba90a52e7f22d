//! Containers that were there before the observer: their init, who they are, which processes are theirs.
//!
//! An init is a child of a shim, or the first process of a pid namespace of its own; it is a container's if
//! something names the container: the runtime's or shim's command line, the runtime's state, or its control
//! group.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::{
    HostRoot, bundle,
    files::{self, Last},
    module, procfs, wasm,
};
use crate::{
    input::{Bundle, CriContainer, LifeFact, LogFact},
    probes::{
        invocation::{Invocation, Program, from_arguments},
        names::role_of_exe,
    },
};
use observer_ebpf::control::role;

/// A container, and its processes besides init.
#[derive(Clone, Debug, PartialEq)]
pub struct Older {
    pub life: LifeFact,
    pub members: Vec<u32>,
}

struct Process {
    stat: procfs::Stat,
    /// Of what it runs, by its file.
    role: u32,
}

/// Every container on the node, by the pid of its init.
///
/// # Errors
/// When `/proc` itself cannot be listed.
pub fn snapshot(host: &HostRoot) -> std::io::Result<Vec<Older>> {
    let processes = processes(host)?;
    let states = runtime_states(host);
    let mut found: Vec<Older> = Vec::new();
    for (pid, process) in &processes {
        if process.role & (role::SHIM | role::ENGINE) == 0
            && (is_child_of_shim(process, &processes) || is_first_of_its_namespace(host, *pid))
            && let Some(life) = identify(host, *pid, process, &states)
        {
            found.push(Older { life, members: Vec::new() });
        }
    }
    let inits: Vec<u32> = found.iter().map(|older| older.life.init).collect();
    for pid in processes.keys().filter(|pid| !inits.contains(pid)) {
        let init = forebears(*pid, &processes).find(|pid| inits.contains(pid));
        if let Some(of) = init.and_then(|init| found.iter_mut().find(|older| older.life.init == init)) {
            of.members.push(*pid);
        }
    }
    Ok(found)
}

fn processes(host: &HostRoot) -> std::io::Result<BTreeMap<u32, Process>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(host.proc(""))? {
        let pid = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok());
        if let Some(pid) = pid
            && let Some(stat) = procfs::stat(host, pid)
        {
            let role = procfs::exe(host, pid).map_or(0, |exe| role_of_exe(&exe));
            found.insert(pid, Process { stat, role });
        }
    }
    Ok(found)
}

fn forebears(pid: u32, processes: &BTreeMap<u32, Process>) -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| processes.get(pid).map(|process| process.stat.ppid);
    std::iter::successors(parent(&pid), parent).take(64)
}

/// A shim's children are inits, and runtimes at work.
fn is_child_of_shim(process: &Process, processes: &BTreeMap<u32, Process>) -> bool {
    process.role & role::RUNTIME == 0
        && processes.get(&process.stat.ppid).is_some_and(|parent| parent.role & role::SHIM != 0)
}

/// `NSpid` of a process lists its pids from the outermost namespace in.
fn is_first_of_its_namespace(host: &HostRoot, pid: u32) -> bool {
    let Ok(status) = host.read_proc(format!("{pid}/status")) else { return false };
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    pids.is_some_and(|pids| {
        let pids: Vec<&str> = pids.split_ascii_whitespace().collect();
        pids.len() > 1 && pids.last() == Some(&"1")
    })
}

fn identify(host: &HostRoot, pid: u32, process: &Process, states: &BTreeMap<u32, State>) -> Option<LifeFact> {
    let parent = process.stat.ppid;
    let asked = invocation(host, parent);
    let cgroup = procfs::cgroup(host, pid).and_then(|paths| paths.container().map(str::to_owned));
    let of_cgroup = cgroup.as_deref().and_then(id_in_cgroup);
    let state = states.get(&pid);
    let (log, name) = match &asked {
        Invocation::Conmon { log_path, name, .. } => (log_path.clone(), name.clone()),
        _ => (None, None),
    };
    let (id, runtime, path) = match asked {
        Invocation::Runtime { program, id: Some(id), bundle, .. } => (id, Some(program), bundle),
        Invocation::Conmon { id: Some(id), bundle, .. } => (id, None, bundle),
        Invocation::Shim { id, .. } => {
            let id = of_cgroup.or(id)?;
            let path = beside_the_shims(host, parent, &id);
            let runtime = path.as_deref().and_then(|path| runtime_of_shim(host, parent, path));
            (id, runtime, path)
        }
        _ => match state {
            Some(state) => (state.id.clone(), None, state.bundle.clone()),
            None => (of_cgroup?, None, None),
        },
    };
    let runtime = runtime.or(state.map(|state| state.runtime));
    let bundle = path.and_then(|path| read_bundle(host, parent, &path));
    let wasm_engine = wasm::engine(host, pid, runtime, bundle.as_ref());
    let asked = bundle.as_ref().filter(|_| wasm_engine.is_some());
    let module = asked.and_then(|bundle| Some(module::read(host, pid, bundle.entrypoint.as_deref()?, None)));
    Some(LifeFact {
        init: pid,
        start: process.stat.start,
        comm: process.stat.comm.clone(),
        ppid: parent,
        bundle,
        is_wasm: wasm_engine.is_some(),
        wasm_engine,
        module: module.map(|read| read.map(Box::new)),
        id,
        runtime: runtime.map(|program| program.name().to_owned()),
        cgroup,
        cri: name.map(|name| CriContainer { name: Some(name), ..CriContainer::default() }),
        log: log.map(|path| LogFact { path, ..LogFact::default() }),
        ..LifeFact::default()
    })
}

fn read_bundle(host: &HostRoot, runtime: u32, path: &str) -> Option<Bundle> {
    bundle::read_bundle(host, runtime, Some(path)).ok()
}

/// What a process was asked to do.
fn invocation(host: &HostRoot, pid: u32) -> Invocation {
    let Some(words) = procfs::command_line(host, pid) else { return Invocation::Unknown };
    let exe = procfs::exe(host, pid).unwrap_or_default();
    let words: Vec<u8> = words.iter().flat_map(|word| word.bytes().chain([0])).collect();
    from_arguments(&exe, &words)
}

/// A shim works in the folder of the first bundle that it was given; those of its other containers are beside.
fn beside_the_shims(host: &HostRoot, shim: u32, id: &str) -> Option<String> {
    let own = procfs::cwd(host, shim)?;
    Some(Path::new(&own).parent()?.join(id).to_string_lossy().into_owned())
}

/// containerd's shim leaves the path of the runtime that it was told to use in the bundle.
fn runtime_of_shim(host: &HostRoot, shim: u32, bundle: &str) -> Option<Program> {
    const MAX_PATH: u64 = 4_096;
    let root = files::open_root(&host.proc(format!("{shim}/root"))).ok()?;
    let path = Path::new(bundle).join("runtime");
    let text = files::read_regular(root, &path, Last::Refuse, MAX_PATH).ok()?;
    Program::from_path(str::from_utf8(&text).ok()?.trim())
}

/// Engines name a container's control group after it: `<id>`, `cri-containerd-<id>.scope`, `libpod-<id>`.
fn id_in_cgroup(path: &str) -> Option<String> {
    const ID_LEN: usize = 64;
    let name = path.rsplit('/').find(|name| !name.is_empty() && *name != "container")?;
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = name.rsplit(['-', ':']).next()?;
    (id.len() == ID_LEN && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// What a runtime keeps of a container that it has started.
struct State {
    runtime: Program,
    id: String,
    bundle: Option<String>,
}

/// Fields as crun, youki and runc name them.
#[derive(Deserialize)]
struct StateFile {
    id: Option<String>,
    #[serde(alias = "init_process_pid")]
    pid: Option<u32>,
    bundle: Option<String>,
}

/// States of containers by their init, where runtimes that run without an engine keep them.
fn runtime_states(host: &HostRoot) -> BTreeMap<u32, State> {
    const PLACES: &[(&str, &str, Program)] = &[
        ("/run/crun", "status", Program::Crun),
        ("/run/youki", "state.json", Program::Youki),
        ("/run/runc", "state.json", Program::Runc),
    ];
    let mut found = BTreeMap::new();
    for (folder, file, runtime) in PLACES {
        for entry in fs::read_dir(host.path(folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = host.read(Path::new(folder).join(&name).join(file));
            let Some(state) = text.ok().and_then(|text| serde_json::from_str::<StateFile>(&text).ok()) else {
                continue;
            };
            if let Some(pid) = state.pid {
                let id = state.id.unwrap_or(name);
                found.insert(pid, State { runtime: *runtime, id, bundle: state.bundle });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_control_groups() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/kubepods/burstable/pod1/{id}"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/libpod_parent/libpod-{id}"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/system.slice/crio-{id}.scope"),
        ] {
            assert_eq!(id_in_cgroup(&path).as_ref(), Some(&id), "{path}");
        }
        for path in ["/", "", "/user.slice/user-0.slice", "/kubepods/podabc", "/system.slice/cron.service"] {
            assert_eq!(id_in_cgroup(path), None, "{path}");
        }
    }

    #[test]
    fn the_node_that_this_runs_on_can_be_looked_at() {
        snapshot(&HostRoot::at("/")).expect("/proc can be listed");
    }
}
