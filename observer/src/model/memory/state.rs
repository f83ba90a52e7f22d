//! What is known of the memory of a container that lives, and what its signals mean.

use std::collections::VecDeque;

use super::{
    Resident, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, engine,
    fold::{Folds, Telling},
    linear::Reservation,
    of_kind,
};
use crate::{
    input::Record,
    output::{Exit, FaultKind, FaultRegion, Memory, OomScope, Seen},
    probes::{
        fault::{Action, OomVictim, Signal},
        memory,
    },
    time::Time,
};

/// Reservations remembered of one container; the oldest goes first.
const MAX_SPACES: usize = 256;
/// Processes remembered that take signals as a matter of course; the oldest goes first.
const MAX_TAKERS: usize = 64;
/// Addresses below this are null pointers and members of what they point to.
const NULL_BYTES: u64 = 64 << 10;
/// How far from the stack pointer a frame may reach.
const STACK_BYTES: u64 = 64 << 10;
const ENOMEM: i32 = 12;
/// How long after the signal an engine tells its result at the latest.
const SAME_TRAP_NS: u64 = 1_000_000_000;

/// Which process: pids are used again.
type Owner = (u32, Option<Time>);

/// What a signal is, where what it touched lies, and where in the module.
type Verdict = (FaultKind, Option<FaultRegion>, Option<u64>);

/// What is known of the memory of a container that lives.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Linear memories by the process that reserved them, oldest first.
    spaces: VecDeque<(Owner, Reservation)>,
    pub folds: Folds,
    /// Handled signals so far, as the kernel side counts them.
    handled: u64,
    /// The last of them that was a trap.
    trap: Option<Telling>,
    /// Processes that took signals which were no traps, oldest first: languages that work that way.
    takers: VecDeque<Owner>,
    /// The signal that nothing in its init took.
    pub fatal: Option<i32>,
    /// Its init, or another of its processes, was chosen to be killed for want of memory.
    init_killed: bool,
    child_killed: bool,
    pub term_ignored: bool,
    /// The last failure that its engine told.
    engine_code: Option<u32>,
    pub resident: Resident,
}

impl State {
    /// Why the container ended, where what happened to its memory says so.
    pub fn reason_of(&self, exit: &Exit) -> Option<String> {
        let reason = match (exit.signal, exit.code) {
            (Some(SIGKILL), _) if self.init_killed => Some("OOMKilled"),
            (Some(SIGKILL), _) if self.term_ignored => Some("SIGTERM was ignored, then killed"),
            (_, Some(137)) if self.child_killed => Some("a process of it was OOM-killed"),
            _ => None,
        };
        let of_engine = || self.engine_code.filter(|_| exit.code != Some(0)).map(engine::reason);
        reason.map(str::to_owned).or_else(of_engine)
    }

    pub fn reserved(&mut self, record: &Record, event: &memory::Event) -> Vec<Telling> {
        if let Some(space) = Reservation::of(event) {
            self.spaces.push_back(((record.tgid, event.start), space));
            if self.spaces.len() > MAX_SPACES {
                self.spaces.pop_front();
            }
        }
        if event.call.errno() != Some(ENOMEM) {
            return Vec::new();
        }
        let what = Memory {
            errno: Some(ENOMEM),
            asked_bytes: Some(event.bytes),
            ..of_kind(FaultKind::MapFailed, Seen::Kernel)
        };
        self.folds.take(Telling {
            began: None,
            time: record.time,
            who: (record.tgid, record.tid, event.comm.clone()),
            start: event.start,
            why: None,
            what,
        })
    }

    pub fn signal(&mut self, record: &Record, init: u32, signal: &Signal) -> Vec<Telling> {
        // Those that the kernel side only counted.
        let hidden = signal.handled.saturating_sub(self.handled + 1);
        self.handled = self.handled.max(signal.handled);
        let verdict = match signal.action {
            Action::Ignore => None,
            Action::Handler => self.trap(record.tgid, signal),
            Action::Default => Some(self.fault(record.tgid, signal)),
        };
        let is_handled = signal.action == Action::Handler;
        if signal.action == Action::Default && record.tgid == init {
            self.fatal = Some(signal.signal);
        }
        if is_handled && verdict.is_none() {
            self.takes_others((record.tgid, Some(signal.start)));
        }
        let Some((kind, region, wasm_address)) = verdict else { return Vec::new() };
        let what = Memory {
            signal: Some(signal.signal),
            code: Some(signal.code),
            address: signal.address,
            wasm_address,
            linear_bytes: region.and_then(|_| self.linear_bytes((record.tgid, Some(signal.start)), signal)),
            handled: Some(is_handled),
            region,
            count: if is_handled && self.takers.is_empty() { 1 + hidden } else { 1 },
            ..of_kind(kind, Seen::Signal)
        };
        let telling = Telling {
            began: None,
            time: record.time,
            who: (record.tgid, record.tid, signal.comm.clone()),
            start: Some(signal.start),
            why: record.unreadable.then_some("some of the signal's information could not be read"),
            what,
        };
        if is_handled {
            self.trap = Some(telling.clone());
        }
        self.folds.take(telling)
    }

    /// There were more handled signals than were reported: if all others were traps, those were, too.
    pub fn counted(&mut self, handled: u64) -> Vec<Telling> {
        let hidden = handled.saturating_sub(self.handled);
        self.handled = self.handled.max(handled);
        let last = self.trap.clone().filter(|_| hidden > 0 && self.takers.is_empty());
        let Some(mut telling) = last else { return Vec::new() };
        telling.what.count = hidden;
        self.folds.take(telling)
    }

    /// An engine says how its module ended. A trap that its own signal has shown is told already.
    pub fn engine_told(&mut self, record: &Record, start: Time, comm: &str, code: u32) -> Vec<Telling> {
        self.engine_code = Some(code);
        let is_told = self
            .trap
            .as_ref()
            .is_some_and(|trap| trap.who.0 == record.tgid && record.time.since(trap.time) < SAME_TRAP_NS);
        if !engine::is_trap(code) || is_told {
            return Vec::new();
        }
        let what = Memory { engine_code: Some(code), ..of_kind(FaultKind::WasmTrap, Seen::Engine) };
        self.folds.take(Telling {
            began: None,
            time: record.time,
            who: (record.tgid, record.tid, comm.to_owned()),
            start: Some(start),
            why: None,
            what,
        })
    }

    /// Whether a handled signal is a trap of Wasm code, and where.
    fn trap(&self, tgid: u32, signal: &Signal) -> Option<Verdict> {
        let owner = (tgid, Some(signal.start));
        match signal.signal {
            SIGSEGV | SIGBUS => {
                let (region, at) = self.place(owner, signal.address?)?;
                Some((FaultKind::WasmTrap, Some(region), at))
            }
            // Sent ones are no faults. Nor can those of a language that takes signals be told from an engine's: Java
            // reserves as much as one for ZGC, or for a heap whose addresses it does not compress, and takes SIGFPE.
            SIGILL | SIGFPE if signal.code > 0 && !self.is_taker(owner) => {
                let mut own = self.spaces.iter().filter(|(of, _)| is_same(*of, owner));
                own.any(|(_, space)| space.traps_by_signal).then_some((FaultKind::WasmTrap, None, None))
            }
            _ => None,
        }
    }

    fn is_taker(&self, owner: Owner) -> bool {
        self.takers.iter().any(|taker| is_same(*taker, owner))
    }

    fn takes_others(&mut self, owner: Owner) {
        if self.is_taker(owner) {
            return;
        }
        if self.takers.len() >= MAX_TAKERS {
            self.takers.pop_front();
        }
        self.takers.push_back(owner);
    }

    /// Where a signal that ends its process came from.
    fn fault(&self, tgid: u32, signal: &Signal) -> Verdict {
        let at_address = matches!(signal.signal, SIGSEGV | SIGBUS);
        let Some(address) = signal.address.filter(|_| at_address) else {
            return (FaultKind::Fault, None, None);
        };
        if let Some((region, at)) = self.place((tgid, Some(signal.start)), address) {
            return (FaultKind::Fault, Some(region), at);
        }
        let region = if address < NULL_BYTES {
            FaultRegion::Null
        } else if address.abs_diff(signal.stack) < STACK_BYTES {
            // What is mapped around the stack pointer raises nothing: this is where the stack ends.
            FaultRegion::Stack
        } else {
            FaultRegion::Other
        };
        (FaultKind::Fault, Some(region), None)
    }

    /// Where in the linear memories of a process an address lies. A process that reserved none has those of the
    /// process that it is a copy of; its forks are not reported.
    fn place(&self, owner: Owner, address: u64) -> Option<(FaultRegion, Option<u64>)> {
        let has_own = self.spaces.iter().any(|(of, _)| is_same(*of, owner));
        let of_owner = |of: Owner| !has_own || is_same(of, owner);
        self.spaces.iter().rev().filter(|(of, _)| of_owner(*of)).find_map(|(_, space)| space.place(address))
    }

    /// How much of its linear memory a process could access, if it has reserved only one.
    fn linear_bytes(&self, owner: Owner, signal: &Signal) -> Option<u64> {
        let mut own = self.spaces.iter().filter(|(of, _)| is_same(*of, owner));
        let (Some((_, space)), None) = (own.next(), own.next()) else { return None };
        space.start.checked_add(signal.linear_reach?)?.checked_sub(space.base?)
    }

    pub fn has_been_killed(&self) -> bool {
        self.init_killed || self.child_killed
    }

    pub fn killed(&mut self, record: &Record, init: u32, victim: &OomVictim) -> Vec<Telling> {
        self.init_killed |= victim.victim == init;
        self.child_killed |= victim.victim != init;
        self.resident.was_killed = true;
        let what = Memory {
            signal: Some(SIGKILL),
            // No limit above it was used up: the node's memory, or a limit that counts other things, swap for one.
            scope: Some(victim.reached.map_or(OomScope::Unknown, |_| OomScope::Memcg)),
            limit_bytes: victim.reached.map(|(_, limit)| limit),
            rss_bytes: victim.rss_bytes,
            ..of_kind(FaultKind::OomKill, Seen::Kernel)
        };
        let why = victim.reached.is_none().then_some("no memory limit of its control groups was used up");
        self.folds.take(Telling {
            began: None,
            time: record.time,
            who: (victim.victim, victim.victim, victim.comm.clone()),
            start: victim.start,
            why,
            what,
        })
    }
}

/// Whether two sightings are of one process; when it started is not always known.
fn is_same(one: Owner, other: Owner) -> bool {
    one.0 == other.0 && one.1.zip(other.1).is_none_or(|(one, other)| one == other)
}
