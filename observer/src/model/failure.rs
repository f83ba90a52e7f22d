//! Why a start failed: the last call that failed before the end, in a process that got no further after it.

use super::{markers::call_of, start::Start, wasm::engine_in};
use crate::{
    input::Record,
    output::{Failure, PhaseName},
    probes::{Event, process, security},
    time::Time,
};

/// A failed call and what it was about.
struct Failed {
    time: Time,
    tgid: u32,
    phase: PhaseName,
    call: &'static str,
    errno: i32,
    object: Option<String>,
}

impl Failed {
    fn is_search(&self) -> bool {
        ["openat", "stat", "access", "readlink"].contains(&self.call)
    }
}

/// A process that ended, and its `task->exit_code`.
#[derive(Clone, Copy)]
struct Ended {
    tgid: u32,
    at: Time,
    status: u32,
}

/// The failure of a start that [`Start::has_failed`], and when and in which process it happened, if a call
/// is to blame. Its process is left to the caller.
pub fn failure(start: &Start) -> (Failure, Option<(Time, u32)>) {
    let ends: Vec<Ended> = start.records.iter().filter_map(end).collect();
    let root = ends.iter().find(|ended| ended.tgid == start.id.root).copied();
    let child = ends.iter().find(|ended| ended.status != 0 && ended.tgid != start.id.root).copied();
    if let Some(killed) = out_of_memory(start) {
        return killed;
    }
    if let Some(missing) = missing_library(start) {
        return missing;
    }
    // A child that ended badly before the runtime did is where it began; a child that was killed without a word
    // may have been killed because the runtime itself could not go on.
    let blame =
        |ended: Ended, before: Time| last_failed(start, ended.tgid, before).map(|failed| (failed, ended));
    let of_child = child.and_then(|child| blame(child, child.at));
    let of_root = root.and_then(|root| blame(root, child.map_or(root.at, |child| child.at)));
    let killed = child.is_some_and(|child| child.status & 0x7f == SIGKILL);
    let blamed = match (of_child, of_root) {
        (Some(child), Some(root))
            if killed && root.0.time > child.0.time && !has_reported(start, &child.0) =>
        {
            Some(root)
        }
        (of_child, of_root) => of_child.or(of_root),
    };
    match blamed {
        Some((failed, ended)) => (describe(&failed, ended.status), Some((failed.time, failed.tgid))),
        None => (unexplained(child.or(root)), None),
    }
}

fn end(record: &Record) -> Option<Ended> {
    match &record.event {
        Event::Process(process::Event::Exited { exit_code, .. }) => {
            Some(Ended { tgid: record.tgid, at: record.time, status: *exit_code })
        }
        _ => None,
    }
}

/// The last call of a process that failed, and after which it got nothing of its work done any more.
fn last_failed(start: &Start, tgid: u32, before: Time) -> Option<Failed> {
    let mut last: Option<Failed> = None;
    for record in start.records.iter().filter(|record| record.tgid == tgid && record.time <= before) {
        // It reports what failed; what fails from here on is its cleaning up.
        if reports(record) && last.is_some() {
            break;
        }
        match failed_call(record, start) {
            // A payload that could not be executed is the reason, whatever is tried after it.
            Some(_) if last.as_ref().is_some_and(|last| last.call == "execve") => {}
            // Files are looked for in vain all the time, above all in cleaning up after something else failed.
            Some(failed) if failed.is_search() && last.as_ref().is_some_and(|last| !last.is_search()) => {}
            Some(failed) => last = Some(failed),
            None if gets_on(record) => last = None,
            None => {}
        }
    }
    last
}

/// Whether a record is something said on standard error.
fn reports(record: &Record) -> bool {
    matches!(&record.event, Event::Output(event) if event.fd == 2 && event.call.ret > 0)
}

/// Whether the process itself spoke of what failed: its parent may take its life at once when it hears of it.
fn has_reported(start: &Start, failed: &Failed) -> bool {
    let after = |record: &&Record| record.tgid == failed.tgid && record.time >= failed.time;
    start.records.iter().filter(after).any(reports)
}

/// Whether a record shows that its process went on with its work.
fn gets_on(record: &Record) -> bool {
    let works = matches!(
        record.event,
        Event::Mount(_) | Event::Namespace(_) | Event::Security(_) | Event::Socket(_) | Event::Memory(_)
    );
    works && call_of(&record.event).is_some_and(|call| call.errno().is_none())
}

fn failed_call(record: &Record, start: &Start) -> Option<Failed> {
    let errno = call_of(&record.event)?.errno()?;
    let (phase, call, object) = match &record.event {
        Event::Process(process::Event::ExecFailed { path, .. }) => {
            (PhaseName::Exec, "execve", Some(path.clone()))
        }
        // What the processes of the container look for is what it is to be made of.
        Event::File(event) => {
            let phase = if start.is_entrypoint(&event.path) {
                PhaseName::Exec
            } else if record.tgid == start.id.root {
                PhaseName::RuntimeLoad
            } else {
                PhaseName::Rootfs
            };
            (phase, event.op.name(), Some(event.path.clone()))
        }
        Event::Namespace(event) => (PhaseName::Namespaces, event.op.name(), None),
        Event::Mount(event) => (PhaseName::Rootfs, event.op.name(), event.target.clone()),
        // Runtimes ask by failing calls what the kernel's seccomp can do.
        Event::Security(event) if event.op == security::Op::Seccomp && !event.confines() => return None,
        Event::Security(event) if event.op == security::Op::Seccomp && errno == EFAULT => return None,
        Event::Security(event) => (PhaseName::Security, event.op.name(), event.limit().map(str::to_owned)),
        Event::Memory(_) => (PhaseName::WasmInstantiate, "mmap", None),
        // A runtime's failed writes are to control files: limits, id maps, the members of a group.
        Event::Output(event) => (PhaseName::Cgroup, event.op.name(), None),
        Event::Socket(_)
        | Event::Cgroup(_)
        | Event::Process(_)
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
        | Event::Webhook(_) => return None,
    };
    Some(Failed { time: record.time, tgid: record.tgid, phase, call, errno, object })
}

const SIGKILL: u32 = 9;
const EFAULT: i32 = 14;
const ENOMEM: i32 = 12;

/// A member was killed for want of memory.
fn out_of_memory(start: &Start) -> Option<(Failure, Option<(Time, u32)>)> {
    let (time, victim) = start.records.iter().find_map(|record| match &record.event {
        Event::Process(process::Event::OomVictim { victim, .. }) => Some((record.time, *victim)),
        _ => None,
    })?;
    let failure = Failure {
        phase: PhaseName::Cgroup,
        call: None,
        errno: Some(ENOMEM),
        object: Some("memory limit".to_owned()),
        process: None,
        text: "the kernel killed it for want of memory before its payload began".to_owned(),
    };
    Some((failure, Some((time, victim))))
}

/// The engine library was looked for everywhere and found nowhere.
fn missing_library(start: &Start) -> Option<(Failure, Option<(Time, u32)>)> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let opens = || {
        start.records.iter().filter_map(|record| match &record.event {
            Event::File(event) if engine_in(&name(&event.path)).is_some() => Some((record, event)),
            _ => None,
        })
    };
    let (record, last) = opens().rfind(|(_, event)| event.call.errno().is_some())?;
    let library = name(&last.path);
    let opened = opens().any(|(_, event)| event.call.errno().is_none() && name(&event.path) == library);
    if opened || start.init.is_some() {
        return None;
    }
    let failure = Failure {
        phase: PhaseName::WasmEngine,
        call: Some(last.op.name().to_owned()),
        errno: last.call.errno(),
        text: format!("the engine library {library} is in none of the places where it was looked for"),
        object: Some(library),
        process: None,
    };
    Some((failure, Some((record.time, record.tgid))))
}

fn describe(failed: &Failed, status: u32) -> Failure {
    let what = failed.object.as_deref().map(|object| format!(" of {object}")).unwrap_or_default();
    Failure {
        phase: failed.phase,
        call: Some(failed.call.to_owned()),
        errno: Some(failed.errno),
        object: failed.object.clone(),
        process: None,
        text: format!("{}{what} failed; the process ended with {}", failed.call, status_text(status)),
    }
}

fn unexplained(ended: Option<Ended>) -> Failure {
    let how = ended.map_or("its end was not seen".to_owned(), |ended| status_text(ended.status));
    Failure {
        phase: PhaseName::Unattributed,
        call: None,
        errno: None,
        object: None,
        process: None,
        text: format!("ended before its payload began ({how}); no failed call was seen"),
    }
}

/// `task->exit_code` for people.
fn status_text(status: u32) -> String {
    match status & 0x7f {
        0 => format!("exit status {}", status >> 8),
        signal => format!("signal {signal}"),
    }
}
