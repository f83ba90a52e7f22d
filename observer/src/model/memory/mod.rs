//! What becomes of a container's memory: Wasm traps told from crashes, and both from signals that mean nothing;
//! kills for want of memory; address space that was refused.
//!
//! A handled SIGSEGV is a trap only where a linear memory was reserved: Java, Go and .NET take handled ones as a
//! matter of course, and those are nobody's concern.

mod engine;
mod fold;
mod linear;
mod resident;
mod state;

use observer_ebpf::control::role;

use super::{Made, Model, lives::Lives, process::Processes};
use crate::{
    input::Record,
    output::{self, Exit, FaultKind, FaultRegion, Memory, Process, Seen, Want, What},
    probes::{Event, fault, file},
    time::Time,
};
use fold::Telling;
use linear::Reservation;
pub use resident::Resident;
pub use state::State;

const SIGILL: i32 = 4;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGSYS: i32 = 31;

fn of_kind(kind: FaultKind, seen: Seen) -> Memory {
    Memory {
        kind,
        signal: None,
        code: None,
        address: None,
        wasm_address: None,
        linear_bytes: None,
        linear_max_bytes: None,
        handled: None,
        region: None,
        engine_code: None,
        seen,
        scope: None,
        errno: None,
        asked_bytes: None,
        rss_bytes: None,
        limit_bytes: None,
        count: 1,
    }
}

impl Model {
    /// Whoever asked for the memory, it is the victim's start that this belongs to.
    pub(super) fn oom(&mut self, record: &Record, victim: u32) {
        let of_victim = self.member_of.get(&victim).copied();
        if of_victim != self.member_of.get(&record.tgid).copied()
            && let Some(start) = of_victim.and_then(|id| self.starts.get_mut(&id))
        {
            start.push(record.clone());
        }
    }

    /// What a record means for the memory of the containers that are followed.
    pub(super) fn follow_memory(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        if let Event::File(event) = &record.event {
            self.engine_opened(record, event, make);
            return;
        }
        let init = match &record.event {
            Event::Memory(event) => event.init,
            Event::Fault(fault::Event::Signal(signal)) => signal.init,
            Event::Fault(fault::Event::OomKill(victim)) => victim.init,
            Event::Fault(fault::Event::EngineResult { init, .. }) => *init,
            Event::Fault(fault::Event::TermIgnored { init, .. }) => Some(*init),
            Event::Fault(fault::Event::Handled { .. }) => Some(record.tgid),
            _ => None,
        };
        let life = init.and_then(|init| self.lives.as_mut()?.get_mut(init));
        let Some(life) = life.filter(|life| life.ended.is_none()) else { return };
        let (init, state) = (life.init, &mut life.memory);
        let reserved = match &record.event {
            Event::Memory(event) => Reservation::of(event),
            _ => None,
        };
        let told = match &record.event {
            Event::Memory(event) => state.reserved(record, event),
            Event::Fault(fault::Event::Signal(signal)) => state.signal(record, init, signal),
            Event::Fault(fault::Event::OomKill(victim)) => state.killed(record, init, victim),
            Event::Fault(fault::Event::Handled { handled, .. }) => state.counted(*handled),
            Event::Fault(fault::Event::EngineResult { code, start, comm, .. }) => {
                state.engine_told(record, *start, comm, *code)
            }
            Event::Fault(fault::Event::TermIgnored { .. }) => {
                state.term_ignored = true;
                return;
            }
            _ => return,
        };
        if let Some(Reservation { start, bytes, .. }) = reserved {
            make(Made::Want(Want::FollowLinear { init, tgid: record.tgid, start, bytes }));
        }
        self.tell_memory(init, told, make);
    }

    /// A runtime opens the library of an engine: to be attached to, before it confines itself to a container, whose
    /// files are not its own.
    fn engine_opened(&mut self, record: &Record, event: &file::Event, make: &mut impl FnMut(Made)) {
        let name = event.path.rsplit('/').next().unwrap_or_default();
        let by_runtime = event.role & (role::RUNTIME | role::ROOTFS) == role::RUNTIME;
        let opened = event.op == file::Op::Open && event.call.errno().is_none();
        if by_runtime && opened && name.starts_with(fault::ENGINE.library) {
            make(Made::Want(Want::Engine { tgid: record.tgid, path: event.path.clone() }));
            // A module's names are looked up by the library that the runtime has brought along.
            make(Made::Want(Want::Resolver { tgid: record.tgid, of_node: true }));
        }
    }

    /// What waits to be told of a container that ends, and the signal that ended it if it was not seen before.
    pub(super) fn memory_at_end(&mut self, record: &Record, exit: &Exit, make: &mut impl FnMut(Made)) {
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(record.tgid)) else { return };
        let mut told = life.memory.folds.due(None);
        let faults = [SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS];
        if let Some(signal) = exit.signal.filter(|signal| faults.contains(signal))
            && life.memory.fatal != Some(signal)
        {
            let who = (record.tgid, record.tid, comm(&self.processes, record.tgid));
            let what = Memory {
                signal: Some(signal),
                handled: Some(false),
                ..of_kind(FaultKind::Fault, Seen::Exit)
            };
            let why = Some("the signal itself was not seen, only that it ended the process");
            told.push(Telling { began: None, time: record.time, who, start: None, why, what });
        }
        self.tell_memory(record.tgid, told, make);
    }

    /// What has happened again, as of `time`; at the end of a run, without one, all of it.
    pub(super) fn tell_repeated(&mut self, time: Option<Time>, make: &mut impl FnMut(Made)) {
        let lives = self.lives.iter_mut().flat_map(Lives::iter_mut);
        let due: Vec<(u32, Vec<Telling>)> = lives
            .filter(|life| !life.memory.folds.is_empty())
            .map(|life| (life.init, life.memory.folds.due(time)))
            .collect();
        for (init, told) in due {
            self.tell_memory(init, told, make);
        }
    }

    fn tell_memory(&self, init: u32, told: Vec<Telling>, make: &mut impl FnMut(Made)) {
        for telling in told {
            let Some(mut event) = self.event_of(init, telling.time, What::Memory(telling.what)) else {
                continue;
            };
            let (pid, tid, comm) = telling.who;
            if pid == init {
                declare_maximum(&mut event);
            }
            let info = self.processes.get(pid).cloned().unwrap_or_default();
            event.began = telling.began.map(|began| self.clock.wall(began));
            event.why = telling.why.map(str::to_owned);
            event.process = Some(Process {
                pid,
                tid,
                ppid: (info.ppid != 0).then_some(info.ppid),
                comm,
                exe: info.exe,
                start: telling.start.map(|start| self.clock.wall(start)),
            });
            make(Made::Event(event));
        }
    }
}

/// What the module says of the linear memory that was touched.
fn declare_maximum(event: &mut output::Event) {
    let module = event.container.as_ref().and_then(|container| container.module.as_ref());
    if let What::Memory(memory) = &mut event.what
        && matches!(memory.region, Some(FaultRegion::LinearMemory | FaultRegion::Guard))
    {
        memory.linear_max_bytes = module.and_then(|module| module.own_memory()?.max_bytes());
    }
}

fn comm(processes: &Processes, tgid: u32) -> String {
    processes.get(tgid).map(|info| info.comm.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
