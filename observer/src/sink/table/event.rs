//! One line an event, a failed start or a count: when, which container, which probe, and what happened in words.

use super::{
    row,
    text::{Page, Tone, join, left, left_keeping_end},
};
use crate::{
    output::{ColdStart, Event, Evidence, Stats, Told, What},
    pipeline::event_needs_attention,
    sink::{
        timeline,
        units::{self, ms_text},
        words,
    },
    span::hex,
};

const TIME: usize = 8;
const PROBE: usize = 9;

fn name_width(page: Page) -> usize {
    ((page.width - TIME - PROBE - 3) / 3).clamp(12, 44)
}

pub(super) fn header(page: Page) -> String {
    let line =
        join(&[left("TIME", TIME), left("CONTAINER", name_width(page)), left("PROBE", PROBE), "WHAT".into()]);
    page.paint(Tone::Heading, line.trim_end()) + "\n"
}

pub(super) fn event(page: Page, event: &Event) -> String {
    let tone = match &event.what {
        _ if !event_needs_attention(event) => Tone::Plain,
        What::Memory(_) => Tone::Bad,
        What::Exec(_)
        | What::Runtime(_)
        | What::Stdio(_)
        | What::Dns(_)
        | What::Net(_)
        | What::Webhook(_)
        | What::Text(_)
        | What::Cpu(_)
        | What::File(_)
        | What::Io(_) => Tone::Warn,
    };
    let name = name(event, name_width(page));
    let time = units::time_of_day(event.time);
    lines(page, &time, &name, event.what.probe(), tone, &words::event(event))
}

/// What was told by itself before, and the spans that it belongs to.
pub(super) fn evidence(page: Page, evidence: &Evidence) -> String {
    let (time, name, what) = match &evidence.of {
        Told::Event(event) => (event.time, name(event, name_width(page)), words::event(event)),
        Told::Start(start) => {
            let name = row::name_cell(&start.container, name_width(page));
            (start.time, name, format!("started in {} ms", ms_text(start.total_ns)))
        }
    };
    let spans: Vec<String> = evidence
        .targets
        .iter()
        .map(|target| {
            let service =
                target.service.as_deref().map(|service| format!(" of {service}")).unwrap_or_default();
            format!("{}{service} in {}", target.name, hex(&target.trace))
        })
        .collect();
    let stands = if evidence.is_child { "child of" } else { "concerns" };
    let more = if evidence.left_out > 0 { format!(" and {} more", evidence.left_out) } else { String::new() };
    let text = format!("{stands} {}{more} (by {}): {what}", spans.join(", "), evidence.join.name());
    lines(page, &units::time_of_day(time), &name, "evidence", Tone::Plain, &text)
}

/// Who it is about: the container, else the process.
fn name(event: &Event, width: usize) -> String {
    match (&event.container, &event.process) {
        _ if matches!(event.what, What::Io(_)) => left("(node)", width),
        (Some(container), _) => row::name_cell(container, width),
        (None, Some(process)) => left(&units::process_text(process), width),
        (None, None) => left("?", width),
    }
}

/// For whoever sees no start but those that failed.
pub(super) fn failed_start(page: Page, start: &ColdStart) -> String {
    let Some(failure) = &start.failure else { return String::new() };
    let why = match &failure.call {
        Some(_) => format!(" in {}", timeline::failure_in_full(failure)),
        None => format!(": {}", failure.text),
    };
    let text = format!("start failed after {} ms{why}", ms_text(start.total_ns));
    let name = row::name_cell(&start.container, name_width(page));
    lines(page, &units::time_of_day(start.time), &name, "coldstart", Tone::Bad, &text)
}

pub(super) fn stats(page: Page, stats: &Stats) -> String {
    let of = |name: &str| stats.key.get(name).map(String::as_str);
    let width = name_width(page);
    let name = match (of("pod"), of("name"), of("container"), of("image")) {
        (Some(pod), Some(name), ..) if pod != name => left(&format!("{pod}/{name}"), width),
        (_, Some(name), ..) | (Some(name), None, ..) => left(name, width),
        (None, None, Some(id), _) => left(&id.chars().take(12).collect::<String>(), width),
        (None, None, None, _) if stats.node.is_some() => left("(node)", width),
        (None, None, None, image) => {
            left_keeping_end(image.or(of("client")).or(of("process")).unwrap_or("?"), width)
        }
    };
    let tone = if stats.failed > 0 { Tone::Warn } else { Tone::Plain };
    lines(page, &units::time_of_day(stats.to), &name, "stats", tone, &words::stats(stats))
}

/// On one line if it is wide enough, else on as many as the words take.
fn lines(page: Page, time: &str, name: &str, probe: &str, tone: Tone, text: &str) -> String {
    let prefix = format!("{time} {name} {} ", page.paint(tone, &left(probe, PROBE)));
    let indent = TIME + 1 + name_width(page) + 1 + PROBE + 1;
    let wrapped = page.wrapped(indent, text);
    format!("{prefix}{}", wrapped.get(indent..).unwrap_or("\n"))
}
