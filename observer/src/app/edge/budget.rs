//! What observing costs, and what is done when that is too much.

use anyhow::Result;
use observer_ebpf::Family;

use super::{Edge, now, status, telemetry};
use crate::{
    app::{
        budget::{Keeper, Step},
        talk,
    },
    cli::Budget,
    health::{Report, Status},
    probes,
};

impl Edge {
    /// Keeps within this budget from now on; `None`: any cost will do, and nothing stays given up.
    pub fn keep_within(&mut self, budget: Option<Budget>) -> Result<()> {
        if budget.is_some_and(|budget| budget.cpu_percent.is_some())
            && let Err(why) = self.live.count_run_time()
            && self.live.run_ns().is_none()
        {
            talk::say(format_args!(
                "the budget counts the observer's own CPU time alone, not that of its kernel programs \
                 (sysctl kernel.bpf_stats_enabled=1 has it counted): {why}"
            ));
        }
        match (&mut self.keeper, budget) {
            (Some(keeper), Some(budget)) => keeper.allow(budget),
            (keeper @ None, Some(budget)) => {
                let is_used = |family| {
                    let plan = self.live.plans().iter().find(|plan| plan.family == family);
                    plan.is_some_and(|plan| matches!(plan.status, Status::Attached | Status::Degraded))
                };
                *keeper = Some(Keeper::new(budget, is_used));
            }
            (Some(_), None) => {
                while let Some(family) = self.keeper.as_mut().and_then(Keeper::take_back) {
                    self.take_up(family, "there is no budget any more")?;
                }
                self.keeper = None;
            }
            (None, None) => {}
        }
        Ok(())
    }

    pub(super) fn keep_budget(&mut self) -> Result<()> {
        let time = now();
        let Some(keeper) = self.keeper.as_mut().filter(|keeper| keeper.is_due(time)) else { return Ok(()) };
        match keeper.measured(time, telemetry::measure(&self.live)) {
            Some(Step::Shed(family, why)) => self.give_up(family, &why),
            Some(Step::Restore(family)) => self.take_up(family, "within its budget again"),
            Some(Step::Exhausted(why)) => {
                talk::say(format_args!("still over its budget, with nothing more to give up: {why}"));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn bits(&self) -> u32 {
        self.keeper.as_ref().map_or(0, Keeper::bits)
    }

    fn give_up(&mut self, family: Family, why: &str) -> Result<()> {
        let bits = self.bits();
        let refused = self.live.give_up(family, bits);
        let name = family.name();
        let gives = probes::spec(family).gives;
        talk::say(format_args!("over its budget ({why}): {name} is given up ({gives})"));
        if let Err(why) = refused {
            talk::say(format_args!("{name} is given up, but still costs something: {why}"));
        }
        let why = Some(format!("given up to keep within the budget: {why}"));
        self.own_cost()?;
        self.report(Report::Status { family: family as u8, status: Status::Shed, hook: None, why })
    }

    fn take_up(&mut self, family: Family, why: &str) -> Result<()> {
        let bits = self.bits();
        let name = family.name();
        if let Err(refused) = self.live.take_up(family, &self.host, bits) {
            talk::say(format_args!("{why}, but {name} cannot be taken up: {refused}"));
            let why = Some(format!("it was given up, and cannot be attached again: {refused}"));
            let what = Report::Status { family: family as u8, status: Status::Failed, hook: None, why };
            return self.report(what);
        }
        talk::say(format_args!("{why}: {name} is taken up"));
        let plan = self.live.plans().iter().find(|plan| plan.family == family).cloned();
        plan.map_or(Ok(()), |plan| self.report(status(&plan)))
    }
}
