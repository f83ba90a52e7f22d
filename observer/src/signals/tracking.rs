//! Signals of tables of connections: what was lost for want of room or of a place in one.

use super::{About, Label, Observation, Signal};
use crate::{
    input::Tracked,
    output::{Container, Since},
    time::{Time, Wall},
};

/// That nothing was lost is seen, too: a sum of nothing would be there without anybody counting.
pub fn signals(
    container: Option<&Container>,
    counts: &Tracked,
    now: Time,
    at: Wall,
    mut see: impl FnMut(Observation),
) {
    let about = About {
        probe: "net",
        container,
        process: None,
        since: Since::Attach,
        in_teardown: false,
        is_young: false,
    };
    let (scope, whose) = if container.is_some() { ("pod", "its network") } else { ("node", "the node") };
    let of = |signal, value: u64, text: String| {
        let seen = Observation::new(now, at, signal, value as f64, about).with(Label::Scope, scope);
        if value > 0 { seen.saying(text) } else { seen }
    };
    let Tracked { entries, max, collided, refused, evicted } = *counts;
    see(of(
        Signal::TrackedCollided,
        collided,
        format!(
            "{collided} packets were dropped as their connection collided with another in the connection table of {whose}"
        ),
    ));
    see(of(
        Signal::TrackedFull,
        refused.saturating_add(evicted),
        format!(
            "the connection table of {whose} was full, {entries} of {max} now: {refused} packets were dropped, {evicted} \
             connections forgotten"
        ),
    ));
}
