//! The few shapes of markup that the page is made of. What takes `text` escapes it, what takes `html` does not.

use crate::{output::ColdStart, sink::escape, sink::timeline::Segment};

pub(super) use escape::html as text;

/// A section with a heading; `id` and `title` are ours.
pub(super) fn section(id: &str, title: &str, html: &str) -> String {
    format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{html}</section>\n")
}

/// A table that scrolls by itself when it is wider than the window. A head that starts with `#` is of numbers.
pub(super) fn table(class: &str, caption: &str, heads: &[&str], rows: &str) -> String {
    let heads: String = heads
        .iter()
        .map(|head| match head.strip_prefix('#') {
            Some(head) => format!("<th scope=\"col\" class=\"n\">{head}</th>"),
            None => format!("<th scope=\"col\">{head}</th>"),
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table class=\"{class}\">\n<caption>{}</caption>\n\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
        text(caption)
    )
}

pub(super) fn note(html: &str) -> String {
    format!("<p class=\"note\">{html}</p>\n")
}

/// The class that colours a segment.
pub(super) fn layer_class(segment: &Segment) -> String {
    match segment.phase {
        Some(phase) => phase.layer.name().replace('-', "").to_lowercase(),
        None => "gap".to_owned(),
    }
}

/// A segment's place on a line that is as long as the start.
pub(super) fn bar(start: &ColdStart, segment: &Segment) -> String {
    let share = |ns: u64| crate::sink::units::percent(ns, start.total_ns).min(100.0);
    let left = share(segment.start_ns);
    let width = share(segment.duration_ns).min(100.0 - left);
    format!("<i class=\"bar {}\" style=\"left:{left:.3}%;width:{width:.3}%\"></i>", layer_class(segment))
}
