//! How much memory containers hold. Samples come when they have changed; what has not is still so, and is seen again
//! as time passes.

use std::collections::BTreeMap;

use super::{About, Observation, Signal};
use crate::{
    output::{Container, Event, Instance, Resident, RuntimeAction, Since, What},
    time::{Time, Wall},
};

/// How often it is seen again.
const EVERY_NS: u64 = 5_000_000_000;
/// Containers that are kept; of more nothing is seen.
const MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Residents {
    held: BTreeMap<Instance, (Box<Container>, Resident)>,
    seen: Time,
}

impl Residents {
    pub fn take(&mut self, container: &Container, resident: Resident) {
        let Some(instance) = container.instance else { return };
        // Without a limit there is nothing to compare with, but for proxies, of which it is known what they should need.
        let is_of_interest = resident.limit_bytes.is_some() || resident.of_sidecar;
        if !is_of_interest || container.exit.is_some() {
            self.held.remove(&instance);
        } else if self.held.len() < MAX || self.held.contains_key(&instance) {
            self.held.insert(instance, (Box::new(container.clone()), resident));
        }
    }

    pub fn note(&mut self, event: &Event) {
        let has_ended =
            matches!(&event.what, What::Runtime(runtime) if runtime.action == RuntimeAction::Exit);
        if let Some(instance) = event.container.as_ref().and_then(|container| container.instance)
            && has_ended
        {
            self.held.remove(&instance);
        }
    }

    pub fn again(&mut self, now: Time, at: Wall, mut see: impl FnMut(Observation)) {
        if now.since(self.seen) < EVERY_NS {
            return;
        }
        self.seen = now;
        for (container, resident) in self.held.values() {
            let of = |signal, value| Observation::new(now, at, signal, value, about(container));
            if let (Some(limit), Some(used)) = (resident.limit_bytes, resident.working_set_bytes) {
                let percent = used as f64 * 100.0 / limit.max(1) as f64;
                let text = format!("its working set is {:.1} of {:.1} MiB", mib(used), mib(limit));
                see(of(Signal::MemoryLimit, percent).saying(text));
            }
            if let Some(used) = resident.anonymous_bytes.filter(|_| resident.of_sidecar) {
                let text = format!("the proxy holds {:.1} MiB, files not counted", mib(used));
                see(of(Signal::ProxyMemory, used as f64).saying(text));
            }
        }
    }
}

/// How much of its linear memories a container may access.
pub(super) fn linear(container: &Container, bytes: u64, now: Time, at: Wall) -> Observation<'_> {
    let text = format!("its linear memory is {:.1} MiB", mib(bytes));
    Observation::new(now, at, Signal::MemoryLinear, bytes as f64, about(container)).saying(text)
}

const fn about(container: &Container) -> About<'_> {
    About {
        probe: "memory",
        container: Some(container),
        process: None,
        since: Since::Attach,
        in_teardown: false,
        is_young: false,
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
