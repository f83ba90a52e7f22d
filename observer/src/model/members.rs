//! Processes as they come and go: which of them begin a start, which belong to one, and what they are otherwise.

use super::{
    Made, Model,
    process::ProcessInfo,
    start::{Start, StartId},
};
use crate::{
    input::Record,
    output::Want,
    probes::{
        invocation::{CniCommand, Command, Invocation},
        process as proc_events,
    },
    time::Time,
};

/// Starts followed at once; the oldest is given up, and counted.
const MAX_STARTS: usize = 16_384;

impl Model {
    pub(super) fn process(
        &mut self,
        record: &Record,
        event: &proc_events::Event,
        make: &mut impl FnMut(Made),
    ) {
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
            Invocation::Runtime { command, id, .. } if !self.member_of.contains_key(&tgid) => {
                // A runtime that executes itself again is called once.
                if let (Command::Delete, Some(id), false) = (command, id, same_program) {
                    self.deleted(record, id, make);
                }
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
}
