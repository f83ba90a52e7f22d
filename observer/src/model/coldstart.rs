//! A settled start becomes a breakdown: prefix, markers, phases on one line, what is left over.

use super::{
    container::container,
    failure,
    images::Images,
    markers::{self, Marker},
    origin::{marker, origin},
    pods::Pods,
    process::{ProcessInfo, Processes},
    start::Start,
};
use crate::{
    input::RuntimeVersion,
    layer::Layer,
    output::{ColdStart, Container, Failure, Kind, Milestones, Phase, PhaseName, Process, Ready},
    probes::{Event, process},
    time::{ClockOffset, Time},
};

/// What a breakdown needs beside the start itself.
pub struct Context<'a> {
    pub pods: &'a Pods,
    pub images: &'a Images,
    pub processes: &'a Processes,
    pub clock: ClockOffset,
    /// Of each runtime binary, if it is known.
    pub versions: &'a std::collections::BTreeMap<String, Option<RuntimeVersion>>,
    /// Records lost on the node so far.
    pub lost: u64,
}

/// The breakdown of a start.
pub fn cold_start(start: &Start, context: &Context) -> ColdStart {
    let mut all = markers::markers(start);
    let failure = start.has_failed().then(|| failure::failure(start));
    let ready_at = ready(start);
    let (ready, until) = match ready_at {
        Some((ready, time)) => (ready, time),
        None => (Ready::Exit, last_seen(start)),
    };
    let mut failed = None;
    if let Some((found, at)) = failure {
        failed = Some(mark_failure(start, found, at, until, &mut all));
    }
    let container = container(start, context);
    let origin = origin(start, &container, context);
    let mut markers = origin.markers;
    markers.extend(all);
    markers.retain(|marker| marker.time > origin.time && marker.time <= until);
    markers.sort_by_key(|marker| marker.time);

    let (phases, unattributed_ns) = phases(origin.time, &markers, until, &container, context.clock);
    let storage = storage(start, until);
    let since = |time: Option<Time>| time.map(|time| time.since(origin.time));
    ColdStart {
        time: context.clock.wall(origin.time),
        t0: origin.t0,
        total_ns: until.since(origin.time),
        ready,
        milestones: Milestones {
            exec_ns: since(start.progress.begun),
            first_output_ns: since(start.progress.first_output),
            listen_ns: since(start.progress.listening),
            // A failed start has come to its end when the runtime that reports it has.
            exit_ns: since(failed.as_ref().map(|_| until).or(start.progress.init_ended)),
        },
        cold: storage.map(|(major_faults, read_bytes)| major_faults > 0 || read_bytes > 0),
        phases,
        unattributed_ns,
        major_faults: storage.map(|(major_faults, _)| major_faults),
        read_bytes: storage.map(|(_, read_bytes)| read_bytes),
        lost: context.lost.saturating_sub(start.lost_before) + start.records_dropped,
        failure: failed,
        container,
    }
}

/// What ended the start: listening, else the first output, else its end, else its beginning.
fn ready(start: &Start) -> Option<(Ready, Time)> {
    let progress = &start.progress;
    let listen = progress.listening.map(|time| (Ready::Listen, time));
    let output = progress.first_output.map(|time| (Ready::FirstOutput, time));
    let exit = progress.begun.and(progress.init_ended).map(|time| (Ready::Exit, time));
    let exec = progress.begun.map(|time| (Ready::Exec, time));
    listen.or(output).or(exit).or(exec)
}

/// For a start that failed: when the last of it ended.
fn last_seen(start: &Start) -> Time {
    let ended = start.progress.root_ended.map(|(time, _)| time).max(start.progress.init_ended);
    ended.or_else(|| start.records.last().map(|record| record.time)).unwrap_or(start.id.at)
}

fn mark_failure(
    start: &Start,
    mut failure: Failure,
    at: Option<(Time, u32)>,
    until: Time,
    markers: &mut Vec<Marker>,
) -> Failure {
    let root = last_known(start, start.id.root, markers);
    if let Some((time, tgid)) = at {
        let process = last_known(start, tgid, markers);
        failure.process = Some(Process {
            pid: tgid,
            tid: tgid,
            ppid: Some(process.ppid),
            comm: process.comm.clone(),
            exe: process.exe.clone(),
            start: None,
        });
        markers.retain(|marker| marker.time <= time);
        markers.push(marker(time, failure.phase, &process, Some("failed here")));
    }
    markers.push(marker(until, PhaseName::Unattributed, &root, Some("reporting and cleaning up")));
    failure
}

/// A process as it was at its last marker.
fn last_known(start: &Start, tgid: u32, markers: &[Marker]) -> ProcessInfo {
    let last = markers.iter().rev().find(|marker| marker.process.tgid == tgid).map(|marker| &marker.process);
    let unknown = || ProcessInfo { tgid, ..ProcessInfo::default() };
    last.or_else(|| start.processes.get(&tgid)).cloned().unwrap_or_else(unknown)
}

/// Consecutive markers of one name and process are one phase.
fn phases(
    from: Time,
    markers: &[Marker],
    until: Time,
    container: &Container,
    clock: ClockOffset,
) -> (Vec<Phase>, u64) {
    let mut phases: Vec<Phase> = Vec::new();
    let mut mounts: Vec<u32> = Vec::new();
    let mut at = from;
    for marker in markers {
        let duration_ns = marker.time.since(at);
        let same = phases.last().is_some_and(|last| {
            last.name == marker.name
                && last.process.as_ref().is_some_and(|process| process.pid == marker.process.tgid)
        });
        if same && let Some(last) = phases.last_mut() {
            last.duration_ns += duration_ns;
            if marker.detail.is_some() {
                last.detail.clone_from(&marker.detail);
            }
            if let Some(count) = mounts.last_mut() {
                *count += marker.mounts;
            }
        } else {
            phases.push(Phase {
                name: marker.name,
                layer: layer(marker.name, container.kind),
                start_ns: at.since(from),
                duration_ns,
                process: Some(process_of(&marker.process, clock)),
                detail: marker.detail.clone(),
            });
            mounts.push(marker.mounts);
        }
        at = at.max(marker.time);
    }
    for (phase, count) in phases.iter_mut().zip(mounts) {
        if count > 0 {
            phase.detail = Some(format!("{count} mounts"));
        }
    }
    let told: u64 = phases
        .iter()
        .filter(|phase| phase.name != PhaseName::Unattributed)
        .map(|phase| phase.duration_ns)
        .sum();
    phases.retain(|phase| phase.name != PhaseName::Unattributed);
    (phases, until.since(from).saturating_sub(told))
}

fn layer(name: PhaseName, kind: Kind) -> Layer {
    match name {
        PhaseName::WasmEngine | PhaseName::WasmLoad | PhaseName::WasmInstantiate => Layer::L4,
        PhaseName::Init | PhaseName::Ready if kind != Kind::Oci => Layer::L4,
        _ => Layer::L3,
    }
}

fn process_of(info: &ProcessInfo, clock: ClockOffset) -> Process {
    Process {
        pid: info.tgid,
        tid: info.tgid,
        ppid: (info.ppid != 0).then_some(info.ppid),
        comm: info.comm.clone(),
        exe: info.exe.clone(),
        start: (info.start != Time(0)).then(|| clock.wall(info.start)),
    }
}

/// Major faults and bytes read by the start's processes up to `until`: each process's last count. `None` when
/// one of them could not be read.
fn storage(start: &Start, until: Time) -> Option<(u64, u64)> {
    let mut last = std::collections::BTreeMap::new();
    for record in start.records.iter().filter(|record| record.time <= until) {
        let counts = match &record.event {
            Event::Process(process::Event::Executed(exec)) => (exec.major_faults, exec.read_bytes),
            Event::Process(process::Event::Exited { major_faults, read_bytes, .. }) => {
                (*major_faults, *read_bytes)
            }
            Event::Output(event) => (event.major_faults, event.read_bytes),
            Event::Socket(event) => (event.major_faults, event.read_bytes),
            _ => continue,
        };
        if record.unreadable {
            return None;
        }
        last.insert(record.tgid, counts);
    }
    Some(last.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1)))
}
