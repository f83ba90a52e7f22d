//! Percentiles, and what moved against earlier starts.

use super::{
    Content,
    markup::{note, section, table, text},
    page,
};
use crate::{
    compare::{Change, MIN_STARTS, Spread, Verdict},
    sink::{
        compare::Report,
        group::{Group, groups},
        units::{self, ms_text, signed_ms_text},
    },
};

/// Groups shown, the slowest first.
const GROUPS: usize = 50;

pub(super) fn percentiles(content: &Content) -> String {
    let all = groups(content.samples.kept(), content.group_by);
    if all.is_empty() {
        return String::new();
    }
    let rows: String = all.iter().take(GROUPS).map(group_rows).collect();
    let by = content.group_by.name();
    let title = format!("Percentiles by {by}");
    let group = format!("{}{}, phase", by[..1].to_uppercase(), &by[1..]);
    let heads = [group.as_str(), "From", "#Starts", "#p50 ms", "#p90 ms", "#max ms"];
    let mut html = table("percentiles", &title, &heads, &rows);
    let mut notes = vec![
        "Nearest rank. Failed starts are left out; a phase's are over the starts that have it.".to_owned(),
    ];
    if all.len() > GROUPS {
        notes.push(format!("{} more groups are not shown.", all.len() - GROUPS));
    }
    notes.extend(page::beyond(content));
    html.push_str(&note(&notes.join(" ")));
    section("percentiles", &title, &html)
}

fn group_rows(group: &Group) -> String {
    let failed = if group.failed > 0 {
        format!(" <small class=\"bad\">{} failed</small>", group.failed)
    } else {
        String::new()
    };
    let name = format!("{}{failed}", text(&group.key));
    let mut rows = spread_row("group", &name, group.t0.name(), group.starts(), group.total.as_ref());
    for (name, spread) in &group.phases {
        rows.push_str(&spread_row("phase", name.name(), "", spread.count, Some(spread)));
    }
    rows
}

fn spread_row(class: &str, html: &str, t0: &str, count: usize, spread: Option<&Spread>) -> String {
    let ms = |value: fn(&Spread) -> u64| spread.map_or("–".to_owned(), |spread| ms_text(value(spread)));
    format!(
        "<tr class=\"{class}\"><th scope=\"row\">{html}</th><td>{t0}</td><td class=\"n\">{count}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        ms(|spread| spread.p50),
        ms(|spread| spread.p90),
        ms(|spread| spread.max),
    )
}

pub(super) fn comparison(report: &Report) -> String {
    let mut rows = String::new();
    for group in &report.comparison.groups {
        let title = format!("{} <small>from {} on</small>", text(&group.key.image), group.key.t0.name());
        let Some(change) = &group.change else {
            rows.push_str(&format!(
                "<tr class=\"group\"><th scope=\"row\">{title}</th><td colspan=\"4\">{} before, {} now: not judged, \
                 {MIN_STARTS} on each side are needed</td></tr>\n",
                units::count(group.before as u64, "start"),
                group.after
            ));
            continue;
        };
        rows.push_str(&change_row("group", &title, &change.total));
        for (name, phase) in &change.phases {
            rows.push_str(&change_row("phase", name.name(), phase));
        }
    }
    let caption = format!("Compared with {}, {}", report.against, units::count(report.starts, "start"));
    let heads = ["Image, phase", "#Before p50 ms", "#After p50 ms", "#Delta ms", "Verdict"];
    let mut html = table("moved", &caption, &heads, &rows);
    let mut notes = vec![
        format!("Compared with {} ({}).", text(&report.against), units::count(report.starts, "start")),
        "Moved: the medians differ by more than 20 % and 1 ms, and neither side's p10 to p90 explains it."
            .into(),
    ];
    if report.broken_lines > 0 {
        notes.push(format!("{} passed over.", units::count(report.broken_lines, "broken line")));
    }
    if report.left_out > 0 {
        notes.push(format!("{} beyond the bound left out.", units::count(report.left_out, "start")));
    }
    html.push_str(&note(&notes.join(" ")));
    html
}

fn change_row(class: &str, html: &str, change: &Change) -> String {
    let verdict = match change.verdict {
        Verdict::Slower => "<b class=\"bad\">moved: slower</b>",
        Verdict::Faster => "<b class=\"good\">moved: faster</b>",
        Verdict::Noise => "<small>within noise</small>",
    };
    format!(
        "<tr class=\"{class}\"><th scope=\"row\">{html}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td>{verdict}</td></tr>\n",
        ms_text(change.before.p50),
        ms_text(change.after.p50),
        signed_ms_text(change.delta_ns()),
    )
}
