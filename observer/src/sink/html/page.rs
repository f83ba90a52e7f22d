//! The page as a whole.

use super::{
    Content, closing, findings,
    markup::{section, text},
    numbers, starts,
};
use crate::{
    compare::Spread,
    sink::units::{self, date_time, ms_text},
};

const STYLE: &str = include_str!("page.css");
/// The page may style itself, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

pub(super) fn page(content: &Content) -> String {
    let host = text(content.identity.node.as_deref().unwrap_or(&content.identity.host));
    let title = title(content);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title} on {host}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    html.push_str(&header(content, &host));
    html.push_str("<main>\n");
    html.push_str(&closing::caveats(content));
    html.push_str(&findings::findings(content));
    html.push_str(&findings::timeline(content));
    html.push_str(&starts::table(content));
    if let Some(report) = &content.report {
        html.push_str(&section("moved", "What moved", &numbers::comparison(report)));
    }
    html.push_str(&starts::waterfalls(content));
    html.push_str(&numbers::percentiles(content));
    html.push_str(&closing::not_measured(content));
    html.push_str(&closing::probes(content));
    html.push_str("</main>\n<footer><p>Made by observer ");
    html.push_str(env!("CARGO_PKG_VERSION"));
    html.push_str(
        ". Times are UTC. Phases of a start lie on one line, do not overlap, and add up to its total.",
    );
    html.push_str("</p></footer>\n</body>\n</html>\n");
    html
}

fn header(content: &Content, host: &str) -> String {
    let when = content.summary.as_ref().map_or(String::new(), |summary| {
        format!(
            "<span>{} to {} UTC</span><span>watched: {}</span>",
            date_time(summary.from),
            date_time(summary.to),
            text(&summary.scope)
        )
    });
    let command = match content.summary.as_ref().and_then(|summary| summary.command_exit) {
        Some(status) if status < 0 => format!("<span>command ended by signal {}</span>", -status),
        Some(status) => format!("<span>command exited with {status}</span>"),
        None => String::new(),
    };
    format!(
        "<header>\n<h1>{}</h1>\n<p class=\"meta\"><span><b>{host}</b></span>{when}{command}</p>\n\
         <dl class=\"facts\">{}</dl>\n</header>\n",
        title(content),
        facts(content)
    )
}

/// With rules run it is about more than starts.
fn title(content: &Content) -> &'static str {
    let is_judged = content.summary.as_ref().is_some_and(|summary| summary.found.is_some());
    if is_judged { "Incident report" } else { "Container cold starts" }
}

fn facts(content: &Content) -> String {
    let samples = content.samples.kept();
    let fine = samples.iter().filter(|sample| !sample.failed);
    let spread = Spread::of(fine.map(|sample| sample.total_ns).collect());
    let time = |value: fn(&Spread) -> u64| {
        spread
            .as_ref()
            .map_or("–".to_owned(), |spread| format!("{}<small> ms</small>", ms_text(value(spread))))
    };
    let failed = samples.iter().filter(|sample| sample.failed).count() as u64;
    // The summary has counted everything; without one, what came by is all there is to tell.
    let seen = samples.len() as u64 + content.samples.beyond();
    let summary = content.summary.as_ref();
    let starts = summary.map_or(seen, |summary| summary.starts);
    let failed = summary.map_or(failed, |summary| summary.failed_starts);
    let lost = summary.map_or("–".to_owned(), |summary| summary.lost.to_string());
    let is_bad = |bad: bool| if bad { "bad" } else { "" };
    let lost_any = summary.is_some_and(|summary| summary.lost > 0);
    [
        ("Starts", starts.to_string(), ""),
        ("Failed", failed.to_string(), is_bad(failed > 0)),
        ("Median", time(|spread| spread.p50), ""),
        ("p90", time(|spread| spread.p90), ""),
        ("Slowest", time(|spread| spread.max), ""),
        ("Records lost", lost, is_bad(lost_any)),
    ]
    .iter()
    .map(|(name, value, class)| format!("<div class=\"{class}\"><dt>{name}</dt><dd>{value}</dd></div>"))
    .collect()
}

/// "the first 10000 of 12000 starts".
pub(super) fn beyond(content: &Content) -> Option<String> {
    let beyond = content.samples.beyond();
    let kept = content.samples.kept().len() as u64;
    (beyond > 0).then(|| format!("Over the first {} of {} only.", kept, units::count(kept + beyond, "start")))
}
