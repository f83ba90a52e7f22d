//! Why a start failed: the last call that failed in the process that gave up, before it said so.

use super::{
    markers::{call_of, is_engine_library},
    start::Start,
};
use crate::{
    output::{Failure, PhaseName},
    probes::{Event, process},
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

/// The failure of a start that [`Start::has_failed`]; the process is left to the caller, as is its time.
pub fn failure(start: &Start) -> (Failure, Option<(Time, u32)>) {
    let (culprit, status) = culprit(start);
    let last_word = last_word(start, culprit);
    let candidates = start.records.iter().filter(|record| record.time <= last_word).filter_map(failed_call);
    let failed: Vec<Failed> = candidates.filter(|failed| failed.tgid == culprit).collect();
    if let Some(library) = missing_library(start, &failed) {
        return library;
    }
    // A failed exec of the payload is the reason, whatever was tried after it.
    let reason = failed.iter().rev().find(|failed| failed.call == "execve").or(failed.last());
    match reason {
        Some(reason) => (describe(reason, status), Some((reason.time, reason.tgid))),
        None => (unexplained(status), None),
    }
}

/// The process whose end ended the start, and its status: the init if it failed itself, else the runtime.
fn culprit(start: &Start) -> (u32, Option<u32>) {
    let status_of = |tgid: u32| {
        start.records.iter().rev().find_map(|record| match &record.event {
            Event::Process(process::Event::Exited { exit_code, .. }) if record.tgid == tgid => {
                Some(*exit_code)
            }
            _ => None,
        })
    };
    // A child that ended with an error before the runtime did is where it began.
    let child = start.records.iter().find_map(|record| match &record.event {
        Event::Process(process::Event::Exited { exit_code, .. })
            if *exit_code != 0 && record.tgid != start.id.root && start.members.contains(&record.tgid) =>
        {
            Some((record.tgid, Some(*exit_code)))
        }
        _ => None,
    });
    child.unwrap_or((start.id.root, status_of(start.id.root)))
}

/// When the culprit began to report or clean up: its first words on standard error, else its end.
fn last_word(start: &Start, culprit: u32) -> Time {
    let of_culprit = start.records.iter().filter(|record| record.tgid == culprit);
    let mut end = Time(u64::MAX);
    for record in of_culprit {
        match &record.event {
            Event::Output(event) if event.fd == 2 && event.call.ret > 0 => return record.time,
            Event::Process(process::Event::Exited { .. }) => end = record.time,
            _ => {}
        }
    }
    end
}

fn failed_call(record: &crate::input::Record) -> Option<Failed> {
    let errno = call_of(&record.event)?.errno()?;
    let (phase, call, object) = match &record.event {
        Event::Process(process::Event::ExecFailed { path, .. }) => {
            (PhaseName::Exec, "execve", Some(path.clone()))
        }
        Event::File(event) => (PhaseName::RuntimeLoad, "openat", Some(event.path.clone())),
        Event::Namespace(event) => (PhaseName::Namespaces, event.op.name(), None),
        Event::Mount(event) => (PhaseName::Rootfs, event.op.name(), event.target.clone()),
        Event::Security(event) => (PhaseName::Security, event.op.name(), None),
        Event::Memory(_) => (PhaseName::WasmInstantiate, "mmap", None),
        Event::Output(event) => (PhaseName::Cgroup, event.op.name(), None),
        Event::Socket(_) | Event::Cgroup(_) | Event::Process(_) => return None,
    };
    Some(Failed { time: record.time, tgid: record.tgid, phase, call, errno, object })
}

/// The engine library was looked for everywhere and found nowhere.
fn missing_library(start: &Start, failed: &[Failed]) -> Option<(Failure, Option<(Time, u32)>)> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let last = failed.iter().rev().find(|failed| {
        failed.call == "openat" && failed.object.as_deref().is_some_and(|path| is_engine_library(&name(path)))
    })?;
    let library = name(last.object.as_deref()?);
    let opened = start.records.iter().any(|record| match &record.event {
        Event::File(event) => event.call.errno().is_none() && name(&event.path) == library,
        _ => false,
    });
    if opened || start.init.is_some() {
        return None;
    }
    let text = format!("the engine library {library} is in none of the places where it was looked for");
    let failure = Failure {
        phase: PhaseName::WasmEngine,
        call: Some(last.call.to_owned()),
        errno: Some(last.errno),
        object: Some(library),
        process: None,
        text,
    };
    Some((failure, Some((last.time, last.tgid))))
}

fn describe(failed: &Failed, status: Option<u32>) -> Failure {
    let what = failed.object.as_deref().map(|object| format!(" of {object}")).unwrap_or_default();
    let text = format!("{}{what} failed; then the runtime gave up ({})", failed.call, status_text(status));
    Failure {
        phase: failed.phase,
        call: Some(failed.call.to_owned()),
        errno: Some(failed.errno),
        object: failed.object.clone(),
        process: None,
        text,
    }
}

fn unexplained(status: Option<u32>) -> Failure {
    let text = format!("ended before its payload began ({}); no failed call was seen", status_text(status));
    Failure { phase: PhaseName::Unattributed, call: None, errno: None, object: None, process: None, text }
}

/// `task->exit_code` for people.
fn status_text(status: Option<u32>) -> String {
    match status {
        None => "its end was not seen".to_owned(),
        Some(status) if status & 0x7f != 0 => format!("signal {}", status & 0x7f),
        Some(status) => format!("exit status {}", status >> 8),
    }
}
