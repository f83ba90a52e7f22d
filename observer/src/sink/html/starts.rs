//! The starts: a table of all shown, and the waterfall of each.

use super::{
    Content,
    markup::{bar, layer_class, note, section, table as markup_table, text},
};
use crate::{
    output::ColdStart,
    sink::{
        timeline::{self, Segment},
        units::{self, ms_text, percent},
    },
};

/// Waterfalls that are open from the beginning.
const OPEN: usize = 4;

pub(super) fn table(content: &Content) -> String {
    let mut shown: Vec<(usize, &ColdStart)> = content.shown.iter().enumerate().collect();
    if shown.is_empty() {
        let html = note("No starts seen. What was watched, and what was not, is listed below.");
        return section("starts", "Starts", &html);
    }
    shown.sort_by_key(|(_, start)| start.time);
    let slowest = shown.iter().map(|(_, start)| start.total_ns).max().unwrap_or(0);
    let rows: String = shown.iter().map(|(rank, start)| row(*rank, start, slowest)).collect();
    let heads = [
        "Time",
        "Container",
        "Runtime",
        "From",
        "Ready",
        "#Total ms",
        "Where it went",
        "Disk",
        "Largest phase",
    ];
    let mut html = legend();
    html.push_str(&markup_table("starts", "Container starts in the order of time", &heads, &rows));
    html.push_str(&note(
        "Each line is one start from its beginning to its end; the thin one under it compares the totals.",
    ));
    if content.shown.left_out() > 0 {
        html.push_str(&note(&format!(
            "The {} failed or slowest are shown; {} more count in the percentiles only.",
            shown.len(),
            units::count(content.shown.left_out(), "faster start")
        )));
    }
    section("starts", "Starts", &html)
}

fn legend() -> String {
    let entry = |(class, name): &(&str, &str)| format!("<li><i class=\"{class}\"></i>{name}</li>");
    let entries = [
        ("host", "host"),
        ("l0", "L-0 to L-2 virtualization"),
        ("l3", "L-3 container"),
        ("l4", "L-4 sandbox, Wasm"),
        ("gap", "unattributed"),
    ];
    format!("<ul class=\"legend\">{}</ul>\n", entries.iter().map(entry).collect::<String>())
}

fn row(rank: usize, start: &ColdStart, slowest: u64) -> String {
    let container = &start.container;
    let image = container.image.as_deref().map(|image| format!("<small>{}</small>", text(image)));
    let last = match &start.failure {
        Some(failure) => format!("<b class=\"bad\">✗ {}</b>", text(&timeline::failure_in_short(failure))),
        None => timeline::largest(start).map_or(String::new(), |(name, ns)| {
            format!("{} <small>{:.0}&nbsp;%</small>", name.name(), percent(ns, start.total_ns))
        }),
    };
    let lost = if start.lost > 0 { "<br><b class=\"bad\">records lost</b>" } else { "" };
    format!(
        "<tr{}><td class=\"t\">{}</td><th scope=\"row\"><a href=\"#start-{rank}\">{}</a>{}</th>\
         <td>{}<small>{}</small></td><td>{}</td><td>{}</td><td class=\"n\">{}</td>\
         <td class=\"line\">{}</td><td>{}</td><td>{last}{lost}</td></tr>\n",
        if start.failure.is_some() { " class=\"failed\"" } else { "" },
        units::time_of_day(start.time),
        text(&timeline::full_name(container)),
        image.unwrap_or_default(),
        text(container.runtime.as_deref().unwrap_or("?")),
        container.kind.name(),
        start.t0.name(),
        if start.failure.is_some() { "failed" } else { start.ready.name() },
        ms_text(start.total_ns),
        strip(start, slowest),
        timeline::cold(start.cold),
    )
}

/// All phases on one small line, and under it how long the start took compared with the slowest.
fn strip(start: &ColdStart, slowest: u64) -> String {
    let bars: String = timeline::segments(start).iter().map(|segment| bar(start, segment)).collect();
    let size = percent(start.total_ns, slowest);
    format!(
        "<span class=\"strip\" aria-hidden=\"true\">{bars}</span>\
         <span class=\"size\" aria-hidden=\"true\" style=\"width:{size:.2}%\"></span>"
    )
}

pub(super) fn waterfalls(content: &Content) -> String {
    let all = content.shown.iter().enumerate();
    let html: String = all.map(|(rank, start)| waterfall(rank, start)).collect();
    if html.is_empty() { html } else { section("waterfalls", "Waterfalls, failed and slowest first", &html) }
}

fn waterfall(rank: usize, start: &ColdStart) -> String {
    let name = timeline::full_name(&start.container);
    let rows: String = timeline::segments(start).iter().map(|segment| segment_row(start, segment)).collect();
    let axis = format!(
        "<span class=\"axis\"><span>0</span><span>{} ms</span><span>{} ms</span></span>",
        ms_text(start.total_ns / 2),
        ms_text(start.total_ns)
    );
    let heads = ["Phase", "Layer", &axis, "#ms", "#%", "Who, and what"];
    // The target of a link is inside, so that following it opens the waterfall.
    format!(
        "<details{}>\n<summary><span class=\"who\">{}</span> <span class=\"sum\">{}{} ms</span></summary>\n\
         <div id=\"start-{rank}\" class=\"body\">\n{}{}{}</div>\n</details>\n",
        if rank < OPEN { " open" } else { "" },
        text(&name),
        if start.failure.is_some() { "<b class=\"bad\">failed</b> after " } else { "" },
        ms_text(start.total_ns),
        failure(start),
        facts(start),
        markup_table("waterfall", &format!("Phases of the start of {name}"), &heads, &rows),
    )
}

fn segment_row(start: &ColdStart, segment: &Segment) -> String {
    let process = segment.phase.and_then(|phase| phase.process.as_ref());
    let process = process.map(|process| format!("<b>{}</b> ", text(&units::process_text(process))));
    let detail = segment.phase.and_then(|phase| phase.detail.as_deref()).map(text);
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"layer\"><i class=\"{}\"></i>{}</td><td class=\"track\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{:.1}</td><td class=\"what\">{}{}</td></tr>\n",
        segment.name(),
        layer_class(segment),
        segment.layer(),
        bar(start, segment),
        ms_text(segment.duration_ns),
        percent(segment.duration_ns, start.total_ns),
        process.unwrap_or_default(),
        detail.unwrap_or_default(),
    )
}

fn failure(start: &ColdStart) -> String {
    let Some(failure) = &start.failure else {
        return String::new();
    };
    let text_of = |told: &str| text(told);
    format!(
        "<p class=\"failure\"><b>Failed in {}</b><br>{}</p>\n",
        text_of(&timeline::failure_in_full(failure)),
        text_of(&failure.text)
    )
}

fn facts(start: &ColdStart) -> String {
    let container = &start.container;
    let version = container.runtime_version.as_deref().unwrap_or("");
    let runtime = container.runtime.as_deref().map(|runtime| format!("{runtime} {version}"));
    let ready = if start.failure.is_some() { "failed" } else { start.ready.name() };
    let exit = start.milestones.exit_ns.map(|ns| format!("{} ms", ms_text(ns)));
    let milestone = |ns: Option<u64>| ns.map(|ns| format!("{} ms", ms_text(ns)));
    let unknown = (!container.unknown.is_empty()).then(|| container.unknown.join("; "));
    let lost = (start.lost > 0).then(|| {
        format!("{} while it lasted: a phase may be missing or too long", units::count(start.lost, "record"))
    });
    let entries = [
        ("Id", Some(container.id.clone())),
        ("Image", container.image.clone()),
        ("Runtime", runtime),
        ("Engine", container.engine.clone()),
        ("Handler", container.handler.clone()),
        ("Kind", Some(container.kind.name().to_owned())),
        ("Began", Some(units::rfc3339(start.time))),
        ("From, to", Some(format!("{} to {ready}", start.t0.name()))),
        ("Exec", milestone(start.milestones.exec_ns)),
        ("First output", milestone(start.milestones.first_output_ns)),
        ("Listen", milestone(start.milestones.listen_ns)),
        ("Exit", exit),
        ("Disk", Some(timeline::storage(start))),
        ("Lost", lost),
        ("Not known", unknown),
    ];
    let entries = entries.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let entries: String =
        entries.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", text(&value))).collect();
    format!("<dl class=\"about\">{entries}</dl>\n")
}
