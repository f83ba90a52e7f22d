//! A cold start as spans: `container.start` and under it one `container.start.<phase>` a phase, with the times
//! at which they really began and ended. What no phase covers is a `container.start.unattributed` of its own,
//! so that the children always fill the root. Pure.

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, SpanKind},
        status::StatusCode,
    },
};

use super::{
    ids::{SpanId, TraceId, span_id, trace_id},
    resource::{Attributes, Host, bounded, resource},
};
use crate::{
    layer::Layer,
    output::{ColdStart, Failure, Kind, Phase, PhaseName, Process},
    sink::errno,
    time::Wall,
};

const SCOPE: &str = "observer";
const ROOT: &str = "container.start";
/// Phase of the root: the whole start.
const WHOLE: &str = "start";
/// Children of one root. A start has some twenty; more is a hostile runtime.
const MAX_CHILDREN: usize = 256;
/// W3C "sampled", and OTLP's "it is known whether the parent is remote" (it is not).
pub(super) const FLAGS: u32 = 0x101;

/// A child: a phase, or a gap between two.
struct Segment<'a> {
    start_ns: u64,
    end_ns: u64,
    phase: Option<&'a Phase>,
}

/// The spans of one start, root first, with the watched workload's resource.
pub fn resource_spans(start: &ColdStart, host: &Host) -> ResourceSpans {
    let trace = trace_id(start, host);
    let root_id = span_id(&trace, 0);
    let segments = segments(start);
    let left_out = segments.len().saturating_sub(MAX_CHILDREN);
    let failed = failed_segment(start, &segments);

    let mut spans = vec![root(start, trace, root_id, left_out)];
    for (index, segment) in segments.iter().take(MAX_CHILDREN).enumerate() {
        let failure = start.failure.as_ref().filter(|_| failed == Some(index));
        spans.push(child(start, segment, failure, trace, index + 1));
    }
    scoped(resource(&start.container, host), spans)
}

/// Spans of ours about one workload.
pub(super) fn scoped(workload: Resource, spans: Vec<Span>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(workload),
        scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

/// Who says all of this.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SCOPE.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

/// How many spans [`resource_spans`] makes.
pub fn count(start: &ColdStart) -> u64 {
    1 + segments(start).len().min(MAX_CHILDREN) as u64
}

/// Phases in the order of time and the gaps between them.
fn segments(start: &ColdStart) -> Vec<Segment<'_>> {
    let mut phases: Vec<&Phase> =
        start.phases.iter().filter(|phase| phase.name != PhaseName::Unattributed).collect();
    phases.sort_by_key(|phase| phase.start_ns);
    let mut segments = Vec::with_capacity(phases.len() + 1);
    let mut covered = 0;
    for phase in phases {
        if phase.start_ns > covered {
            segments.push(Segment { start_ns: covered, end_ns: phase.start_ns, phase: None });
        }
        let end_ns = phase.start_ns.saturating_add(phase.duration_ns);
        segments.push(Segment { start_ns: phase.start_ns, end_ns, phase: Some(phase) });
        covered = covered.max(end_ns);
    }
    if start.total_ns > covered {
        segments.push(Segment { start_ns: covered, end_ns: start.total_ns, phase: None });
    }
    segments
}

/// A phase that occurs more than once failed where it occurred last.
fn failed_segment(start: &ColdStart, segments: &[Segment]) -> Option<usize> {
    let failure = start.failure.as_ref()?;
    let name = |segment: &Segment| segment.phase.map_or(PhaseName::Unattributed, |phase| phase.name);
    segments.iter().take(MAX_CHILDREN).rposition(|segment| name(segment) == failure.phase)
}

fn root(start: &ColdStart, trace: TraceId, id: SpanId, left_out: usize) -> Span {
    let layer = match start.container.kind {
        Kind::Wasm => Layer::L4,
        Kind::Oci | Kind::Sandbox => Layer::L3,
    };
    let mut to = common(start, layer.name(), WHOLE);
    to.bool("observer.cold", start.cold);
    to.double("observer.total_ms", ms(start.total_ns));
    to.double("observer.unattributed_ms", ms(start.unattributed_ns));
    if let Some(faults) = start.major_faults {
        to.int("observer.major_faults", faults);
    }
    if let Some(bytes) = start.read_bytes {
        to.int("observer.read_bytes", bytes);
    }
    to.int("observer.lost", start.lost);
    to.text("observer.engine", start.container.engine.as_deref());
    to.text("observer.handler", start.container.handler.as_deref());
    if let Some(instance) = start.container.instance {
        to.text("observer.instance", format!("{}@{}", instance.init, instance.start.0).as_str());
    }
    if left_out > 0 {
        to.int("observer.phases_left_out", left_out as u64);
    }
    if let Some(failure) = &start.failure {
        to.text("observer.failure.phase", failure.phase.name());
    }
    let mut span = span(start, trace, id, ROOT.to_owned(), 0..start.total_ns);
    span.events = milestones(start);
    finish(span, to, start.failure.as_ref())
}

fn child(
    start: &ColdStart,
    segment: &Segment,
    failure: Option<&Failure>,
    trace: TraceId,
    index: usize,
) -> Span {
    let name = segment.phase.map_or(PhaseName::Unattributed, |phase| phase.name).name();
    // What could not be told apart has no layer either.
    let layer = segment.phase.map_or("unknown", |phase| phase.layer.name());
    let mut to = common(start, layer, name);
    if let Some(phase) = segment.phase {
        to.text("observer.detail", phase.detail.as_deref());
        if let Some(process) = &phase.process {
            process_attributes(&mut to, process);
        }
    }
    let mut span = span(
        start,
        trace,
        span_id(&trace, index),
        format!("{ROOT}.{name}"),
        segment.start_ns..segment.end_ns,
    );
    span.parent_span_id = span_id(&trace, 0).to_vec();
    finish(span, to, failure)
}

/// On every span, so that a search for them needs no join of parent and child.
fn common(start: &ColdStart, layer: &str, phase: &str) -> Attributes {
    let mut to = Attributes::default();
    to.text("observer.layer", layer);
    to.text("observer.phase", phase);
    to.text("observer.t0", start.t0.name());
    to.text("observer.ready", start.ready.name());
    to.text("observer.kind", start.container.kind.name());
    to
}

pub(super) fn process_attributes(to: &mut Attributes, process: &Process) {
    to.int("process.pid", process.pid);
    if let Some(parent) = process.ppid {
        to.int("process.parent_pid", parent);
    }
    if process.tid != process.pid && process.tid != 0 {
        to.int("thread.id", process.tid);
    }
    let base = process.exe.as_deref().and_then(|exe| exe.rsplit('/').next()).filter(|base| !base.is_empty());
    to.text("process.executable.name", base.unwrap_or(&process.comm));
    to.text("process.executable.path", process.exe.as_deref());
    to.text("observer.comm", process.comm.as_str());
}

fn span(start: &ColdStart, trace: TraceId, id: SpanId, name: String, ns: std::ops::Range<u64>) -> Span {
    Span {
        trace_id: trace.to_vec(),
        span_id: id.to_vec(),
        flags: FLAGS,
        name,
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: unix_ns(start.time, ns.start),
        end_time_unix_nano: unix_ns(start.time, ns.end),
        ..Span::default()
    }
}

/// Status and `error.type` of a span that failed; success leaves the status unset, as the conventions ask.
fn finish(mut span: Span, mut to: Attributes, failure: Option<&Failure>) -> Span {
    if let Some(failure) = failure {
        to.text("error.type", failure.errno.and_then(errno::name).unwrap_or("_OTHER"));
        to.text("observer.failure.call", failure.call.as_deref());
        to.text("observer.failure.object", failure.object.as_deref());
        if let Some(process) = &failure.process {
            to.int("observer.failure.pid", process.pid);
            to.text("observer.failure.comm", process.comm.as_str());
        }
        span.status = Some(Status { code: StatusCode::Error.into(), message: bounded(&failure.text) });
    }
    span.attributes = to.into_vec();
    span
}

fn milestones(start: &ColdStart) -> Vec<Event> {
    let of = &start.milestones;
    let mut events: Vec<Event> = [
        ("observer.exec", of.exec_ns, Vec::new()),
        ("observer.first_output", of.first_output_ns, Vec::new()),
        ("observer.listen", of.listen_ns, Vec::new()),
        ("observer.exit", of.exit_ns, exit_attributes(start)),
    ]
    .into_iter()
    .filter_map(|(name, ns, attributes)| {
        let time_unix_nano = unix_ns(start.time, ns?);
        Some(Event { time_unix_nano, name: name.into(), attributes, ..Event::default() })
    })
    .collect();
    events.sort_by_key(|event| event.time_unix_nano);
    events
}

fn exit_attributes(start: &ColdStart) -> Vec<KeyValue> {
    let mut to = Attributes::default();
    if let Some(exit) = &start.container.exit {
        if let Some(code) = exit.code {
            to.int("process.exit.code", code);
        }
        if let Some(signal) = exit.signal {
            to.int("observer.exit.signal", signal);
        }
        to.text("observer.exit.reason", exit.reason.as_deref());
    }
    to.into_vec()
}

/// OTLP knows no time before 1970.
pub(super) fn unix_ns(time: Wall, offset_ns: u64) -> u64 {
    u64::try_from(time.0).unwrap_or(0).saturating_add(offset_ns)
}

pub(super) fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests;
