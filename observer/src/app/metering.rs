//! Metrics of a run that watches: counted where outputs pass, served and sent where that was asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use super::talk;
use crate::{
    cli,
    output::{Health, Output},
    sink::metrics::{
        Metrics, Snapshot,
        serve::{self, Server},
    },
    time::Wall,
};

pub struct Metering {
    metrics: Arc<Mutex<Metrics>>,
    _server: Option<Server>,
}

impl Metering {
    /// Counts if anybody wants to know: whoever fetches, or a collector. Only runs have metrics.
    ///
    /// # Errors
    /// What was typed is no address, or its port is taken.
    pub fn open(asked: Option<&cli::Metrics>, exported: bool) -> Result<Option<Metering>> {
        let Some(asked) = asked.filter(|asked| asked.metrics.is_some() || exported) else { return Ok(None) };
        let metrics = Arc::<Mutex<Metrics>>::default();
        let serve = |text: &String| -> Result<Server> {
            let address = serve::address(text).map_err(|why| super::Usage(why.to_string()))?;
            let server = Server::start(address, Arc::clone(&metrics), now)?;
            talk::say(format_args!("metrics at http://{}/metrics", server.address()));
            Ok(server)
        };
        let _server = asked.metrics.as_ref().map(serve).transpose()?;
        Ok(Some(Metering { metrics, _server }))
    }

    pub fn take(&self, output: &Output) {
        self.metrics().take(output);
    }

    /// Takes in how the observer is doing, and gives all of it as it is then.
    pub fn snapshot(&self, health: &Health) -> Snapshot {
        let mut metrics = self.metrics();
        metrics.health(health);
        metrics.snapshot(health.time)
    }

    fn metrics(&self) -> MutexGuard<'_, Metrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Wall {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Wall(now.tv_sec * 1_000_000_000 + now.tv_nsec)
}
