//! What a run has seen so far, counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::output::{ColdStart, Container, Event, Instance, RuntimeAction, What};

/// Containers told apart; of more only the beginning is counted.
const MAX_KNOWN: usize = 1 << 18;

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub starts: u64,
    pub failed_starts: u64,
    /// Different containers.
    pub containers: u64,
    /// By the probe's name.
    pub events: BTreeMap<&'static str, u64>,
    known: BTreeSet<Instance>,
    alive: BTreeSet<Instance>,
}

impl Seen {
    pub(super) fn start(&mut self, start: &ColdStart) {
        self.starts += 1;
        self.failed_starts += u64::from(start.failure.is_some());
        // A start that came to nothing has no init, and nothing else will be told of it.
        let is_new = start.container.instance.is_none();
        self.container(&start.container, is_new);
    }

    pub(super) fn event(&mut self, event: &Event) {
        *self.events.entry(event.what.probe()).or_default() += 1;
        let action = match &event.what {
            What::Runtime(runtime) => Some(runtime.action),
            What::Exec(_)
            | What::Stdio(_)
            | What::Memory(_)
            | What::Dns(_)
            | What::Net(_)
            | What::Webhook(_)
            | What::Text(_)
            | What::Cpu(_)
            | What::File(_)
            | What::Io(_) => None,
        };
        let Some(container) = &event.container else { return };
        self.container(container, action == Some(RuntimeAction::Create));
        if let Some(instance) = container.instance.filter(|_| action == Some(RuntimeAction::Exit)) {
            self.alive.remove(&instance);
        }
    }

    fn container(&mut self, container: &Container, is_new: bool) {
        let Some(instance) = container.instance else {
            self.containers += u64::from(is_new);
            return;
        };
        if self.known.len() >= MAX_KNOWN {
            let unheard_of = is_new && !self.known.contains(&instance);
            self.containers += u64::from(unheard_of);
        } else if self.known.insert(instance) {
            self.containers += 1;
            if container.exit.is_none() {
                self.alive.insert(instance);
            }
        }
    }

    /// Containers that were seen and have not been seen to end.
    pub(super) fn alive(&self) -> usize {
        self.alive.len()
    }

    /// Events of all probes.
    pub(super) fn all_events(&self) -> u64 {
        self.events.values().sum()
    }
}
