//! How a run begins: attach, then snapshot, so that nothing falls between.

use anyhow::Result;

use super::{Edge, status};
use crate::{
    app::talk,
    health::ProbePlan,
    input::FactKind,
    source::facts::{
        containers::{self, Older},
        procfs,
    },
    time::Time,
};

impl Edge {
    /// Says how the probes were attached and what was there before: attach, then snapshot, so that nothing
    /// falls between.
    pub fn begin(&mut self, plans: &[ProbePlan]) -> Result<()> {
        let attached = super::now();
        self.clock()?;
        for plan in plans {
            self.report(status(plan))?;
        }
        self.own_cost()?;
        self.fact(FactKind::DropReasons(self.live.drop_reasons().to_vec()))?;
        match procfs::snapshot(&self.host) {
            Ok(processes) => {
                for process in processes {
                    // Full only if tens of thousands are watched; the kernel counts what it then misses.
                    let _ = self.live.watch(process.tgid, process.role);
                    self.fact(FactKind::Process(process))?;
                }
            }
            Err(error) => talk::say(format_args!("cannot list processes that were there before: {error}")),
        }
        if self.follows { self.older_containers(attached) } else { Ok(()) }
    }

    /// Containers that were there before: first who they are, then what their streams are.
    fn older_containers(&mut self, attached: Time) -> Result<()> {
        let older = match containers::snapshot(&self.host) {
            Ok(older) => older,
            Err(error) => {
                talk::say(format_args!("cannot list containers that were there before: {error}"));
                return Ok(());
            }
        };
        for Older { life, members } in older {
            // The kernel programs see this one from its start; a half-made container would be taken for what it is not.
            if life.start > attached {
                continue;
            }
            // A full map: as above.
            if self.live.watch_older(life.init, &members).unwrap_or(true) {
                self.fact(FactKind::Life(Box::new(life)))?;
            }
        }
        // Once for the streams, once more for those who read them: either may come first.
        for _ in 0..2 {
            if let Err(why) = self.live.look_through_open_files() {
                let what = "streams of containers that were there before are not seen";
                talk::say(format_args!("{what}: {why}"));
                break;
            }
        }
        Ok(())
    }
}
