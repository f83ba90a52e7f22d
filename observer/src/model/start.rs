//! One container start: what was seen of it, kept until it is settled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{process::ProcessInfo, wasm::has_module_name};
use crate::{
    input::{Bundle, CriContainer, LookupError, Module, Record},
    probes::{Event, file, invocation::Program, process},
    time::Time,
};

/// Records kept of one start. What a runtime does is a few hundred; past this the start is marked.
const MAX_RECORDS: usize = 8_192;

/// Which start: the runtime process that creates the container, and when it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StartId {
    pub at: Time,
    pub root: u32,
}

/// A start under observation.
#[derive(Clone, Debug)]
pub struct Start {
    pub id: StartId,
    pub program: Program,
    pub container_id: Option<String>,
    /// What the runtime was executed as.
    pub exe: String,
    /// The runtime process, its children and those of `start` calls.
    pub members: BTreeSet<u32>,
    /// Processes that were executed as `RUNTIME start ID`.
    pub starters: BTreeSet<u32>,
    /// The process that changed its root.
    pub init: Option<u32>,
    /// Members and their forebears as they were when they joined.
    pub processes: BTreeMap<u32, ProcessInfo>,
    /// In the order of time. Also what a checkpoint is made of.
    pub records: Vec<Record>,
    pub records_dropped: u64,
    pub bundle: Option<Result<Bundle, LookupError>>,
    pub cri: Option<CriContainer>,
    /// It was asked what its Wasm module says of itself.
    pub has_asked_module: bool,
    /// The answer.
    pub module: Option<Result<Arc<Module>, LookupError>>,
    /// Its bundle says that it is a pod's pause container.
    pub is_pause: bool,
    /// When the container engine was asked about it, until it has answered.
    pub asked: Option<Time>,
    /// Losses on the node before and since.
    pub lost_before: u64,
    pub progress: Progress,
}

/// What of it was reached, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The payload was executed, or began inside the runtime process.
    pub begun: Option<Time>,
    pub first_output: Option<Time>,
    pub listening: Option<Time>,
    /// The init ended.
    pub init_ended: Option<Time>,
    /// The creating runtime process ended, and its status was not 0.
    pub root_ended: Option<(Time, bool)>,
}

impl Start {
    pub fn new(id: StartId, program: Program, container_id: Option<String>, exe: String, lost: u64) -> Self {
        Start {
            id,
            program,
            container_id,
            exe,
            members: BTreeSet::from([id.root]),
            starters: BTreeSet::new(),
            init: None,
            processes: BTreeMap::new(),
            records: Vec::new(),
            records_dropped: 0,
            bundle: None,
            cri: None,
            has_asked_module: false,
            module: None,
            is_pause: false,
            asked: None,
            lost_before: lost,
            progress: Progress::default(),
        }
    }

    pub fn push(&mut self, record: Record) {
        if !is_of_starts(&record) {
            return;
        }
        self.note(&record);
        if self.records.len() < MAX_RECORDS {
            // Stragglers are late by microseconds: they are put where they belong.
            let at = self.records.partition_point(|earlier| earlier.time <= record.time);
            self.records.insert(at, record);
        } else {
            self.records_dropped += 1;
        }
    }

    /// Follows the milestones as they come in; the phases are made when the start is settled.
    fn note(&mut self, record: &Record) {
        let time = record.time;
        match &record.event {
            Event::Mount(event) if event.changes_root() => self.init = Some(record.tgid),
            Event::Process(process::Event::Executed(exec)) if exec.is_payload() => {
                self.init = Some(record.tgid);
                self.progress.begun.get_or_insert(time);
            }
            Event::Process(process::Event::Renamed { comm, .. })
                if Some(record.tgid) == self.init && is_engine_name(comm) =>
            {
                self.progress.begun.get_or_insert(time);
            }
            Event::File(event) if self.opens_module(record.tgid, event) => {
                self.progress.begun.get_or_insert(event.call.entered);
            }
            Event::Output(event)
                if self.progress.begun.is_some()
                    && event.is_standard_output()
                    && (event.is_of_payload() || Some(record.tgid) == self.init) =>
            {
                self.progress.first_output.get_or_insert(time);
            }
            Event::Socket(event)
                if self.progress.begun.is_some()
                    && event.is_listening()
                    && (event.is_of_payload() || Some(record.tgid) == self.init) =>
            {
                self.progress.listening.get_or_insert(time);
            }
            Event::Process(process::Event::Exited { exit_code, .. }) => {
                if Some(record.tgid) == self.init {
                    self.progress.init_ended.get_or_insert(time);
                }
                if record.tgid == self.id.root {
                    self.progress.root_ended.get_or_insert((time, *exit_code != 0));
                }
            }
            _ => {}
        }
    }

    /// Whether a path opened by the init is the Wasm module: by its name, or by the container's entrypoint.
    pub fn is_module(&self, path: &str) -> bool {
        has_module_name(path) || self.is_entrypoint(path)
    }

    /// Whether the init, if this is it, has opened its module.
    pub fn opens_module(&self, tgid: u32, event: &file::Event) -> bool {
        Some(tgid) == self.init && event.call.errno().is_none() && self.is_module(&event.path)
    }

    /// Whether a path is what the bundle says is to be executed.
    pub fn is_entrypoint(&self, path: &str) -> bool {
        let entrypoint = self.known_bundle().and_then(|bundle| bundle.entrypoint.as_deref());
        entrypoint.is_some_and(|entrypoint| {
            !entrypoint.is_empty()
                && entrypoint.trim_start_matches(['.', '/']) == path.trim_start_matches(['.', '/'])
        })
    }

    pub fn known_bundle(&self) -> Option<&Bundle> {
        self.bundle.as_ref()?.as_ref().ok()
    }

    /// Whether it will never begin: the runtime gave up, or the init ended before its payload began.
    pub fn has_failed(&self) -> bool {
        self.progress.begun.is_none()
            && (self.progress.init_ended.is_some()
                || self.progress.root_ended.is_some_and(|(_, failed)| failed))
    }
}

/// Names that Wasm handlers give to the process in which they run the payload.
pub fn is_engine_name(comm: &str) -> bool {
    const ENGINES: [&str; 6] = ["wasmedge", "wasmtime", "wasmer", "wamr", "iwasm", "spin"];
    ENGINES.contains(&comm)
}

/// Whether a start can be made of such records: faults, and what its payload reserves, come after it.
fn is_of_starts(record: &Record) -> bool {
    match &record.event {
        Event::Memory(event) => !event.is_of_payload(),
        Event::Fault(_) | Event::Net(_) => false,
        _ => true,
    }
}

impl Start {
    /// Whether the payload ran inside the runtime process: it began, and nothing was executed for it.
    pub fn ran_in_process(&self) -> bool {
        self.progress.begun.is_some()
            && !self.records.iter().any(|record| match &record.event {
                Event::Process(process::Event::Executed(exec)) => exec.is_payload(),
                _ => false,
            })
    }
}
