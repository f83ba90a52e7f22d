//! Events and facts become who and when: processes, pods, container starts. Pure: no clock, no files.

mod checkpoint;
mod coldstart;
mod container;
mod cpu;
mod dns;
mod facts;
mod failure;
mod hardware;
pub mod identity;
pub mod kube;
mod lives;
mod markers;
mod memory;
mod net;
mod node;
mod older;
mod origin;
mod owners;
mod pods;
mod process;
mod settle;
mod shed;
mod standing;
mod start;
mod stdio;
mod storage;
mod text;
mod tls;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    input::{Certificate, Input, NodeFilesystem, Record, RuntimeVersion},
    output::{self, ColdStart, Want},
    probes::{
        self, Event, file,
        invocation::{CniCommand, Command, Invocation},
        process as proc_events,
    },
    time::{ClockOffset, Time},
};
use coldstart::Context;
use lives::Lives;
use pods::Pods;
use process::{ProcessInfo, Processes};
use shed::Shed;
use start::{Start, StartId};
use webhook::Webhooks;

/// Starts followed at once; the oldest is given up, and counted.
const MAX_STARTS: usize = 16_384;

pub use dns::zone;

/// What the model makes of an input.
pub enum Made {
    ColdStart(Box<ColdStart>),
    Event(Box<output::Event>),
    /// How much memory a container holds now.
    Resident(Box<output::Container>, output::Resident),
    /// How much of its linear memories a container may access, bytes; each time that it is looked at.
    Linear(Box<output::Container>, u64),
    /// What a container has had of the CPUs since the sample before.
    Cpu(Box<output::Container>, output::CpuUse),
    /// How the node has been doing since the sample before.
    Node(output::NodeUse),
    /// The file systems that the node lives on.
    Filesystems(Vec<NodeFilesystem>),
    /// Certificates on its disk.
    Certificates(Vec<Certificate>),
    Want(Want),
}

/// Everything that is known of the node, from inputs alone.
pub struct Model {
    ready_wait_ns: u64,
    /// Containers that are followed beyond their start, where that is asked for.
    lives: Option<Lives>,
    /// Look-ups of names that are under way.
    lookups: dns::Table,
    processes: Processes,
    pods: Pods,
    starts: BTreeMap<StartId, Start>,
    /// The start that a process belongs to.
    member_of: BTreeMap<u32, StartId>,
    versions: BTreeMap<String, Option<RuntimeVersion>>,
    /// Runtimes that were asked and have not answered.
    unanswered: BTreeSet<String>,
    drops: net::Drops,
    /// Calls that failed for want of room.
    failures: storage::Failures,
    /// Requests to block devices that took long.
    slowest: hardware::Slowest,
    webhooks: Webhooks,
    clock: ClockOffset,
    shed: Shed,
    lost: BTreeMap<u8, u64>,
    /// Calls of webhooks as TLS libraries have them, where containers are followed.
    calls: tls::Calls,
    kube: kube::KubeState,
    /// Writes whose text was not looked at.
    pub unread_text: u64,
    pub given_up: u64,
    /// Records that came after a tick that had promised their time was over.
    pub late: u64,
}

impl Model {
    pub fn new(ready_wait_ns: u64, follow: bool) -> Self {
        Model {
            ready_wait_ns,
            lives: follow.then(Lives::default),
            lookups: dns::Table::default(),
            processes: Processes::default(),
            pods: Pods::default(),
            starts: BTreeMap::new(),
            member_of: BTreeMap::new(),
            versions: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            drops: net::Drops::default(),
            failures: storage::Failures::default(),
            slowest: hardware::Slowest::default(),
            webhooks: Webhooks::default(),
            clock: ClockOffset { wall_minus_boot_ns: 0, error_ns: 0 },
            shed: Shed::default(),
            lost: BTreeMap::new(),
            calls: tls::Calls::default(),
            kube: kube::KubeState::default(),
            unread_text: 0,
            given_up: 0,
            late: 0,
        }
    }

    pub fn clock(&self) -> ClockOffset {
        self.clock
    }

    /// What the Kubernetes API has said.
    pub fn kube(&self) -> &kube::KubeState {
        &self.kube
    }

    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    pub fn step(&mut self, input: &Input, make: &mut impl FnMut(Made)) {
        match input {
            Input::Record(record) => self.record(record, make),
            Input::Fact(fact) => self.fact(fact, make),
            Input::Lost { family, count, .. } => {
                self.lost.insert(*family, *count);
            }
            Input::Sample(sample) => self.sampled(sample, make),
            Input::Tick(time) => self.settle(*time, make),
            Input::Probe(report) => self.reported(report, make),
            Input::Span(_) => {}
        }
    }

    /// Processes forgotten to bound memory.
    pub fn evicted(&self) -> u64 {
        self.processes.evicted
    }

    fn record(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        self.late += u64::from(record.late);
        match &record.event {
            Event::Process(event) => self.process(record, event, make),
            Event::Namespace(event) => self.namespace(record, event),
            Event::Mount(event) => self.mount(record, event),
            Event::File(event) if event.op == file::Op::Flock => self.waited(record, event),
            Event::Tls(event) => self.said_in_tls(record, event, make),
            Event::Dns(event) => self.follow_lookups(record, event),
            Event::Cpu(probes::cpu::Event::Mark(mark)) => self.marked(mark),
            Event::Hardware(_) => self.slowest.note(record),
            _ => {}
        }
        self.pods.keep(record);
        if let Some(start) = self.member_of.get(&record.tgid).and_then(|id| self.starts.get_mut(id)) {
            start.push(record.clone());
        }
        self.tell_payload(record);
        self.follow(record, make);
        self.follow_webhooks(record, make);
        if let Event::Process(proc_events::Event::Exited { .. }) = &record.event {
            self.member_of.remove(&record.tgid);
            self.processes.end(record.tgid, record.time);
        }
    }

    /// What a payload's descendants do is reported with the container's init.
    fn tell_payload(&mut self, record: &Record) {
        let init = match &record.event {
            Event::Output(event) if event.is_of_payload() => event.init,
            Event::Socket(event) if event.is_of_payload() => event.init,
            _ => None,
        };
        let Some(init) = init.filter(|init| *init != record.tgid) else { return };
        if self.member_of.contains_key(&record.tgid) {
            return;
        }
        if let Some(start) = self.member_of.get(&init).and_then(|id| self.starts.get_mut(id)) {
            start.push(record.clone());
        }
    }

    fn process(&mut self, record: &Record, event: &proc_events::Event, make: &mut impl FnMut(Made)) {
        match event {
            proc_events::Event::Forked { child, start, .. } => self.forked(record, *child, *start),
            proc_events::Event::Executed(exec) => self.executed(record, exec, make),
            proc_events::Event::Renamed { comm, .. } => {
                if let Some(info) = self.processes.get_mut(record.tgid) {
                    info.comm.clone_from(comm);
                }
            }
            proc_events::Event::Exited { .. } => self.pods.cni_ended(record.tgid, record.time),
            proc_events::Event::OomVictim { victim, .. } => self.oom(record, *victim),
            proc_events::Event::ExecFailed { .. } => {}
        }
    }

    fn forked(&mut self, record: &Record, child: u32, child_start: Time) {
        self.processes.fork(record.tgid, child, child_start);
        self.member_of.remove(&child);
        let Some(id) = self.member_of.get(&record.tgid).copied() else { return };
        if let Some(start) = self.starts.get_mut(&id) {
            self.member_of.insert(child, id);
            start.members.insert(child);
            if let Some(info) = self.processes.get(child) {
                start.processes.insert(child, info.clone());
            }
        }
    }

    fn executed(&mut self, record: &Record, exec: &proc_events::Executed, make: &mut impl FnMut(Made)) {
        let tgid = record.tgid;
        let before = self.processes.get(tgid).cloned();
        let program = exec.invocation.program();
        let same_program =
            before.as_ref().is_some_and(|info| info.program.is_some() && info.program == program);
        let info = ProcessInfo {
            tgid,
            ppid: exec.ppid,
            start: exec.start,
            comm: exec.comm.clone(),
            exe: match &before {
                Some(before) if same_program && before.start == exec.start => before.exe.clone(),
                _ => Some(exec.filename.clone()),
            },
            program,
            // A program that re-executes itself began with its first exec.
            executed: match &before {
                Some(before) if same_program && before.start == exec.start => before.executed,
                _ => Some(record.time),
            },
            ..ProcessInfo::default()
        };
        self.processes.insert(info);
        match &exec.invocation {
            Invocation::Runtime { command: Command::Create | Command::Run, .. } => {
                self.begin(record, exec, make);
            }
            Invocation::Runtime { command: Command::Start, id, .. } => self.join(tgid, id.as_deref()),
            Invocation::Runtime { command: Command::Init, .. } => {}
            Invocation::Runtime { .. } if !self.member_of.contains_key(&tgid) => {
                make(Made::Want(Want::Unwatch { tgid }));
            }
            Invocation::Shim { id: Some(id), starting, .. } => self.shim(record, &id.clone(), *starting),
            Invocation::Conmon { id: Some(id), name, log_path, .. } => {
                self.pods.conmon(id, name.clone(), log_path.clone());
            }
            Invocation::Cni { command: CniCommand::Add, container_id: Some(id), netns, .. } => {
                let plugin = self.processes.get(tgid).cloned().unwrap_or_default();
                self.pods.cni_began(id, netns.clone(), record.time, plugin);
            }
            _ => {}
        }
        self.remember_forebears(tgid);
        self.ask_caller(tgid, &exec.comm, make);
    }

    /// A start keeps the members it has as they are now; later pids may be reused.
    fn remember_forebears(&mut self, tgid: u32) {
        let Some(start) = self.member_of.get(&tgid).and_then(|id| self.starts.get_mut(id)) else { return };
        for info in self.processes.ancestors(tgid).take(4) {
            start.processes.entry(info.tgid).or_insert_with(|| info.clone());
        }
    }

    /// `create` or `run`: a start, unless it is the same process executing itself again.
    fn begin(&mut self, record: &Record, exec: &proc_events::Executed, make: &mut impl FnMut(Made)) {
        let tgid = record.tgid;
        if self.member_of.contains_key(&tgid) {
            return;
        }
        let Invocation::Runtime { program, id, bundle, .. } = &exec.invocation else { return };
        let start_id = StartId { at: record.time, root: tgid };
        let start = Start::new(start_id, *program, id.clone(), exec.filename.clone(), self.lost());
        self.starts.insert(start_id, start);
        self.member_of.insert(tgid, start_id);
        make(Made::Want(Want::Bundle { tgid, path: bundle.clone() }));
        if !self.versions.contains_key(&exec.filename) {
            self.versions.insert(exec.filename.clone(), None);
            self.unanswered.insert(exec.filename.clone());
            make(Made::Want(Want::RuntimeVersion { tgid, exe: exec.filename.clone() }));
        }
        self.count_start_of_client(tgid);
        if self.starts.len() > MAX_STARTS
            && let Some((oldest, _)) = self.starts.pop_first()
        {
            self.member_of.retain(|_, id| *id != oldest);
            self.given_up += 1;
        }
    }

    fn count_start_of_client(&mut self, tgid: u32) {
        let clients: Vec<u32> = self.processes.ancestors(tgid).map(|info| info.tgid).collect();
        for client in clients {
            if let Some(info) = self.processes.get_mut(client) {
                info.starts += 1;
            }
        }
    }

    /// `start ID` belongs to the youngest container of that id that waits for it.
    fn join(&mut self, tgid: u32, container_id: Option<&str>) {
        let Some(container_id) = container_id else { return };
        let waiting = self.starts.values_mut().rev().find(|start| {
            start.container_id.as_deref() == Some(container_id) && start.progress.begun.is_none()
        });
        let Some(start) = waiting else { return };
        start.starters.insert(tgid);
        start.members.insert(tgid);
        self.member_of.insert(tgid, start.id);
    }

    fn shim(&mut self, record: &Record, id: &str, starting: bool) {
        let process = self.processes.get(record.tgid).cloned().unwrap_or_default();
        let shim = self.pods.shim(id);
        let slot = if starting { &mut shim.starter } else { &mut shim.daemon };
        if slot.as_ref().is_none_or(|(_, known)| known.tgid != process.tgid || known.start != process.start) {
            *slot = Some((record.time, process));
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            pods: &self.pods,
            processes: &self.processes,
            clock: self.clock,
            versions: &self.versions,
            lost: self.lost(),
        }
    }
}
