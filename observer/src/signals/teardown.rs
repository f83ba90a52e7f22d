//! Which containers are being stopped, or have just ended: what fails in them then is no evidence.

use std::collections::BTreeMap;

use crate::{
    output::{Event, Instance, RuntimeAction, What},
    time::Time,
};

/// For so long after its end nothing about a container is evidence.
const AFTER_NS: u64 = 5_000_000_000;
/// A container that was told to stop and has not after this, lives on.
const STOPPING_NS: u64 = 60_000_000_000;
/// Containers remembered; beyond that the oldest is forgotten.
const MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Teardowns(BTreeMap<Instance, Until>);

/// Until when nothing counts.
type Until = Time;

impl Teardowns {
    pub fn note(&mut self, event: &Event, now: Time) {
        let What::Runtime(runtime) = &event.what else { return };
        let instance = event.container.as_ref().and_then(|container| container.instance);
        let lasts = match runtime.action {
            RuntimeAction::Stop => STOPPING_NS,
            RuntimeAction::Exit => AFTER_NS,
            RuntimeAction::Create | RuntimeAction::Start | RuntimeAction::Delete | RuntimeAction::Phase => {
                return;
            }
        };
        if let Some(instance) = instance {
            self.0.insert(instance, now.plus(lasts));
            if self.0.len() > MAX {
                self.0.pop_first();
            }
        }
    }

    pub fn covers(&self, event: &Event) -> bool {
        let instance = event.container.as_ref().and_then(|container| container.instance);
        instance.is_some_and(|instance| self.0.contains_key(&instance))
    }

    pub fn forget(&mut self, now: Time) {
        self.0.retain(|_, until| now < *until);
    }
}
