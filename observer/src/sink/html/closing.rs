//! What the numbers rest on: losses, what was not measured, the probes.

use super::{
    Content,
    markup::{note, section, table, text},
};
use crate::{
    health::{ProbeHealth, Status},
    output::NotMeasured,
    sink::units,
};

/// What a reader must know before believing anything below.
pub(super) fn caveats(content: &Content) -> String {
    let lost = content.shown.iter().filter(|start| start.lost > 0).count() as u64;
    if lost == 0 {
        return String::new();
    }
    let starts = units::count(lost, "start");
    format!(
        "<p class=\"failure\"><b>Records were lost during {starts}.</b> \
         A phase of these may be missing or too long.</p>\n"
    )
}

pub(super) fn not_measured(content: &Content) -> String {
    let Some(summary) = &content.summary else {
        return String::new();
    };
    if summary.not_measured.is_empty() {
        return section("gaps", "Not measured", &note("Everything that was asked for was measured."));
    }
    let row = |entry: &NotMeasured| {
        format!(
            "<tr><td>{}</td><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
            entry.layer.name(),
            text(&entry.what),
            text(&entry.why),
            entry.how.as_deref().map(text).unwrap_or_default()
        )
    };
    let rows: String = summary.not_measured.iter().map(row).collect();
    let heads = ["Layer", "What", "Why", "How it could be"];
    section("gaps", "Not measured", &table("gaps", "What was not measured", &heads, &rows))
}

pub(super) fn probes(content: &Content) -> String {
    let Some(health) = &content.health else {
        return String::new();
    };
    let rows: String = health.probes.iter().map(probe_row).collect();
    let heads = ["Probe", "Status", "Hook", "Why no better", "#Records", "#Lost"];
    let mut html = table("probes", "State of the probes", &heads, &rows);
    let cpu = health.cpu_percent.map(|cpu| format!("{cpu:.2} % of a CPU"));
    let rss = health.own.map(|own| units::bytes_text(own.rss_bytes));
    let own: Vec<String> = [cpu, rss].into_iter().flatten().collect();
    let own = if own.is_empty() { "not measured".to_owned() } else { own.join(", ") };
    html.push_str(&note(&format!("The observer's own cost: {own}.")));
    section("probes", "Probes", &html)
}

fn probe_row(probe: &ProbeHealth) -> String {
    let class = match probe.status {
        Status::Attached => "good",
        Status::Failed => "bad",
        Status::Degraded | Status::Shed => "warn",
        Status::Off | Status::NotApplicable | Status::Waiting => "",
    };
    let lost = if probe.lost > 0 { " bad" } else { "" };
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"{class}\">{}</td><td>{}</td><td>{}</td>\
         <td class=\"n\">{}</td><td class=\"n{lost}\">{}</td></tr>\n",
        text(probe.name),
        probe.status.name(),
        probe.hook.as_deref().map(text).unwrap_or_default(),
        probe.why.as_deref().map(text).unwrap_or_default(),
        probe.records,
        probe.lost
    )
}
