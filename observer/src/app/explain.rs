//! `observer explain`: one trace, from a recording.

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{Usage, answers, exit, replay};
use crate::{
    cli,
    correlate::explain::{Noted, explain},
    health::ProbeHealth,
    input::{End, EndReason, Fact, FactKind, Input},
    output::{Evidence, Output, Stats},
    pipeline::{Pipeline, Relation, event_needs_attention},
    sink::{self, Identity, is_broken_pipe},
    span::{self, Span, TraceId},
};

/// Spans of one trace.
const MAX_SPANS: usize = 10_000;
/// Events of the time that the trace took.
const MAX_EVENTS: usize = 100_000;
/// As short as what is sampled of the node: longer ones would tell of more than the trace.
const SAMPLED_NS: u64 = 1_000_000_000;
/// What is told later than it was: look-ups and calls without an answer.
const LATER_NS: i64 = 60_000_000_000;

/// Runs the command and gives its exit code.
///
/// # Errors
/// The recording cannot be read, or holds no span of the trace.
pub fn run(args: &cli::Explain) -> Result<i32> {
    let Some(trace) = span::trace_id(&args.trace) else {
        let why = format!("{:?} is not a trace id: it has 32 hexadecimal digits, not all zero", args.trace);
        return Err(Usage(why).into());
    };
    let path = answers::recording(args.from.as_deref(), &args.service)?;
    let spans = spans(&path, trace, args.last)?;
    if spans.is_empty() {
        let why = format!(
            "{} holds no span of trace {}: were its spans sent to --otlp-listen of that run?",
            path.display(),
            args.trace
        );
        anyhow::bail!(why);
    }
    let seen = seen(&path, &spans, args.last)?;
    let explanation = explain(trace, &spans, &seen.noted, &seen.evidence, &seen.node, &seen.probes)
        .context("the trace has no spans")?;
    let mut out = io::stdout().lock();
    let written = match args.print.format {
        cli::Format::Table => sink::explain::table(&mut out, &explanation),
        cli::Format::Json => sink::explain::json(&mut out, &explanation, &seen.identity),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if !is_broken_pipe(&error) => Err(error).context("cannot write the output"),
        _ => Ok(exit::RAN),
    }
}

fn spans(path: &Path, trace: TraceId, last: Option<Duration>) -> Result<Vec<Span>> {
    let of_trace = |input| match input {
        Input::Span(span) if span.trace == trace => Some(*span),
        _ => None,
    };
    let (mut reader, _) = replay::open(path, last)?;
    let mut spans: Vec<Span> = (&mut reader).filter_map(of_trace).take(MAX_SPANS).collect();
    spans.sort_by_key(|span| (span.start, span.id));
    spans.dedup_by_key(|span| span.id);
    Ok(spans)
}

struct Seen {
    noted: Vec<Noted>,
    evidence: Vec<Evidence>,
    /// Of the node, by intervals.
    node: Vec<Stats>,
    probes: Vec<ProbeHealth>,
    identity: Identity,
}

/// What was seen while these spans were under way.
fn seen(path: &Path, spans: &[Span], last: Option<Duration>) -> Result<Seen> {
    let (mut reader, _) = replay::open(path, last)?;
    let header = reader.header().header.clone();
    let mut settings = replay::recorded_settings(&header)?;
    settings.evidence = Relation::Child;
    settings.stats_interval_ns = SAMPLED_NS;
    let mut pipeline = Pipeline::new(settings);
    let wall = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    let from = spans.iter().map(|span| wall(span.start)).min().unwrap_or(0);
    let to = spans.iter().map(|span| wall(span.end)).max().unwrap_or(0).saturating_add(LATER_NS);
    let identity = Identity { node: header.node.clone(), host: header.host.clone() };
    let mut seen =
        Seen { noted: Vec::new(), evidence: Vec::new(), node: Vec::new(), probes: Vec::new(), identity };
    let mut take = |output| match output {
        Output::Event(event) if (from..=to).contains(&event.time.0) && seen.noted.len() < MAX_EVENTS => {
            let is_abnormal = event_needs_attention(&event);
            seen.noted.push(Noted { event: *event, is_abnormal });
        }
        Output::Evidence(evidence) if seen.evidence.len() < MAX_EVENTS => seen.evidence.push(*evidence),
        Output::Stats(stats)
            if stats.node.is_some()
                && stats.to.0 >= from
                && stats.from.0 <= to
                && seen.node.len() < MAX_EVENTS =>
        {
            seen.node.push(stats);
        }
        Output::Health(health) => seen.probes = health.probes,
        _ => {}
    };
    let mut last = reader.header().begins;
    let mut ended = false;
    for input in &mut reader {
        last = last.max(input.time());
        ended = matches!(&input, Input::Fact(Fact { what: FactKind::End(_), .. }));
        pipeline.step(&input, &mut take);
    }
    if !ended {
        let end = FactKind::End(End { why: EndReason::Interrupted, command_exit: None });
        pipeline.step(&Input::Fact(Fact { time: last, what: end }), &mut take);
    }
    Ok(seen)
}
