//! Findings with their evidence, what is not proven, and what happened when.

use super::{
    Content,
    markup::{note, section, table, text},
};
use crate::{
    output::{CheckState, Finding, FindingStatus, Grade, Proof, Unproven},
    sink::{
        story::{Line, subject},
        units,
        words::checks::{checks, none_found},
    },
};

pub(super) fn findings(content: &Content) -> String {
    let Some(found) = content.summary.as_ref().and_then(|summary| summary.found.as_ref()) else {
        return String::new();
    };
    let all = content.story.findings();
    let blocks: String = all.iter().map(|finding| block(finding)).collect();
    let html = if all.is_empty() { note(&format!("{}.", text(&none_found(&found.checked)))) } else { blocks };
    let unproven: String = content.story.unproven().iter().map(not_proven).collect();
    let mut page = section("findings", "Findings", &html);
    if !unproven.is_empty() {
        page.push_str(&section("unproven", "Not proven", &unproven));
    }
    page
}

fn block(finding: &Finding) -> String {
    let (class, grade) = match (finding.status, finding.grade) {
        (FindingStatus::Resolved, _) => ("good", "resolved"),
        (_, Grade::Proved) => ("bad", "proved"),
        (_, Grade::Likely) => ("warn", "likely"),
    };
    let slice = finding.slice.as_deref().map(|slice| format!(" {slice}")).unwrap_or_default();
    let times = units::count(finding.count, "time");
    let note = finding.confidence_note.as_ref();
    let note = note.map(|note| format!("<dt>But</dt><dd>{}</dd>", text(note))).unwrap_or_default();
    let normal = checks(&finding.checked, CheckState::Ok);
    let unmeasured = checks(&finding.checked, CheckState::NotMeasured);
    format!(
        "<article class=\"finding {class}\">\n<h3><b class=\"{class}\">{grade}</b> {severity} {layer}{slice} \
         {id} / {cause}</h3>\n<p>{title}: {why}</p>\n<p class=\"note\">{who}, {times}, {first} to {last} UTC</p>\n\
         {evidence}<dl class=\"do\"><dt>Normal</dt><dd>{normal}</dd><dt>Not measured</dt><dd>{unmeasured}</dd>{note}\
         <dt>Do</dt><dd>{remedy}</dd><dt>Verify</dt><dd><code>{verify}</code></dd></dl>\n</article>\n",
        severity = finding.severity,
        layer = finding.layer.name(),
        slice = text(&slice),
        id = text(&finding.id),
        cause = text(&finding.cause),
        title = text(&finding.title.en),
        why = text(&finding.cause_title.en),
        who = text(&subject(&finding.subject)),
        first = units::time_of_day(finding.first_seen),
        last = units::time_of_day(finding.last_seen),
        evidence = evidence(&finding.evidence),
        normal = text(&normal),
        unmeasured = text(&unmeasured),
        remedy = text(&finding.remedy.en),
        verify = text(&finding.verify),
    )
}

fn not_proven(unproven: &Unproven) -> String {
    let missing: String = unproven
        .missing
        .iter()
        .map(|missing| format!("<li>{}: {}</li>", text(&missing.what), text(&missing.why)))
        .collect();
    format!(
        "<article class=\"finding\">\n<h3>{}: {}</h3>\n<p class=\"note\">{}</p>\n{}<ul>{missing}</ul>\n</article>\n",
        text(&unproven.id),
        text(&unproven.title.en),
        text(&subject(&unproven.subject)),
        evidence(&unproven.seen)
    )
}

fn evidence(all: &[Proof]) -> String {
    let row = |evidence: &Proof| {
        format!(
            "<tr><td class=\"t\">{}</td><td>{}</td><td>{}</td></tr>\n",
            units::time_of_day(evidence.time),
            evidence.probe,
            text(&evidence.text)
        )
    };
    let rows: String = all.iter().map(row).collect();
    if rows.is_empty() { rows } else { table("evidence", "Proof", &["Time", "Probe", "Seen"], &rows) }
}

pub(super) fn timeline(content: &Content) -> String {
    if content.summary.as_ref().is_none_or(|summary| summary.found.is_none()) {
        return String::new();
    }
    let row = |line: &Line| {
        let what = text(&line.what);
        let what = if line.is_finding { format!("<b>{what}</b>") } else { what };
        format!(
            "<tr><td class=\"t\">{}</td><th scope=\"row\">{}</th><td>{what}</td></tr>\n",
            units::time_of_day(line.time),
            text(&line.who)
        )
    };
    let rows: String = content.story.lines().map(row).collect();
    if rows.is_empty() {
        return rows;
    }
    let mut html = table("timeline", "What happened when", &["Time", "Who", "What"], &rows);
    if content.story.left_out > 0 {
        html.push_str(&note(&format!("{} more in between are left out.", content.story.left_out)));
    }
    section("timeline", "Timeline", &html)
}
