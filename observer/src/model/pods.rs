//! What happens before a runtime is executed: shims, pod network namespaces, CNI plugins. Bounded.

use std::collections::{BTreeMap, VecDeque};

use observer_ebpf::control::role;

use super::{Model, markers::Marker, process::ProcessInfo, start::StartId};
use crate::{
    input::{Bundle, Record},
    probes::{Event, file, mount, namespace, process},
    time::Time,
};

/// Entries kept of each kind; the oldest goes first.
const MAX_ENTRIES: usize = 8_192;

/// A map that forgets its oldest entry rather than grow.
pub(super) struct Bounded<K, V> {
    entries: BTreeMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Ord + Clone, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Bounded { entries: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<K: Ord + Clone, V> Bounded<K, V> {
    pub(super) fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if !self.entries.contains_key(&key) {
            self.order.push_back(key.clone());
            if self.order.len() > MAX_ENTRIES
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
        self.entries.entry(key).or_default()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }
}

/// A containerd shim, by the id of the container or sandbox that it was started for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shim {
    /// Its short-lived `start` invocation, executed by the engine.
    pub starter: Option<(Time, ProcessInfo)>,
    /// The long-lived one.
    pub daemon: Option<(Time, ProcessInfo)>,
}

/// A run of a CNI plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct CniRun {
    pub began: Time,
    pub ended: Option<Time>,
    pub plugin: ProcessInfo,
    /// Locks that it, or what it started, waited for: how long, nanoseconds, by the file's name.
    pub waits: BTreeMap<String, u64>,
}

impl CniRun {
    /// The plugin, and what held it up.
    pub fn detail(&self) -> String {
        let waits = self.waits.iter().map(|(file, ns)| format!(", {} ms waiting for {file}", ns / 1_000_000));
        [self.plugin.comm.clone()].into_iter().chain(waits).collect()
    }
}

/// A pod sandbox as far as the kernel shows it, until its first container has been reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sandbox {
    pub netns: Option<String>,
    pub cni: Vec<CniRun>,
    /// The pause container: when its payload began, and the markers of its start.
    pub begun: Option<Time>,
    /// When the pause container's runtime was executed.
    pub executed: Option<Time>,
    pub markers: Vec<Marker>,
    /// The pause container's records.
    pub records: Vec<Record>,
    /// Its bundle, and the runtime process that was given it.
    pub bundle: Option<(u32, Bundle)>,
    /// The first container that was created in it.
    pub first: Option<StartId>,
}

#[derive(Default)]
struct Conmon {
    name: Option<String>,
    log_path: Option<String>,
}

#[derive(Default)]
pub struct Pods {
    shims: Bounded<String, Shim>,
    sandboxes: Bounded<String, Sandbox>,
    /// When the network namespace at a path was made, and by which process.
    netns: Bounded<String, Option<(Time, ProcessInfo)>>,
    /// What conmon was told of its container.
    conmons: Bounded<String, Conmon>,
    /// The last network namespace made by a thread, until it is given a path.
    unnamed: BTreeMap<u32, Time>,
    /// Running CNI plugins: whose sandbox.
    running: BTreeMap<u32, String>,
    /// What all this was made of, for a checkpoint; the oldest go first.
    records: VecDeque<Record>,
}

/// CNI runs kept of one sandbox.
const MAX_CNI_RUNS: usize = 64;
/// Locks of one of them that are told.
const MAX_WAITS: usize = 4;

impl Pods {
    /// Keeps a record if it says something of a pod's beginning.
    pub fn keep(&mut self, record: &Record) {
        let of_engine = |role: u32| role & (role::ENGINE | role::HELPER | role::SHIM) != 0;
        let wanted = match &record.event {
            Event::Namespace(event) => of_engine(event.role),
            Event::Mount(event) => of_engine(event.role),
            Event::File(event) => of_engine(event.role),
            Event::Process(process::Event::Executed(exec)) => of_engine(exec.role),
            Event::Process(process::Event::Forked { role, .. } | process::Event::Exited { role, .. }) => {
                of_engine(*role)
            }
            _ => false,
        };
        if wanted {
            if self.records.len() >= MAX_ENTRIES {
                self.records.pop_front();
            }
            self.records.push_back(record.clone());
        }
    }

    /// Bundles of pause containers that are kept.
    pub fn bundles(&self) -> impl Iterator<Item = &(u32, Bundle)> {
        let told = |sandbox: &&Sandbox| !sandbox.records.is_empty();
        self.sandboxes.entries.values().filter(told).filter_map(|sandbox| sandbox.bundle.as_ref())
    }

    /// Records that would be needed to come to the same again.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().chain(self.sandboxes.entries.values().flat_map(|sandbox| &sandbox.records))
    }

    pub fn shim(&mut self, id: &str) -> &mut Shim {
        self.shims.entry(id.to_owned())
    }

    pub fn known_shim(&self, id: &str) -> Option<&Shim> {
        self.shims.get(&id.to_owned())
    }

    pub fn sandbox(&mut self, id: &str) -> &mut Sandbox {
        self.sandboxes.entry(id.to_owned())
    }

    /// A container has been reported. What its sandbox is made of is told with the first one: nothing else will ask for it.
    pub fn told(&mut self, sandbox_id: &str, start: StartId) {
        let sandbox = self.sandboxes.entry(sandbox_id.to_owned());
        if sandbox.first.is_none_or(|first| first == start) {
            *sandbox = Sandbox { netns: sandbox.netns.take(), first: sandbox.first, ..Sandbox::default() };
        }
    }

    pub fn known_sandbox(&self, id: &str) -> Option<&Sandbox> {
        self.sandboxes.get(&id.to_owned())
    }

    /// A conmon for an exec in the container logs nowhere: what is known stays.
    pub fn conmon(&mut self, id: &str, name: Option<String>, log_path: Option<String>) {
        let conmon = self.conmons.entry(id.to_owned());
        conmon.name = name.or(conmon.name.take());
        conmon.log_path = log_path.or(conmon.log_path.take());
    }

    pub fn conmon_name(&self, id: &str) -> Option<&str> {
        self.conmons.get(&id.to_owned())?.name.as_deref()
    }

    /// The file that a container's conmon logs to.
    pub fn conmon_log(&self, id: &str) -> Option<&str> {
        self.conmons.get(&id.to_owned())?.log_path.as_deref()
    }

    /// When and by whom the network namespace at this path was made.
    pub fn netns_made(&self, path: &str) -> Option<&(Time, ProcessInfo)> {
        self.netns.get(&canonical(path))?.as_ref()
    }

    /// An engine's thread made a network namespace.
    pub fn unshared_net(&mut self, tid: u32, time: Time) {
        if self.unnamed.len() >= MAX_ENTRIES {
            self.unnamed.pop_first();
        }
        self.unnamed.insert(tid, time);
    }

    /// An engine's thread mounted something: its new network namespace gets its path.
    pub fn mounted(&mut self, tid: u32, target: &str, engine: &ProcessInfo) {
        if let Some(time) = self.unnamed.remove(&tid) {
            *self.netns.entry(canonical(target)) = Some((time, engine.clone()));
        }
    }

    pub fn cni_began(&mut self, sandbox_id: &str, netns: Option<String>, time: Time, plugin: ProcessInfo) {
        self.running.insert(plugin.tgid, sandbox_id.to_owned());
        let sandbox = self.sandboxes.entry(sandbox_id.to_owned());
        if sandbox.netns.is_none() {
            sandbox.netns = netns;
        }
        if sandbox.cni.len() < MAX_CNI_RUNS {
            sandbox.cni.push(CniRun { began: time, ended: None, plugin, waits: BTreeMap::new() });
        }
    }

    /// A process waited for a lock; `forebears`: it and those that it comes of, itself first.
    pub fn waited(&mut self, mut forebears: impl Iterator<Item = u32>, file: &str, ns: u64) {
        let Some((tgid, sandbox_id)) =
            forebears.find_map(|tgid| Some((tgid, self.running.get(&tgid)?.clone())))
        else {
            return;
        };
        let runs = &mut self.sandboxes.entry(sandbox_id).cni;
        let run = runs.iter_mut().find(|run| run.plugin.tgid == tgid && run.ended.is_none());
        if let Some(run) = run.filter(|run| run.waits.len() < MAX_WAITS || run.waits.contains_key(file)) {
            *run.waits.entry(file.to_owned()).or_default() += ns;
        }
    }

    pub fn cni_ended(&mut self, tgid: u32, time: Time) {
        let Some(sandbox_id) = self.running.remove(&tgid) else { return };
        let sandbox = self.sandboxes.entry(sandbox_id);
        let run = sandbox.cni.iter_mut().find(|run| run.plugin.tgid == tgid && run.ended.is_none());
        if let Some(run) = run {
            run.ended = Some(time);
        }
    }
}

/// /var/run and /run are the same place on every distribution of interest.
fn canonical(path: &str) -> String {
    path.strip_prefix("/var/run/").map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"))
}

impl Model {
    pub(super) fn waited(&mut self, record: &Record, event: &file::Event) {
        let others = self.processes.ancestors(record.tgid).map(|process| process.tgid);
        let ns = record.time.since(event.call.entered);
        self.pods.waited([record.tgid].into_iter().chain(others), &event.path, ns);
    }

    pub(super) fn namespace(&mut self, record: &Record, event: &namespace::Event) {
        let by_engine = event.role & (role::ENGINE | role::HELPER) != 0;
        if by_engine && event.call.ret == 0 && event.flags & namespace::NEW_NET != 0 {
            self.pods.unshared_net(record.tid, event.call.entered);
        }
    }

    pub(super) fn mount(&mut self, record: &Record, event: &mount::Event) {
        let by_engine = event.role & (role::ENGINE | role::HELPER) != 0;
        if let (true, Some(target), 0) = (by_engine, &event.target, event.call.ret) {
            let engine = self.processes.get(record.tgid).cloned();
            let engine = engine.unwrap_or(ProcessInfo { tgid: record.tgid, ..ProcessInfo::default() });
            self.pods.mounted(record.tid, target, &engine);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_forgotten_once_its_first_container_has_been_told() {
        let start = |at| StartId { root: 7, at: Time(at) };
        let (first, second) = (start(1), start(2));
        let mut pods = Pods::default();
        let sandbox = pods.sandbox("pod");
        sandbox.first = Some(first);
        sandbox.begun = Some(Time(0));
        pods.told("pod", second);
        assert_eq!(pods.sandbox("pod").begun, Some(Time(0)), "its first container is still to be told");
        pods.told("pod", first);
        assert_eq!(*pods.sandbox("pod"), Sandbox { first: Some(first), ..Sandbox::default() });
    }
}
