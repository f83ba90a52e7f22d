//! What a pipeline is asked, between its inputs: how far it is, whom it watches, how they are.

use super::Pipeline;
use crate::{
    input::{Fact, FactKind, Input, WebhookPlace},
    output::{Container, Found, NotMeasured, Standing},
    time::{Time, Wall},
};

impl Pipeline {
    /// Starts that have begun and are not settled yet.
    pub fn open_starts(&self) -> usize {
        self.model.open_starts()
    }

    /// Whether containers are followed beyond their start.
    pub fn follows(&self) -> bool {
        self.settings.follow
    }

    /// Records lost on this node so far.
    pub fn lost(&self) -> u64 {
        self.model.lost()
    }

    /// Whether a probe was given up at any time.
    pub fn has_shed(&self) -> bool {
        !self.shed.is_empty()
    }

    /// Containers that are followed and have not ended.
    pub fn alive(&self) -> usize {
        self.seen.alive()
    }

    /// Events told so far.
    pub fn events(&self) -> u64 {
        self.seen.all_events()
    }

    /// Whether the user asked for containers of which nothing was seen.
    pub fn filter_never_matched(&self) -> bool {
        !self.settings.filter.is_empty() && self.seen.starts == 0 && self.seen.all_events() == 0
    }

    /// For people, where the user asks for containers of which none is here now.
    pub fn nobody_matches(&self) -> Option<String> {
        let filter = &self.settings.filter;
        let is_asked = !filter.is_empty() && self.follows();
        if !is_asked || !self.standings(|container| filter.takes(container)).is_empty() {
            return None;
        }
        let here = self.standings(|_| true).len();
        Some(format!(
            "none of the {here} containers here matches {} now; what comes is told",
            filter.describe()
        ))
    }

    /// Nothing before this is told of: what is known of it was seen by another.
    pub fn looks_from(&mut self, time: Time) {
        self.from = Some(time);
    }

    /// The inputs from which another pipeline would come to where this one is: a recording's checkpoint.
    pub fn open_inputs(&self) -> Vec<Input> {
        let reports = self.statuses.values().cloned().map(Input::Probe);
        let settings = self
            .told_settings
            .iter()
            .map(|text| Input::Fact(Fact { time: self.now, what: FactKind::Settings(text.clone()) }));
        reports.chain(settings).chain(self.model.open_inputs(self.now)).collect()
    }

    /// How the containers are that live and are asked for.
    pub fn standings(&self, is: impl Fn(&Container) -> bool) -> Vec<Standing> {
        self.model.standings(self.now, is)
    }

    /// What was looked at by now, and what could not be.
    pub fn looked_at(&self) -> (Option<Found>, Vec<NotMeasured>) {
        (self.judging.recently(), self.not_measured())
    }

    /// All webhooks that were ever named: kernel records name them by their place here, from 1.
    pub fn webhook_places(&self) -> &[WebhookPlace] {
        self.model.webhook_places()
    }

    /// Which containers are watched, where that is not all of them.
    pub fn scope(&self) -> Option<String> {
        (!self.settings.filter.is_empty()).then(|| self.settings.filter.describe())
    }

    /// From when until when.
    pub fn span(&self) -> (Wall, Wall) {
        (self.wall(self.from.unwrap_or(self.now)), self.wall(self.now))
    }
}
