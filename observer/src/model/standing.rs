//! How the containers that live are at this moment, for whoever asks.

use super::{
    Model,
    lives::{Life, Lives},
};
use crate::{
    output::{Container, Kind, Standing},
    time::Time,
};

impl Model {
    /// Those that live and that are asked for. Pause containers are no one's concern.
    pub fn standings(&self, now: Time, is: impl Fn(&Container) -> bool) -> Vec<Standing> {
        let alive = self.lives.iter().flat_map(Lives::iter).filter(|life| life.ended.is_none());
        alive.filter_map(|life| self.standing(life, now, &is)).collect()
    }

    fn standing(&self, life: &Life, now: Time, is: impl Fn(&Container) -> bool) -> Option<Standing> {
        let container = self.container_of(life)?;
        (container.kind != Kind::Sandbox && is(&container)).then(|| Standing {
            container,
            since: life.since,
            streams: self.streams_now(life.init, now),
            resident: life.memory.resident.told(),
            cpu: life.cpu.used(),
        })
    }
}
