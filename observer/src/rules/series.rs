//! Which observations are kept for rules: what several of them look at is kept once.

use super::{catalogue::Period, grammar::Selector};
use crate::signals::Label;

/// Observations that some rules look at, told apart by the values of `key`.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub of: Selector,
    pub key: Vec<Label>,
    /// A label whose value is kept with each observation.
    pub other: Option<Label>,
    /// Whether what happens while a container is being stopped counts, and what a component does that has just begun.
    pub in_teardown: bool,
    pub when_young: bool,
    /// Whether what is usual of it is learned, of each container.
    pub is_learned: bool,
    /// How far back anybody looks.
    pub keep: Period,
    /// The value below which an observation says nothing to anybody.
    pub least: Option<f64>,
    /// Causes and symptoms for which an observation is a reason to judge anew.
    pub causes: Vec<usize>,
    pub symptoms: Vec<usize>,
}

impl Series {
    pub(super) fn new(
        of: Selector,
        key: Vec<Label>,
        keep: Period,
        in_teardown: bool,
        when_young: bool,
    ) -> Series {
        let (causes, symptoms) = (Vec::new(), Vec::new());
        Series {
            of,
            key,
            other: None,
            in_teardown,
            when_young,
            is_learned: false,
            keep,
            least: None,
            causes,
            symptoms,
        }
    }

    /// Whether it is made of the same observations, told apart alike.
    pub(super) fn is_like(&self, other: &Series) -> bool {
        self.of == other.of
            && self.key == other.key
            && self.other == other.other
            && self.in_teardown == other.in_teardown
            && self.when_young == other.when_young
    }

    /// Serves those for whom another one like it would have been, too.
    pub(super) fn serve(&mut self, other: &Series) {
        self.keep = self.keep.max(other.keep);
        self.least = self.least.zip(other.least).map(|(one, other)| one.min(other));
    }
}
