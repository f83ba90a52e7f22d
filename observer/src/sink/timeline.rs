//! A start as people look at it: segments on one line, gaps shown as unattributed, a name, the largest part.

use crate::{
    compare::sums,
    output::{ColdStart, Container, Failure, Phase, PhaseName},
    sink::{errno, units},
};

/// A part of the line: a phase, or what lies between two.
pub(super) struct Segment<'a> {
    pub start_ns: u64,
    pub duration_ns: u64,
    /// `None`: unattributed.
    pub phase: Option<&'a Phase>,
}

impl Segment<'_> {
    pub(super) fn name(&self) -> &'static str {
        self.phase.map_or(PhaseName::Unattributed, |phase| phase.name).name()
    }

    pub(super) fn layer(&self) -> &'static str {
        self.phase.map_or("-", |phase| phase.layer.name())
    }
}

/// Phases in their order and the gaps between them.
pub(super) fn segments(start: &ColdStart) -> Vec<Segment<'_>> {
    let mut phases: Vec<&Phase> =
        start.phases.iter().filter(|phase| phase.name != PhaseName::Unattributed).collect();
    phases.sort_by_key(|phase| phase.start_ns);
    let mut segments = Vec::with_capacity(phases.len());
    let mut covered = 0;
    let gap = |from: u64, to: u64| Segment { start_ns: from, duration_ns: to - from, phase: None };
    for phase in phases {
        if phase.start_ns > covered {
            segments.push(gap(covered, phase.start_ns));
        }
        segments.push(Segment {
            start_ns: phase.start_ns,
            duration_ns: phase.duration_ns,
            phase: Some(phase),
        });
        covered = covered.max(phase.start_ns.saturating_add(phase.duration_ns));
    }
    if start.total_ns > covered {
        segments.push(gap(covered, start.total_ns));
    }
    segments
}

/// The name with the largest share of a start, and its time.
pub(super) fn largest(start: &ColdStart) -> Option<(PhaseName, u64)> {
    let phases = start.phases.iter().filter(|phase| phase.name != PhaseName::Unattributed);
    let phases = phases.map(|phase| (phase.name, phase.duration_ns));
    let sums = sums(phases.chain([(PhaseName::Unattributed, start.unattributed_ns)]));
    sums.into_iter().max_by_key(|(name, ns)| (*ns, std::cmp::Reverse(*name)))
}

/// What a container is called, as shortly as it can be told apart.
pub(super) fn short_name(container: &Container) -> String {
    match (&container.pod, &container.name) {
        (Some(pod), Some(name)) if pod != name => format!("{pod}/{name}"),
        (Some(name), _) | (None, Some(name)) => name.clone(),
        (None, None) if container.id.is_empty() => "(unknown)".into(),
        (None, None) => container.id.chars().take(12).collect(),
    }
}

/// With the namespace.
pub(super) fn full_name(container: &Container) -> String {
    let short = short_name(container);
    match &container.namespace {
        Some(namespace) if container.pod.is_some() => format!("{namespace}/{short}"),
        _ => short,
    }
}

pub(super) fn cold(cold: Option<bool>) -> &'static str {
    match cold {
        Some(true) => "cold",
        Some(false) => "warm",
        None => "?",
    }
}

/// `exec: execve ENOEXEC`.
pub(super) fn failure_in_short(failure: &Failure) -> String {
    let mut text = failure.phase.name().to_owned();
    let errno = failure
        .errno
        .map(|number| errno::name(number).map_or_else(|| format!("errno {number}"), ToOwned::to_owned));
    let parts: Vec<String> = failure.call.clone().into_iter().chain(errno).collect();
    if !parts.is_empty() {
        text.push_str(": ");
        text.push_str(&parts.join(" "));
    }
    text
}

/// All that is known of a failure but its sentence: `exec: execve ENOEXEC, /app.wasm, by crun[42]`.
pub(super) fn failure_in_full(failure: &Failure) -> String {
    let object = failure.object.clone();
    let process = failure.process.as_ref().map(|process| format!("by {}", units::process_text(process)));
    let parts = [failure_in_short(failure)].into_iter().chain(object).chain(process);
    parts.collect::<Vec<_>>().join(", ")
}

/// What is known of a start's storage, or that it is not known.
pub(super) fn storage(start: &ColdStart) -> String {
    let faults = start.major_faults.map(|faults| units::count(faults, "major fault"));
    let read = start.read_bytes.map(|bytes| format!("{} read from disk", units::bytes_text(bytes)));
    match (start.cold, faults, read) {
        (None, None, None) => "cold or warm not measured".into(),
        (cold, faults, read) => {
            let word = match cold {
                Some(true) => "cold",
                Some(false) => "warm",
                None => "cold or warm not known",
            };
            let parts = [Some(word.to_owned()), faults, read].into_iter().flatten();
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}
