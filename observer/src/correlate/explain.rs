//! Where the time of one trace went, and what was measured meanwhile: the slow hop, then each layer in turn. Of what
//! was not measured nothing is said but that, and why.

mod node;

use std::collections::BTreeMap;

use super::{
    LEAST_TOLERANCE_NS,
    key::{Owner, names_its_owner},
};
use crate::{
    health::{ProbeHealth, Status},
    layer::Layer,
    output::{Event, Evidence, Join, RuntimeAction, Stats, StdioOutcome, Told, What},
    span::{Span, SpanId, TraceId, hex},
    time::Wall,
};

pub use node::Measured;

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
    /// What is a number, and from when on it is not normal.
    pub measured: Option<Measured>,
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
    // By the counters of its control group, which no probe has to be there for.
    (Layer::L3, "its limit of CPU time", "process", |what| matches!(what, What::Cpu(_))),
    (Layer::L3, "starts and ends of its container", "process", |what| matches!(what, What::Runtime(_))),
];

/// In order between the machine's layer and the node.
const BLIND: (&str, &str, &str) =
    ("L-1/L-0", "hypervisor and hardware", "what else they do cannot be seen from inside of the node");

/// What of the node itself its container has met.
const OF_THE_NODE: Look =
    (Layer::Host, "calls that failed for want of room", "storage", |what| matches!(what, What::File(_)));

/// `None`: no span of the trace is there.
pub fn explain(
    trace: TraceId,
    spans: &[Span],
    noted: &[Noted],
    evidence: &[Evidence],
    node: &[Stats],
    probes: &[ProbeHealth],
) -> Option<Explanation> {
    let mut hops: Vec<Hop> = spans.iter().map(|span| hop(span, spans)).collect();
    hops.sort_by_key(|hop| (u64::MAX - hop.own_ns, hop.start, hop.id));
    let slow = spans.iter().find(|span| Some(span.id) == hops.first().map(|hop| hop.id))?;
    hops.truncate(MAX_HOPS);
    let tied = tied(trace, spans, evidence);
    let concerning =
        |(at, one): &(usize, &Noted)| concerns(one, lasts_until(one, &noted[at + 1..]), slow, &tied);
    let of_slow: Vec<&Noted> = noted.iter().enumerate().filter(concerning).map(|(_, one)| one).collect();
    let mut checked: Vec<Checked> =
        LOOKS.iter().map(|look| looked(look, slow, &of_slow, &tied, probes)).collect();
    let meanwhile: Vec<&Stats> = node.iter().filter(|stats| overlaps(stats.from, stats.to, slow)).collect();
    let (layer, what, why) = BLIND;
    let blind = Checked {
        layer,
        what,
        state: State::NotMeasured,
        why: Some(why.to_owned()),
        measured: None,
        seen: Vec::new(),
    };
    let (below, of_host): (Vec<Checked>, Vec<Checked>) =
        node::looked(&meanwhile).into_iter().partition(|checked| checked.layer != Layer::Host.name());
    checked.extend(below.into_iter().chain([blind]).chain(of_host));
    checked.push(looked(&OF_THE_NODE, slow, &of_slow, &tied, probes));
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

/// Until when what an event tells is so: a stream that nobody reads stays as it is until it is told otherwise, or its container
/// has ended.
fn lasts_until(noted: &Noted, later: &[Noted]) -> Wall {
    let What::Stdio(stream) = &noted.event.what else { return noted.event.time };
    if !matches!(stream.outcome, StdioOutcome::Blocked | StdioOutcome::ReaderGone) {
        return noted.event.time;
    }
    let instance =
        |event: &Event| event.container.as_ref().map(|container| (container.id.clone(), container.instance));
    let of = instance(&noted.event);
    let ends = |event: &Event| match &event.what {
        What::Stdio(other) => other.fd == stream.fd,
        What::Runtime(runtime) => runtime.action == RuntimeAction::Exit,
        _ => false,
    };
    let end = later.iter().map(|noted| &noted.event).find(|event| ends(event) && instance(event) == of);
    end.map_or(Wall(i64::MAX), |event| event.time)
}

/// Whether it was so during this span, and of who has sent it, or is tied to it.
fn concerns(noted: &Noted, until: Wall, slow: &Span, tied: &[Tied]) -> bool {
    let is_tied = |tied: &Tied| {
        tied.span == slow.id && matches!(&tied.of, Told::Event(event) if **event == noted.event)
    };
    if tied.iter().any(is_tied) {
        return true;
    }
    let owner = Owner::of(noted.event.container.as_ref(), noted.event.process.as_ref());
    overlaps(noted.event.began.unwrap_or(noted.event.time), until, slow)
        && owner.is_some_and(|owner| owner.has_sent(slow))
}

fn overlaps(began: Wall, ended: Wall, span: &Span) -> bool {
    let unix = |wall: Wall| u64::try_from(wall.0).unwrap_or(0);
    unix(began) <= span.end.saturating_add(LEAST_TOLERANCE_NS)
        && unix(ended).saturating_add(LEAST_TOLERANCE_NS) >= span.start
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
    Checked { layer: layer.name(), what, state, why, measured: None, seen }
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
