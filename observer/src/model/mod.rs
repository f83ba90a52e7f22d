//! Events and facts become who and when: processes, pods, container starts. Pure: no clock, no files.

mod backends;
mod checkpoint;
mod coldstart;
mod container;
mod cpu;
mod dns;
mod facts;
mod failure;
mod happened;
mod hardware;
pub mod identity;
mod images;
pub mod kube;
mod listening;
mod lives;
mod markers;
mod members;
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
mod sidecar;
mod standing;
mod start;
mod stdio;
mod storage;
mod text;
mod tls;
mod tools;
mod tracking;
pub mod wasm;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};

use observer_ebpf::control::role;

use crate::{
    input::{Certificate, Input, Listening, NodeFilesystem, Record, RuntimeVersion, Tracked},
    output::{self, ColdStart, Want},
    probes::{self, Event, file, process as proc_events},
    time::ClockOffset,
};
use backends::Backends;
use coldstart::Context;
use images::Images;
use listening::Entrances;
use lives::Lives;
use pods::Pods;
use process::Processes;
use shed::Shed;
use start::{Start, StartId};
use tools::Tools;
use webhook::Webhooks;

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
    /// What the table of connections of a container's network has counted since it was looked at before, or the node's.
    Tracked(Option<Box<output::Container>>, Tracked),
    /// Where a container listens by now, of the ports by which clusters are entered, or the node.
    Listening(Option<Box<output::Container>>, Listening),
    /// The file systems that the node lives on.
    Filesystems(Vec<NodeFilesystem>),
    /// Certificates on its disk.
    Certificates(Vec<Certificate>),
    /// A policy tool that was run on the node has failed.
    ToolFailed(Box<output::ToolFailed>),
    Want(Want),
}

/// Everything that is known of the node, from inputs alone.
pub struct Model {
    ready_wait_ns: u64,
    /// Containers that are followed beyond their start, where that is asked for.
    lives: Option<Lives>,
    /// Look-ups of names that are under way.
    lookups: dns::Table,
    /// Those that are over, and connections, until the node has said where it sent them.
    backends: Backends,
    processes: Processes,
    pods: Pods,
    images: Images,
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
    /// Policy tools that run outside of containers.
    tools: Tools,
    webhooks: Webhooks,
    clock: ClockOffset,
    shed: Shed,
    /// Kills for want of memory are seen.
    sees_kills: bool,
    lost: BTreeMap<u8, u64>,
    /// Calls of webhooks as TLS libraries have them, where containers are followed.
    calls: tls::Calls,
    kube: kube::KubeState,
    entrances: Entrances,
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
            backends: Backends::default(),
            processes: Processes::default(),
            pods: Pods::default(),
            images: Images::default(),
            starts: BTreeMap::new(),
            member_of: BTreeMap::new(),
            versions: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            drops: net::Drops::default(),
            failures: storage::Failures::default(),
            slowest: hardware::Slowest::default(),
            tools: Tools::default(),
            webhooks: Webhooks::default(),
            clock: ClockOffset { wall_minus_boot_ns: 0, error_ns: 0 },
            shed: Shed::default(),
            sees_kills: true,
            lost: BTreeMap::new(),
            calls: tls::Calls::default(),
            kube: kube::KubeState::default(),
            entrances: Entrances::default(),
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
        // What ties what is seen to traces is no part of it.
        if let Event::Context(_) = &record.event {
            return;
        }
        match &record.event {
            Event::Process(event) => self.process(record, event, make),
            Event::Namespace(event) => self.namespace(record, event),
            Event::Mount(event) => self.mount(record, event),
            Event::File(event) if event.op == file::Op::Flock => self.waited(record, event),
            Event::File(event) if event.is_of_datastore() => {
                self.processes.opened_datastore(record.tgid, &event.path);
            }
            Event::File(event) if event.role & role::ENGINE != 0 => self.kept(record, event),
            Event::Tls(event) => self.said_in_tls(record, event, make),
            Event::Dns(event) => self.follow_lookups(record, event, make),
            Event::Cpu(probes::cpu::Event::Mark(mark)) => self.marked(mark),
            Event::Hardware(_) => {
                self.slowest.note(record);
                self.waited_for_device(record, make);
            }
            _ => {}
        }
        self.pods.keep(record);
        if let Some(start) = self.member_of.get(&record.tgid).and_then(|id| self.starts.get_mut(id)) {
            start.push(record.clone());
        }
        if let Event::File(event) = &record.event {
            self.module_opened(record, event, make);
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

    fn context(&self) -> Context<'_> {
        Context {
            pods: &self.pods,
            images: &self.images,
            processes: &self.processes,
            clock: self.clock,
            versions: &self.versions,
            lost: self.lost(),
        }
    }
}
