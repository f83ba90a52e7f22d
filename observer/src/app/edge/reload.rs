//! Options that were read again, while the run goes on.

use anyhow::{Context, Result};

use super::Edge;
use crate::{
    app::{reload::Reloaded, sinks::Outlets, talk, watching::Plan},
    input::FactKind,
};

impl Edge {
    /// Reads the plan's options again. What cannot be read or understood changes nothing.
    pub fn read_again(&mut self, plan: &Plan) -> Result<()> {
        let Some(reload) = &plan.reload else { return Ok(()) };
        match reload.borrow_mut().again(self.kube.is_some()) {
            Ok(reloaded) => self.go_on_with(&reloaded, plan),
            Err(error) => {
                talk::say(format_args!("options stay as they were: {error:#}"));
                Ok(())
            }
        }
    }

    fn go_on_with(&mut self, with: &Reloaded, plan: &Plan) -> Result<()> {
        let settings = serde_json::to_string(&with.settings).context("cannot encode the settings")?;
        self.fact(FactKind::Settings(settings))?;
        self.watch_named_webhooks();
        self.sinks.show(&Outlets {
            show: with.show.clone(),
            otlp_events: with.otlp_events.clone(),
            ..plan.outlets
        });
        self.keep_within(with.budget)
    }
}
