//! Settings that change while a run goes on.

use super::{Pipeline, Settings};
use crate::output::Output;

const OTHER_RULES: &str = "the rules were read again, and are others now: what still holds is told anew";
const NOT_WATCHED: &str = "it is not watched any more: the filter has changed";

impl Pipeline {
    /// Goes on with these settings. What cannot be read is of a newer version, and changes nothing.
    pub(super) fn change(&mut self, text: &str, out: &mut impl FnMut(Output)) {
        let Ok(mut new) = serde_json::from_str::<Settings>(text) else { return };
        // What is usual is not read again: only what a run began with is known to who replays it.
        new.normals = std::mem::take(&mut self.settings.normals);
        self.told_settings = Some(text.to_owned());
        let old = std::mem::replace(&mut self.settings, new);
        let settings = &self.settings;
        self.model.go_on_with(settings.ready_wait_ns, &settings.webhooks);
        if let Some(tally) = &mut self.tally {
            tally.every(settings.stats_interval_ns);
        }
        let (now, clock) = (self.now, self.model.clock());
        let mut said = Vec::new();
        if old.filter != settings.filter {
            let filter = &settings.filter;
            said.extend(self.judging.leave(NOT_WATCHED, |container| !filter.takes(container), now, clock));
        }
        let is_judged_alike = old.catalogue == settings.catalogue && old.scenario == settings.scenario;
        if !is_judged_alike && let Some(rules) = self.rules_of.and_then(|rules| rules(settings)) {
            said.extend(self.judging.judge_by(rules, OTHER_RULES, now, clock));
        }
        self.say(said, out);
    }
}
