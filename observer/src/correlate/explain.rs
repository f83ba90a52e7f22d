//! Where the time of one trace went, and what was measured meanwhile: the slow hop, then each layer in turn. Of what
//! was not measured nothing is said but that, and why.

use std::collections::BTreeMap;

use super::{
    LEAST_TOLERANCE_NS,
    key::{Owner, names_its_owner},
};
use crate::{
    health::{ProbeHealth, Status},
    layer::Layer,
    output::{Event, Evidence, Join, Told, What},
    span::{Span, SpanId, TraceId, hex},
};

/// Spans told, those that took longest by themselves.
const MAX_HOPS: usize = 5;

/// An event of the run, and whether it needs attention.
#[derive(Clone, Debug)]
pub struct Noted {
    pub event: Event,
    pub is_abnormal: bool,
}

#[derive(Clone, Debug)]
pub struct Explanation {
    pub trace: TraceId,
    pub spans: usize,
    /// Slowest first, by what each took by itself.
    pub hops: Vec<Hop>,
    pub checked: Vec<Checked>,
    /// What was tied to spans of this trace.
    pub evidence: Vec<Tied>,
}

#[derive(Clone, Debug)]
pub struct Hop {
    pub id: SpanId,
    pub name: String,
    pub service: Option<String>,
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    pub duration_ns: u64,
    /// Without the time of its children.
    pub own_ns: u64,
}

/// What was looked at during the slow hop.
#[derive(Clone, Debug)]
pub struct Checked {
    pub layer: &'static str,
    pub what: &'static str,
    pub state: State,
    /// Why it was not measured, or for whom it was.
    pub why: Option<String>,
    pub seen: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    Abnormal,
    NotMeasured,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Abnormal => "abnormal",
            State::NotMeasured => "not-measured",
        }
    }
}

/// Evidence, and the span of this trace that it belongs to.
#[derive(Clone, Debug)]
pub struct Tied {
    pub span: SpanId,
    pub span_name: String,
    pub join: Join,
    pub of: Told,
}

/// What is looked at, layer by layer: by which probe, and whether an event is of it.
type Look = (Layer, &'static str, &'static str, fn(&What) -> bool);

const LOOKS: &[Look] = &[
    (Layer::L4, "traps, faults and memory", "fault", |what| matches!(what, What::Memory(_))),
    (Layer::L4, "standard streams", "stdio", |what| matches!(what, What::Stdio(_))),
    (Layer::L3, "look-ups of names", "dns", |what| matches!(what, What::Dns(_))),
    (Layer::L3, "connections", "net", |what| matches!(what, What::Net(_))),
    (Layer::L3, "calls of webhooks", "webhook", |what| matches!(what, What::Webhook(_))),
    (Layer::L3, "starts and ends of its container", "process", |what| matches!(what, What::Runtime(_))),
];

/// Layers that no probe of this version looks at.
const BLIND: &[(&str, &str, &str)] = &[
    ("L-2", "paravirtual devices", "no probe looks at them"),
    ("L-1/L-0", "hypervisor and hardware", "they cannot be seen from inside of the node"),
    ("host", "CPU, memory and disks of the node", "no event of this version tells of them"),
];

/// `None`: no span of the trace is there.
pub fn explain(
    trace: TraceId,
    spans: &[Span],
    noted: &[Noted],
    evidence: &[Evidence],
    probes: &[ProbeHealth],
) -> Option<Explanation> {
    let mut hops: Vec<Hop> = spans.iter().map(|span| hop(span, spans)).collect();
    hops.sort_by_key(|hop| (u64::MAX - hop.own_ns, hop.start, hop.id));
    let slow = spans.iter().find(|span| Some(span.id) == hops.first().map(|hop| hop.id))?;
    hops.truncate(MAX_HOPS);
    let tied = tied(trace, spans, evidence);
    let of_slow: Vec<&Noted> = noted.iter().filter(|noted| concerns(noted, slow, &tied)).collect();
    let mut checked: Vec<Checked> =
        LOOKS.iter().map(|look| looked(look, slow, &of_slow, &tied, probes)).collect();
    checked.extend(BLIND.iter().map(|(layer, what, why)| Checked {
        layer,
        what,
        state: State::NotMeasured,
        why: Some((*why).to_owned()),
        seen: Vec::new(),
    }));
    Some(Explanation { trace, spans: spans.len(), hops, checked, evidence: tied })
}

fn hop(span: &Span, spans: &[Span]) -> Hop {
    let mut children: Vec<(u64, u64)> = spans
        .iter()
        .filter(|child| child.parent == Some(span.id) && child.id != span.id)
        .map(|child| (child.start.max(span.start), child.end.min(span.end)))
        .filter(|(start, end)| start < end)
        .collect();
    children.sort_unstable();
    let (mut covered, mut until) = (0, 0);
    for (start, end) in children {
        covered += end.saturating_sub(start.max(until));
        until = until.max(end);
    }
    Hop {
        id: span.id,
        name: span.name.clone(),
        service: span.service.clone(),
        start: span.start,
        duration_ns: span.duration_ns(),
        own_ns: span.duration_ns().saturating_sub(covered),
    }
}

fn tied(trace: TraceId, spans: &[Span], evidence: &[Evidence]) -> Vec<Tied> {
    let names: BTreeMap<SpanId, &str> = spans.iter().map(|span| (span.id, span.name.as_str())).collect();
    let of = |evidence: &Evidence| {
        let target = evidence.targets.iter().find(|target| target.trace == trace)?;
        Some(Tied {
            span: target.span,
            span_name: names.get(&target.span).copied().unwrap_or(&target.name).to_owned(),
            join: evidence.join,
            of: evidence.of.clone(),
        })
    };
    evidence.iter().filter_map(of).collect()
}

/// Whether it was during this span, and of who has sent it, or is tied to it.
fn concerns(noted: &Noted, slow: &Span, tied: &[Tied]) -> bool {
    let is_tied = |tied: &Tied| {
        tied.span == slow.id && matches!(&tied.of, Told::Event(event) if **event == noted.event)
    };
    if tied.iter().any(is_tied) {
        return true;
    }
    let unix = |ns: i64| u64::try_from(ns).unwrap_or(0);
    let ended = unix(noted.event.time.0);
    let began = noted.event.began.map_or(ended, |began| unix(began.0));
    let overlaps = began <= slow.end.saturating_add(LEAST_TOLERANCE_NS)
        && ended.saturating_add(LEAST_TOLERANCE_NS) >= slow.start;
    let owner = Owner::of(noted.event.container.as_ref(), noted.event.process.as_ref());
    overlaps && owner.is_some_and(|owner| owner.has_sent(slow))
}

fn looked(
    (layer, what, probe, is_of): &Look,
    slow: &Span,
    of_slow: &[&Noted],
    tied: &[Tied],
    probes: &[ProbeHealth],
) -> Checked {
    let seen: Vec<&&Noted> = of_slow.iter().filter(|noted| is_of(&noted.event.what)).collect();
    let lack = lack(probe, probes);
    let is_known = names_its_owner(slow) || tied.iter().any(|tied| tied.span == slow.id);
    let (state, why) = match (seen.iter().any(|noted| noted.is_abnormal), lack) {
        (true, lack) => (State::Abnormal, lack),
        (false, Some(why)) => (State::NotMeasured, Some(why)),
        (false, None) if !is_known => {
            let why = format!("span {} names neither its container nor its process", hex(&slow.id));
            (State::NotMeasured, Some(why))
        }
        (false, None) => (State::Ok, None),
    };
    let seen = seen.into_iter().map(|noted| noted.event.clone()).collect();
    Checked { layer: layer.name(), what, state, why, seen }
}

/// Why this probe cannot vouch for nothing having happened.
fn lack(name: &str, probes: &[ProbeHealth]) -> Option<String> {
    let Some(probe) = probes.iter().find(|probe| probe.name == name) else {
        return Some(format!("probe {name} was not used"));
    };
    match probe.status {
        Status::Attached | Status::Waiting if probe.lost == 0 => None,
        Status::Attached | Status::Waiting => Some(format!("probe {name} lost {} records", probe.lost)),
        other => {
            let why = probe.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            Some(format!("probe {name} is {}{why}", other.name()))
        }
    }
}
