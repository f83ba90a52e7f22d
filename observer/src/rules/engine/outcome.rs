//! What an engine has to say of a run, or of the time up to now: what was looked at, what could not be.

use super::Engine;
use crate::{
    layer::Layer,
    output::{Check, CheckState, Found, NotMeasured},
    rules::tell,
};

impl Engine {
    /// On the whole node, as it was when it was worst.
    pub(super) fn looked_at(&self) -> Vec<Check> {
        tell::worse(&self.worst, tell::checked(&self.rules, self.bench(), None))
    }

    /// What came of it all.
    pub fn outcome(&self) -> Found {
        let checked = self.looked_at();
        Found { proved: self.proved, likely: self.likely, unproven: self.unproven, checked }
    }

    /// The same by now: what was looked at in the last minutes only.
    pub fn recently(&self) -> Found {
        Found { checked: tell::checked(&self.rules, self.bench(), None), ..self.outcome() }
    }

    /// What was looked at in no layer, and what there was no room for.
    pub fn not_measured(&self) -> Vec<NotMeasured> {
        let given_up = [
            (self.windows.given_up, "observations", "more were made at once than rules look back at"),
            (self.given_up, "findings", "more were open at once than are kept"),
        ];
        let lacks = |(count, what, why): (u64, &str, &str)| NotMeasured {
            layer: Layer::Host,
            what: format!("{count} {what}"),
            why: why.to_owned(),
            how: None,
        };
        let unseen = self.looked_at();
        let unseen = unseen.into_iter().filter(|check| check.state == CheckState::NotMeasured);
        let unseen = unseen.map(|check| NotMeasured {
            layer: check.layer,
            what: check.what,
            why: check.why.unwrap_or_default(),
            how: None,
        });
        given_up.into_iter().filter(|(count, ..)| *count > 0).map(lacks).chain(unseen).collect()
    }
}
