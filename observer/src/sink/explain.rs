//! An explanation of one trace: for people, layer by layer, and as one object of JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Identity, escape,
    units::{self, ms},
    words,
};
use crate::{
    correlate::explain::{Explanation, Hop, Measured, State, Tied},
    output::{Event, Told},
    span::hex,
    time::Wall,
};

/// Writes it for people.
///
/// # Errors
/// Whatever writing says.
pub fn table(to: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    let of = |text: &str| escape::terminal(text).into_owned();
    writeln!(to, "TRACE {}: {}", hex(&explanation.trace), units::count(explanation.spans as u64, "span"))?;
    for (index, hop) in explanation.hops.iter().enumerate() {
        let title = if index == 0 { "slow hop" } else { "        " };
        let service =
            hop.service.as_deref().map(|service| format!(" of {}", of(service))).unwrap_or_default();
        let (own, all) = (units::ms_text(hop.own_ns), units::ms_text(hop.duration_ns));
        writeln!(to, "{title}  {own} ms by itself, {all} ms in all: {}{service}", of(&hop.name))?;
    }
    writeln!(to, "\nDURING THE SLOW HOP")?;
    for checked in &explanation.checked {
        let why = checked.why.as_deref().map(|why| format!(" ({})", of(why))).unwrap_or_default();
        let measured = checked.measured.map_or_else(String::new, |Measured { value, unit, threshold }| {
            format!(": {value:.1} {unit}, normal up to {threshold} {unit}")
        });
        let state = match checked.state {
            State::Ok if checked.measured.is_some() => "ok",
            State::Ok => "nothing wrong was seen",
            State::Abnormal => "ABNORMAL",
            State::NotMeasured => "not measured",
        };
        writeln!(to, "{:<8} {:<37} {state}{measured}{why}", checked.layer, checked.what)?;
        for event in &checked.seen {
            writeln!(to, "         - {} {}", units::time_of_day(event.time), words::event(event))?;
        }
    }
    if !explanation.evidence.is_empty() {
        writeln!(to, "\nTIED TO SPANS OF THIS TRACE")?;
    }
    for tied in &explanation.evidence {
        let what = match &tied.of {
            Told::Event(event) => words::event(event),
            Told::Start(start) => format!("a container started in {} ms", units::ms_text(start.total_ns)),
        };
        writeln!(to, "{} (by {}): {what}", of(&tied.span_name), tied.join.name())?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Json<'a> {
    r#type: &'static str,
    time: String,
    node: Option<&'a str>,
    host: &'a str,
    trace_id: String,
    spans: usize,
    hops: Vec<HopJson<'a>>,
    checked: Vec<CheckedJson<'a>>,
    evidence: Vec<TiedJson<'a>>,
}

#[derive(Serialize)]
struct HopJson<'a> {
    span_id: String,
    name: &'a str,
    service: Option<&'a str>,
    start: String,
    duration_ms: f64,
    own_ms: f64,
}

#[derive(Serialize)]
struct CheckedJson<'a> {
    layer: &'static str,
    what: &'static str,
    state: &'static str,
    why: Option<&'a str>,
    /// All three are null where what was seen is no number.
    value: Option<f64>,
    unit: Option<&'static str>,
    threshold: Option<f64>,
    seen: Vec<SeenJson>,
}

#[derive(Serialize)]
struct SeenJson {
    time: String,
    probe: &'static str,
    text: String,
}

#[derive(Serialize)]
struct TiedJson<'a> {
    span_id: String,
    span: &'a str,
    join: &'static str,
    #[serde(flatten)]
    seen: SeenJson,
}

/// Writes it as one line of JSON.
///
/// # Errors
/// Whatever writing says.
pub fn json(to: &mut impl Write, explanation: &Explanation, identity: &Identity) -> io::Result<()> {
    let time = explanation.hops.first().map_or(Wall(0), |hop| wall(hop.start));
    let body = Json {
        r#type: "explanation",
        time: units::rfc3339(time),
        node: identity.node.as_deref(),
        host: &identity.host,
        trace_id: hex(&explanation.trace),
        spans: explanation.spans,
        hops: explanation.hops.iter().map(hop).collect(),
        checked: explanation
            .checked
            .iter()
            .map(|checked| CheckedJson {
                layer: checked.layer,
                what: checked.what,
                state: checked.state.name(),
                why: checked.why.as_deref(),
                value: checked.measured.map(|measured| measured.value),
                unit: checked.measured.map(|measured| measured.unit),
                threshold: checked.measured.map(|measured| measured.threshold),
                seen: checked.seen.iter().map(seen).collect(),
            })
            .collect(),
        evidence: explanation.evidence.iter().map(tied).collect(),
    };
    let mut line = super::json::to_vec(&body)?;
    line.push(b'\n');
    to.write_all(&line)
}

fn wall(unix: u64) -> Wall {
    Wall(i64::try_from(unix).unwrap_or(i64::MAX))
}

fn hop(hop: &Hop) -> HopJson<'_> {
    HopJson {
        span_id: hex(&hop.id),
        name: &hop.name,
        service: hop.service.as_deref(),
        start: units::rfc3339(wall(hop.start)),
        duration_ms: ms(hop.duration_ns),
        own_ms: ms(hop.own_ns),
    }
}

fn seen(event: &Event) -> SeenJson {
    SeenJson { time: units::rfc3339(event.time), probe: event.what.probe(), text: words::event(event) }
}

fn tied(tied: &Tied) -> TiedJson<'_> {
    let seen = match &tied.of {
        Told::Event(event) => seen(event),
        Told::Start(start) => SeenJson {
            time: units::rfc3339(start.time),
            probe: "coldstart",
            text: format!("a container started in {} ms", units::ms_text(start.total_ns)),
        },
    };
    TiedJson { span_id: hex(&tied.span), span: &tied.span_name, join: tied.join.name(), seen }
}
