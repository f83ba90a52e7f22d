//! Signals of lines of text that a keyword matches. Whose line it is matters: what a component says of itself counts
//! for the node, what a workload says counts for that workload alone.

use super::{Label, Observation, Signal, yes_no};
use crate::output::Text;

pub(super) fn signals<'a>(
    text: &'a Text,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let mut observation = of(Signal::TextLine, 1.0)
        .with(Label::Keyword, text.keyword.as_str())
        .with(Label::Component, yes_no(text.component))
        .with(Label::Message, text.line.as_str())
        .with_some(Label::Datastore, text.datastore.as_deref())
        .saying(format!("it wrote: {}", text.line));
    for (name, value) in &text.captures {
        if let Some(label) = label(name) {
            observation.set(label, value.as_str());
        }
    }
    see(observation);
}

/// What a part of a line is, by the name that its keyword gives it.
fn label(capture: &str) -> Option<Label> {
    Some(match capture {
        "image" => Label::Image,
        "webhook" => Label::Webhook,
        "runtime" | "handler" => Label::Runtime,
        "server" | "address" => Label::Server,
        "name" | "host" => Label::Name,
        "path" => Label::Path,
        "volume" => Label::Filesystem,
        _ => return None,
    })
}
