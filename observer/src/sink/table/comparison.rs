//! Which phase moved against earlier starts.

use super::text::{Page, Tone, join, left, right};
use crate::{
    compare::{Change, Group, MIN_STARTS, Verdict},
    sink::{
        compare::Report,
        units::{self, ms_text, signed_ms_text},
    },
};

const NAME: usize = 18;
const MS: usize = 10;

pub(super) fn table(page: Page, report: &Report) -> String {
    let title = format!("COMPARED WITH {} ({})", report.against, units::count(report.starts, "start"));
    let mut text = page.paint(Tone::Heading, page.wrapped(0, &title).trim_end()) + "\n";
    for group in &report.comparison.groups {
        text.push_str(&group_lines(page, group));
    }
    for note in notes(report) {
        text.push_str(&(page.paint(Tone::Dim, page.wrapped(0, &note).trim_end()) + "\n"));
    }
    text
}

fn group_lines(page: Page, group: &Group) -> String {
    let title = format!("{}, from {} on", group.key.image, group.key.t0.name());
    let mut text = page.wrapped(0, &title);
    let Some(change) = &group.change else {
        let why = format!(
            "{} before, {} now: not judged, {MIN_STARTS} on each side are needed",
            units::count(group.before as u64, "start"),
            group.after
        );
        return text + &page.wrapped(2, &why);
    };
    let heading = join(&[
        left("  PHASE", NAME),
        right("BEFORE p50", MS),
        right("AFTER p50", MS),
        right("DELTA ms", MS),
        right("OF DELTA", MS),
        "VERDICT".into(),
    ]);
    text.push_str(&page.paint(Tone::Dim, heading.trim_end()));
    text.push('\n');
    let total = change.total.delta_ns();
    text.push_str(&line(page, "total", &change.total, total));
    for (name, phase) in &change.phases {
        text.push_str(&line(page, name.name(), phase, total));
    }
    text
}

fn line(page: Page, name: &str, change: &Change, total: i64) -> String {
    let delta = change.delta_ns();
    let share =
        if total == 0 { "-".to_owned() } else { format!("{:.0}%", delta as f64 * 100.0 / total as f64) };
    let verdict = match change.verdict {
        Verdict::Slower => page.paint(Tone::Bad, "moved: slower"),
        Verdict::Faster => page.paint(Tone::Good, "moved: faster"),
        Verdict::Noise => page.paint(Tone::Dim, "within noise"),
    };
    join(&[
        left(&format!("  {name}"), NAME),
        right(&ms_text(change.before.p50), MS),
        right(&ms_text(change.after.p50), MS),
        right(&signed_ms_text(delta), MS),
        right(&share, MS),
        verdict,
    ])
}

fn notes(report: &Report) -> Vec<String> {
    let mut notes = vec![
        "moved: the medians differ by more than 20 % and 1 ms, and neither side's p10 to p90 explains it"
            .to_owned(),
    ];
    if report.broken_lines > 0 {
        notes.push(format!(
            "{} of {} passed over",
            units::count(report.broken_lines, "broken line"),
            report.against
        ));
    }
    let failed = report.comparison.failed_before + report.comparison.failed_after;
    if failed > 0 {
        notes.push(format!("{} not compared", units::count(failed as u64, "failed start")));
    }
    if report.left_out > 0 {
        notes.push(format!("{} beyond the bound left out", units::count(report.left_out, "start")));
    }
    notes
}
