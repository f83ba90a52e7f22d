//! Calls that failed for want of room, as a device failed, or as they are not permitted: where, and what there is no room for. The kernel side tells
//! who and which call; how full the file system is has to be looked up, for which an event waits a moment.

use std::collections::BTreeMap;

use observer_ebpf::control::role;

use super::{Made, Model, text::is_contained};
use crate::{
    input::{Alike, FailedAt, LookupError, Record},
    output::{Event, File, FileOutcome, Since, Want, What},
    probes::{
        self,
        packet::Owner,
        storage::{self, On, Op},
    },
    time::Time,
};

const EPERM: i32 = 1;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

/// Failures that wait for an answer at once; what is beyond is told without one.
const MAX_WAITING: usize = 256;
/// How long they wait.
const WAIT_NS: u64 = 1_000_000_000;
/// Kinds of failures that are remembered for what is counted of them later; the one told longest ago goes first.
const MAX_KNOWN: usize = 4_096;

/// So little is as good as nothing: a share of the whole, and bytes at least and at most.
const FULL_ONE_IN: u64 = 50;
const FULL_BYTES: u64 = 64 << 10;
const MAX_FULL_BYTES: u64 = 1 << 20;

/// What is not storage, whatever its calls return.
const NO_STORAGE: &[&str] = &[
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "mqueue",
    "proc",
    "pstore",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

#[derive(Default)]
pub(super) struct Failures {
    /// By the time and thread of the record.
    waiting: BTreeMap<(Time, u32), storage::Event>,
    /// The last event of each kind.
    known: BTreeMap<Alike, (Time, Box<Event>)>,
}

impl Model {
    pub(super) fn follow_storage(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        let probes::Event::Storage(seen) = &record.event else { return };
        let op = seen.alike.op;
        let asks = op.on() != On::Key && op != Op::Inotify && self.failures.waiting.len() < MAX_WAITING;
        let Some(caller) = seen.caller.as_ref().filter(|_| asks) else {
            return self.tell_failure(record.time, seen, None, make);
        };
        make(Made::Want(Want::FailedAt {
            at: record.time,
            tid: record.tid,
            tgid: caller.tgid,
            others: caller.init.into_iter().chain([seen.parent]).filter(|pid| *pid > 1).collect(),
            on: op.on(),
            fd: seen.fd,
            text: seen.text.clone(),
            device: seen.alike.device,
        }));
        self.failures.waiting.insert((record.time, record.tid), seen.clone());
    }

    /// Where a call failed was looked up.
    pub(super) fn failed_at(
        &mut self,
        at: (Time, u32),
        result: &Result<FailedAt, LookupError>,
        make: &mut impl FnMut(Made),
    ) {
        if let Some(event) = self.failures.waiting.remove(&at) {
            self.tell_failure(at.0, &event, Some(result), make);
        }
    }

    /// What was looked up for too long is told without an answer; at the end (`None`) all of it.
    pub(super) fn tell_unanswered(&mut self, time: Option<Time>, make: &mut impl FnMut(Made)) {
        while let Some((at, event)) = self.failures.waiting.pop_first() {
            if time.is_some_and(|time| time.since(at.0) < WAIT_NS) {
                self.failures.waiting.insert(at, event);
                return;
            }
            self.tell_failure(at.0, &event, None, make);
        }
    }

    /// More that are alike have failed since they were last told.
    pub(super) fn failed_again(&mut self, time: Time, counts: &[(Alike, u64)], make: &mut impl FnMut(Made)) {
        for (alike, more) in counts {
            let Some((_, last)) = self.failures.known.get(alike) else { continue };
            let mut event = last.clone();
            event.time = self.clock.wall(time);
            if let What::File(file) = &mut event.what {
                file.count = *more;
            }
            make(Made::Event(event));
        }
    }

    fn tell_failure(
        &mut self,
        time: Time,
        seen: &storage::Event,
        answer: Option<&Result<FailedAt, LookupError>>,
        make: &mut impl FnMut(Made),
    ) {
        let found = answer.and_then(|answer| answer.as_ref().ok());
        let kind = found.map(|found| found.filesystem.kind.as_str()).or(seen.kind.as_deref());
        if kind.is_some_and(|kind| NO_STORAGE.contains(&kind)) {
            return;
        }
        let (container, since, whose) = match &seen.caller {
            Some(caller) => {
                let (container, since, why) = self.whose(caller);
                (container.or_else(|| self.starting(caller)), since, why)
            }
            None => (None, Since::Attach, None),
        };
        let outcome = outcome(seen, found);
        let why = match (answer, outcome) {
            (Some(Err(error)), _) => Some(error.to_string()),
            (None, FileOutcome::Unknown) => Some("its file system did not answer".to_owned()),
            (Some(Ok(_)), FileOutcome::Unknown) => Some("there is room by now".to_owned()),
            _ => whose.map(str::to_owned),
        };
        let is_component = container.is_none() && seen.caller.as_ref().is_some_and(is_component);
        let event = Box::new(Event {
            time: self.clock.wall(time),
            began: None,
            since: if container.is_some() { since } else { Since::Start },
            process: seen.caller.as_ref().map(|caller| self.process_of(caller)),
            container,
            why,
            what: What::File(Box::new(File { component: is_component, ..file(seen, found, outcome) })),
        });
        let known = &mut self.failures.known;
        known.insert(seen.alike, (time, event.clone()));
        if known.len() > MAX_KNOWN
            && let Some(oldest) = known.iter().min_by_key(|(_, (time, _))| *time).map(|(alike, _)| *alike)
        {
            known.remove(&oldest);
        }
        make(Made::Event(event));
    }
}

/// Whether a process is one of the node's own that is watched by its name.
fn is_component(caller: &Owner) -> bool {
    !is_contained(caller) && caller.role & (role::ENGINE | role::CALLER | role::SPEAKER) != 0
}

fn file(seen: &storage::Event, found: Option<&FailedAt>, outcome: FileOutcome) -> File {
    File {
        component: false,
        outcome,
        call: seen.alike.op.name(),
        errno: seen.alike.errno,
        path: found.and_then(|found| found.path.clone()),
        name: seen.text.clone(),
        filesystem: found.map(|found| found.filesystem.clone()),
        filesystem_kind: seen.kind.clone(),
        asked_bytes: seen.asked_bytes,
        count: seen.count,
    }
}

/// What there was no room for. That of a file system counts only if the file system agrees.
fn outcome(seen: &storage::Event, found: Option<&FailedAt>) -> FileOutcome {
    match (seen.alike.op, seen.alike.errno) {
        (Op::Inotify, _) => return FileOutcome::InotifyWatches,
        (Op::AddKey | Op::Keyctl, _) => return FileOutcome::KeyQuota,
        (_, EACCES | EPERM) => return FileOutcome::Denied,
        (_, EIO) => return FileOutcome::IoError,
        (_, EROFS) => return FileOutcome::ReadOnly,
        (_, EDQUOT) => return FileOutcome::Quota,
        _ => {}
    }
    let Some(room) = found.map(|found| found.filesystem.room) else { return FileOutcome::Unknown };
    let is_tmpfs = found.is_some_and(|found| found.filesystem.kind == "tmpfs");
    let is_full = room.available_bytes <= (room.total_bytes / FULL_ONE_IN).clamp(FULL_BYTES, MAX_FULL_BYTES);
    let lacks_inodes = room.total_inodes > 0 && room.free_inodes == 0;
    let has_size = matches!(seen.alike.op, Op::Fallocate | Op::Truncate);
    match (is_full, lacks_inodes) {
        (true, _) | (_, true) if is_tmpfs => FileOutcome::TmpfsSize,
        (true, _) => FileOutcome::Bytes,
        (false, true) => FileOutcome::Inodes,
        (false, false) if has_size && seen.asked_bytes.is_some_and(|asked| asked > room.available_bytes) => {
            FileOutcome::TooLarge
        }
        (false, false) => FileOutcome::Unknown,
    }
}

#[cfg(test)]
mod tests;
