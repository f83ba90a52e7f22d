//! What a run ends with: failures in full, probes, the summary.

use std::collections::BTreeMap;

use super::text::{Page, Tone, columns, join, left, right};
use crate::{
    health::{OtlpCounts, ProbeHealth, Status},
    output::{ColdStart, Health, Summary},
    pipeline::is_a_problem,
    sink::{
        timeline,
        units::{self, date_time},
        words::checks::none_found,
    },
};

pub(super) fn failures(page: Page, failed: &[ColdStart], count: u64) -> String {
    let mut text = page.paint(Tone::Heading, "FAILED STARTS") + "\n";
    for start in failed {
        let Some(failure) = &start.failure else { continue };
        let name = timeline::full_name(&start.container);
        let line =
            format!("{} {name}: {}", units::time_of_day(start.time), timeline::failure_in_full(failure));
        text.push_str(&page.wrapped(0, &line));
        text.push_str(&page.wrapped(2, &failure.text));
    }
    if count > failed.len() as u64 {
        text.push_str(&format!("and {} more: -o json has every start\n", count - failed.len() as u64));
    }
    text
}

const NAME: usize = 10;
const STATUS: usize = 14;
const COUNT: usize = 9;

/// All probes, or those that give less than they should, if there are any.
pub(super) fn health(page: Page, health: &Health, all: bool) -> Option<String> {
    let probes: Vec<&ProbeHealth> = health.probes.iter().filter(|probe| all || is_a_problem(probe)).collect();
    if probes.is_empty() && !all {
        return None;
    }
    let rest = page.width - NAME - STATUS - 2 * COUNT - 4;
    let heading = join(&[
        left("PROBE", NAME),
        left("STATUS", STATUS),
        right("RECORDS", COUNT),
        right("LOST", COUNT),
        left("HOOK, AND WHY NO BETTER", rest),
    ]);
    let mut text = page.paint(Tone::Heading, heading.trim_end()) + "\n";
    for probe in probes {
        text.push_str(&probe_lines(page, probe, rest));
    }
    text.push_str(&page.paint(Tone::Dim, page.wrapped(0, &own_cost(health)).trim_end()));
    text.push('\n');
    Some(text)
}

fn probe_lines(page: Page, probe: &ProbeHealth, rest: usize) -> String {
    let tone = match probe.status {
        Status::Attached => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Degraded | Status::Shed => Tone::Warn,
        Status::Off | Status::NotApplicable | Status::Waiting => Tone::Dim,
    };
    let lost = if probe.lost > 0 { Tone::Bad } else { Tone::Plain };
    let hook = probe.hook.as_deref().unwrap_or("");
    let why = probe.why.as_deref().unwrap_or("");
    let both = [hook, why].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    let fits = columns(&both) <= rest;
    let mut text = join(&[
        left(probe.name, NAME),
        page.paint(tone, &left(probe.status.name(), STATUS)),
        right(&probe.records.to_string(), COUNT),
        page.paint(lost, &right(&probe.lost.to_string(), COUNT)),
        if fits { left(&both, rest) } else { String::new() },
    ]);
    if !fits {
        text.push_str(&page.wrapped(NAME + 1, &both));
    }
    text
}

fn own_cost(health: &Health) -> String {
    let cpu = health.cpu_percent.map_or("CPU not measured".into(), |cpu| format!("{cpu:.2} % of a CPU"));
    let rss = health.own.map_or("memory not measured".into(), |own| units::bytes_text(own.rss_bytes));
    let bpf = health.own.and_then(|own| own.bpf_run_ns);
    let bpf = bpf.map_or("not counted by the kernel".into(), |ns| format!("{} ms", units::ms_text(ns)));
    format!("observer itself: {cpu}, {rss}, kernel programs {bpf}")
}

pub(super) fn summary(page: Page, summary: &Summary, health: Option<&Health>, with_loss: u64) -> String {
    let mut text = page.paint(Tone::Heading, "SUMMARY") + "\n";
    let seconds = summary.to.0.saturating_sub(summary.from.0) as f64 / 1e9;
    let when =
        format!("{} to {} UTC ({seconds:.1} s)", date_time(summary.from), units::time_of_day(summary.to));
    text.push_str(&page.wrapped(0, &when));
    let starts = match (summary.starts, summary.failed_starts) {
        (0, _) => "No starts seen".to_owned(),
        (starts, 0) => units::count(starts, "start"),
        (starts, failed) => format!("{}, {failed} of them failed", units::count(starts, "start")),
    };
    let containers = units::count(summary.containers, "container");
    let lost = units::count(summary.lost, "record");
    let events = summary.events.as_ref().map(events).unwrap_or_default();
    let seen = format!("{starts}; {containers} known; {events}{lost} lost; watched: {}", summary.scope);
    text.push_str(&page.wrapped(0, &seen));
    if with_loss > 0 {
        let starts = units::count(with_loss, "start");
        let note = format!("{starts} with losses: a phase of these may be missing or too long");
        text.push_str(&(page.paint(Tone::Warn, page.wrapped(0, &note).trim_end()) + "\n"));
    }
    if let Some(status) = summary.command_exit {
        let end = if status < 0 { "was ended by signal" } else { "exited with" };
        text.push_str(&format!("the command {end} {}\n", status.unsigned_abs()));
    }
    text.push_str(&found(page, summary));
    if let Some(counts) = &summary.otlp {
        text.push_str(&page.wrapped(0, &otlp(counts)));
    }
    if summary.starts == 0 {
        text.push_str(&page.wrapped(0, &probes_in_short(health)));
    }
    text.push_str(&not_measured(page, summary));
    text
}

/// How many findings there were; none only together with what was looked at.
fn found(page: Page, summary: &Summary) -> String {
    let Some(found) = &summary.found else { return String::new() };
    let unproven = units::count(found.unproven, "symptom");
    if found.proved + found.likely + found.unproven > 0 {
        let (proved, likely) = (found.proved, found.likely);
        return page
            .wrapped(0, &format!("findings: {proved} proved, {likely} likely; {unproven} not proven"));
    }
    page.wrapped(0, &none_found(&found.checked))
}

/// What became of the telemetry of others; what is as it should be is not told.
fn otlp(counts: &OtlpCounts) -> String {
    let mut said = vec![format!(
        "received {}, {}, {}",
        units::count(counts.received_spans, "span"),
        units::count(counts.received_logs, "log record"),
        units::count(counts.received_metrics, "metric"),
    )];
    let rest = [
        (counts.rejected, "not understood"),
        (counts.own, "observer's own"),
        (counts.seen_before, "seen before"),
        (counts.refused_requests, "requests to be sent again"),
        (counts.refused_connections, "connections refused"),
        (counts.silent_connections, "connections that said nothing"),
        (counts.failed_handshakes, "connections without TLS, or the right certificate"),
        (counts.unauthorized_requests, "requests without the token"),
    ];
    let passed_on = [
        (counts.resumed, "left by an earlier run"),
        (counts.waiting, "waiting for the collector"),
        (counts.waiting_in_memory, "of them in memory alone"),
        (counts.dropped, "dropped"),
    ];
    let told = |(count, what): (u64, &str)| (count > 0).then(|| format!("{count} {what}"));
    said.extend(rest.into_iter().filter_map(told));
    if counts.forwards {
        said.push(format!("{} passed on", counts.forwarded));
        said.extend(passed_on.into_iter().filter_map(told));
    }
    format!("otlp: {}", said.join("; "))
}

/// `7 events (5 runtime, 2 stdio); `.
fn events(by_probe: &BTreeMap<&str, u64>) -> String {
    let each: Vec<String> = by_probe.iter().map(|(probe, count)| format!("{count} {probe}")).collect();
    let each = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
    format!("{}{each}; ", units::count(by_probe.values().sum(), "event"))
}

/// What could have been seen: without it, nothing seen says nothing.
fn probes_in_short(health: Option<&Health>) -> String {
    let Some(health) = health else {
        return "it is not known which probes were attached".into();
    };
    let names = |attached: bool| {
        let probes = health.probes.iter().filter(|probe| (probe.status == Status::Attached) == attached);
        let names: Vec<&str> = probes.map(|probe| probe.name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    format!("probes that watched: {}; that did not, or only in part: {}", names(true), names(false))
}

fn not_measured(page: Page, summary: &Summary) -> String {
    if summary.not_measured.is_empty() {
        return "not measured: nothing that was asked for\n".into();
    }
    let mut text = "not measured:\n".to_owned();
    for entry in &summary.not_measured {
        let how = entry.how.as_ref().map(|how| format!(" ({how})")).unwrap_or_default();
        let line = format!("{} {}: {}{how}", entry.layer.name(), entry.what, entry.why);
        text.push_str(&page.wrapped(2, &line));
    }
    text
}
