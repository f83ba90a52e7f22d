//! From what was seen to markers: instants at which something of a start was done, and by whom.
//!
//! The interval between two consecutive markers belongs to the one that ends it, and to its process.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    process::ProcessInfo,
    start::{Start, is_engine_name},
    wasm::engine_in,
};
use crate::{
    input::Record,
    output::PhaseName,
    probes::{Call, Event, file, mount, namespace, output, process, security, socket},
    time::Time,
};

/// An instant of a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    pub time: Time,
    /// The phase that ends here.
    pub name: PhaseName,
    pub process: ProcessInfo,
    pub detail: Option<String>,
    /// Mounts made at this instant: 0 or 1.
    pub mounts: u32,
}

/// Markers of the runtime's and the payload's part of a start, in the order of time.
pub fn markers(start: &Start) -> Vec<Marker> {
    let mut reading = Reading::new(start);
    for record in &start.records {
        reading.record(record);
    }
    let mut markers = reading.markers;
    markers.sort_by_key(|marker| marker.time);
    markers
}

struct Reading<'a> {
    start: &'a Start,
    markers: Vec<Marker>,
    /// Processes as they are at the record being read.
    processes: BTreeMap<u32, ProcessInfo>,
    /// The process that has opened an engine library and is linking it.
    linking: Option<u32>,
    root_executed: bool,
    /// `start` calls whose exec was read.
    starting: BTreeSet<u32>,
    /// The process that was renamed last, and its name before: exec renames before it reports itself.
    renamed: Option<(u32, String)>,
    module: Module,
    /// A namespace was made: mounts before that serve the runtime itself (crun and runc run from a copy).
    separated: bool,
    begun: bool,
    spoken: bool,
}

/// How far the Wasm module is.
#[derive(PartialEq)]
enum Module {
    Unopened,
    Opened,
    /// Its linear memory is reserved.
    Reserved,
}

impl<'a> Reading<'a> {
    fn new(start: &'a Start) -> Self {
        Reading {
            start,
            markers: Vec::new(),
            processes: start.processes.clone(),
            linking: None,
            root_executed: false,
            starting: BTreeSet::new(),
            renamed: None,
            module: Module::Unopened,
            separated: false,
            begun: false,
            spoken: false,
        }
    }

    fn mark(&mut self, time: Time, name: PhaseName, tgid: u32, detail: Option<String>) {
        let process =
            self.processes.get(&tgid).cloned().unwrap_or(ProcessInfo { tgid, ..ProcessInfo::default() });
        self.markers.push(Marker { time, name, process, detail, mounts: 0 });
    }

    fn record(&mut self, record: &Record) {
        let (tgid, time) = (record.tgid, record.time);
        self.finish_linking(record);
        match &record.event {
            Event::Process(event) => self.process(tgid, time, event),
            Event::File(event) => self.file(tgid, time, event),
            Event::Cgroup(_) => self.mark(time, PhaseName::Cgroup, tgid, None),
            Event::Namespace(event) => self.namespace(tgid, time, event),
            Event::Mount(event) => self.mount(tgid, time, event),
            Event::Security(event) => self.security(tgid, time, event),
            Event::Memory(event) => self.reserved(tgid, event.call),
            Event::Output(event) => self.output(tgid, time, event),
            Event::Socket(event) => self.socket(tgid, time, event),
            // No part of a start.
            Event::Stdio(_)
            | Event::Fault(_)
            | Event::Dns(_)
            | Event::Net(_)
            | Event::Text(_)
            | Event::Storage(_)
            | Event::Tls(_)
            | Event::Cpu(_)
            | Event::Hardware(_)
            | Event::Context(_)
            | Event::Webhook(_) => {}
        }
    }

    /// Linking ends where the process's next call begins: there is no event of its own for it.
    fn finish_linking(&mut self, record: &Record) {
        if self.linking != Some(record.tgid) {
            return;
        }
        let entered = match &record.event {
            Event::File(event) if is_library(&event.path) => return,
            Event::Process(process::Event::Forked { .. }) => return,
            event => call_of(event).map_or(record.time, |call| call.entered),
        };
        self.linking = None;
        self.mark(entered, PhaseName::WasmEngine, record.tgid, None);
    }

    fn process(&mut self, tgid: u32, time: Time, event: &process::Event) {
        match event {
            process::Event::Forked { child, start, .. } => {
                let mut info = self.processes.get(&tgid).cloned().unwrap_or_default();
                (info.tgid, info.ppid, info.start) = (*child, tgid, *start);
                self.processes.insert(*child, info);
            }
            process::Event::Executed(exec) => self.executed(tgid, time, exec),
            process::Event::Renamed { comm, .. } => {
                let begins = Some(tgid) == self.start.init && is_engine_name(comm) && !self.begun;
                if begins {
                    self.mark(
                        time,
                        PhaseName::Exec,
                        tgid,
                        Some("payload begins inside the runtime".to_owned()),
                    );
                    self.begun = true;
                }
                if let Some(info) = self.processes.get_mut(&tgid) {
                    self.renamed = Some((tgid, std::mem::replace(&mut info.comm, comm.clone())));
                }
            }
            process::Event::Exited { .. } if Some(tgid) == self.start.init => {
                let name = match self.module {
                    Module::Reserved if !self.spoken => PhaseName::WasmInstantiate,
                    _ => PhaseName::Init,
                };
                self.mark(time, name, tgid, Some("ended".to_owned()));
            }
            process::Event::Exited { .. }
            | process::Event::ExecFailed { .. }
            | process::Event::OomVictim { .. } => {}
        }
    }

    fn executed(&mut self, tgid: u32, time: Time, exec: &process::Executed) {
        let before = self.processes.get(&tgid).cloned().unwrap_or_default();
        let again = tgid == self.start.id.root && self.root_executed;
        self.root_executed |= tgid == self.start.id.root;
        let begins_to_start = self.start.starters.contains(&tgid) && self.starting.insert(tgid);
        let info = ProcessInfo {
            tgid,
            ppid: exec.ppid,
            start: exec.start,
            comm: exec.comm.clone(),
            exe: Some(if again { before.exe.clone().unwrap_or_default() } else { exec.filename.clone() }),
            program: before.program,
            executed: Some(time),
            ..ProcessInfo::default()
        };
        if exec.is_payload() {
            // What was the runtime until now spent this interval.
            if let Some((renamed, before)) = self.renamed.take().filter(|(renamed, _)| *renamed == tgid) {
                self.rename(renamed, &before);
            }
            self.mark(time, PhaseName::Exec, tgid, Some(exec.filename.clone()));
            self.begun = true;
        } else if begins_to_start {
            // Whoever executes `start` let the container wait until now.
            self.mark(time, PhaseName::WaitStart, exec.ppid, None);
        } else if tgid != self.start.id.root || again {
            self.mark(time, PhaseName::RuntimeLoad, tgid, Some(exec.filename.clone()));
        }
        self.processes.insert(tgid, info);
    }

    fn file(&mut self, tgid: u32, time: Time, event: &file::Event) {
        if event.call.errno().is_some() {
            return;
        }
        let is_init = Some(tgid) == self.start.init;
        if is_library(&event.path) && !self.begun {
            self.library(tgid, time, event);
        } else if event.path.ends_with("config.json") && !self.begun {
            self.mark(time, PhaseName::RuntimeLoad, tgid, Some("config.json".to_owned()));
        } else if releases_init(event, is_init) && (self.separated || self.start.starters.contains(&tgid)) {
            self.mark(time, PhaseName::WaitStart, tgid, None);
        } else if is_init && self.module == Module::Unopened && self.start.is_module(&event.path) {
            self.mark(event.call.entered, PhaseName::WasmEngine, tgid, None);
            self.mark(time, PhaseName::WasmLoad, tgid, Some(event.path.clone()));
            self.module = Module::Opened;
            self.begun = true;
        }
    }

    fn library(&mut self, tgid: u32, time: Time, event: &file::Event) {
        let name = event.path.rsplit('/').next().unwrap_or_default().to_owned();
        if engine_in(&name).is_some() {
            self.mark(event.call.entered, PhaseName::RuntimeLoad, tgid, None);
            self.mark(time, PhaseName::WasmEngine, tgid, Some(name));
            self.linking = Some(tgid);
        } else if self.linking == Some(tgid) {
            self.mark(time, PhaseName::WasmEngine, tgid, None);
        } else {
            self.mark(time, PhaseName::RuntimeLoad, tgid, None);
        }
    }

    fn namespace(&mut self, tgid: u32, time: Time, event: &namespace::Event) {
        if event.call.errno().is_none() {
            self.separated = true;
            self.mark(time, PhaseName::Namespaces, tgid, None);
        }
    }

    fn mount(&mut self, tgid: u32, time: Time, event: &mount::Event) {
        if event.call.errno().is_some() {
            return;
        }
        if !self.separated {
            self.mark(time, PhaseName::RuntimeLoad, tgid, None);
        } else {
            self.mark(time, PhaseName::Rootfs, tgid, None);
            if let Some(marker) = self.markers.last_mut() {
                marker.mounts = u32::from(event.op.is_mount());
            }
        }
    }

    fn security(&mut self, tgid: u32, time: Time, event: &security::Event) {
        // What only asks for the kernel's features is done while the runtime sets itself up.
        let confines = event.call.errno().is_none() && event.confines();
        let name = if confines { PhaseName::Security } else { PhaseName::RuntimeLoad };
        if !self.begun && (confines || event.op == security::Op::Seccomp) {
            self.mark(time, name, tgid, None);
        }
    }

    fn reserved(&mut self, tgid: u32, call: Call) {
        if self.module == Module::Opened && Some(tgid) == self.start.init && call.errno().is_none() {
            self.mark(call.entered, PhaseName::WasmLoad, tgid, None);
            self.module = Module::Reserved;
        }
    }

    fn output(&mut self, tgid: u32, time: Time, event: &output::Event) {
        if Some(time) != self.start.progress.first_output {
            return;
        }
        self.rename(tgid, &event.comm);
        let name = match self.module {
            Module::Unopened => PhaseName::Init,
            // No reservation was seen: loading and instantiating cannot be told apart.
            Module::Opened => PhaseName::Unattributed,
            Module::Reserved => PhaseName::WasmInstantiate,
        };
        self.spoken = true;
        self.mark(time, name, tgid, Some("first output".to_owned()));
    }

    fn socket(&mut self, tgid: u32, time: Time, event: &socket::Event) {
        if Some(time) == self.start.progress.listening {
            self.rename(tgid, &event.comm);
            self.mark(time, PhaseName::Ready, tgid, Some("listening".to_owned()));
        } else if event.op == socket::Op::Accept && !self.begun && event.call.ret >= 0 {
            self.mark(time, PhaseName::WaitStart, tgid, None);
        }
    }

    /// Processes of the payload do not report their exec; their name comes with what they do.
    fn rename(&mut self, tgid: u32, comm: &str) {
        let info = self.processes.entry(tgid).or_insert(ProcessInfo { tgid, ..ProcessInfo::default() });
        comm.clone_into(&mut info.comm);
    }
}

/// The syscall behind an event, if it is one.
pub fn call_of(event: &Event) -> Option<Call> {
    match event {
        Event::File(event) => Some(event.call),
        Event::Namespace(event) => Some(event.call),
        Event::Mount(event) => Some(event.call),
        Event::Security(event) => Some(event.call),
        Event::Memory(event) => Some(event.call),
        Event::Output(event) => Some(event.call),
        Event::Socket(event) => Some(event.call),
        Event::Process(process::Event::ExecFailed { call, .. }) => Some(*call),
        Event::Process(_)
        | Event::Cgroup(_)
        | Event::Stdio(_)
        | Event::Fault(_)
        | Event::Tls(_)
        | Event::Dns(_)
        | Event::Net(_)
        | Event::Text(_)
        | Event::Storage(_)
        | Event::Cpu(_)
        | Event::Hardware(_)
        | Event::Context(_)
        | Event::Webhook(_) => None,
    }
}

fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with(".so") || name.contains(".so.")
}

/// Whether this open ends the wait for the start request: the starter's of the fifo, or that of runc's init,
/// which opens it through its own descriptor and stays in that call until then.
fn releases_init(event: &file::Event, is_init: bool) -> bool {
    const O_ACCMODE: u32 = 3;
    const O_WRONLY: u32 = 1;
    const O_PATH: u32 = 0o10_000_000;
    if is_init {
        return event.flags & O_ACCMODE == O_WRONLY && event.path.starts_with("/proc/self/fd/");
    }
    event.path.ends_with("exec.fifo") && event.flags & O_PATH == 0
}
