//! What is told once and lasts: a writer that waits. Rules ask how long it has lasted, so it is seen again as time
//! passes, until something else is told of the same stream.

use std::collections::BTreeMap;

use super::{About, Label, Observation, Signal};
use crate::{
    output::{Event, Instance, StdioOutcome, What},
    time::{Time, Wall},
};

/// How often it is seen again.
const EVERY_NS: u64 = 1_000_000_000;
/// Streams that wait at once; of more, the first told is all that is seen.
const MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<(Instance, u32), Waiting>);

#[derive(Debug)]
struct Waiting {
    event: Box<Event>,
    told: Time,
    seen: Time,
    waited_ns: u64,
}

impl Standing {
    pub fn note(&mut self, event: &Event, now: Time) {
        let instance = event.container.as_ref().and_then(|container| container.instance);
        let (What::Stdio(stdio), Some(instance)) = (&event.what, instance) else { return };
        let key = (instance, stdio.fd);
        match stdio.blocked_ns.filter(|_| stdio.outcome == StdioOutcome::Blocked && !stdio.ended) {
            Some(waited_ns) if self.0.len() < MAX => {
                let waiting = Waiting { event: Box::new(event.clone()), told: now, seen: now, waited_ns };
                self.0.insert(key, waiting);
            }
            _ => {
                self.0.remove(&key);
            }
        }
    }

    pub fn again(&mut self, now: Time, mut see: impl FnMut(Observation)) {
        for waiting in self.0.values_mut().filter(|waiting| now.since(waiting.seen) >= EVERY_NS) {
            waiting.seen = now;
            let event = &waiting.event;
            let about = About {
                probe: event.what.probe(),
                container: event.container.as_ref(),
                process: event.process.as_ref(),
                since: event.since,
                in_teardown: false,
                is_young: false,
            };
            let lasted = now.since(waiting.told);
            let ms = (waiting.waited_ns + lasted) as f64 / 1e6;
            let at = Wall(event.time.0 + lasted as i64);
            let text = format!("a write has waited for {:.1} s for room in its log pipe", ms / 1e3);
            see(Observation::new(now, at, Signal::StdioBlocked, ms, about)
                .with(Label::Reader, "present")
                .saying(text));
        }
    }
}
