//! Which container has sent a span of what a proxy has answered, and what follows from that.

use std::collections::BTreeMap;

use super::Pipeline;
use crate::{
    correlate,
    model::Model,
    output::{Container, Output},
    signals::Answered,
    span::Span,
    time::Time,
};

/// By which resources are told apart that name a container.
const NAMES: [&str; 5] =
    ["container.id", "k8s.pod.uid", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name"];
/// How long an answer holds: containers come and go.
const HOLDS_NS: u64 = 5_000_000_000;
/// Senders that are remembered; of more each is looked for anew.
const MAX: usize = 256;

/// Who was found last, by what their spans say of them.
#[derive(Default)]
pub(super) struct Senders(BTreeMap<Vec<String>, (Time, Option<Container>)>);

impl Senders {
    /// `None`: it says nothing of it, is in no container that is known, or may be in several.
    fn container(&mut self, span: &Span, model: &Model, now: Time) -> Option<Container> {
        let names = NAMES.map(|key| span.resource(key).unwrap_or_default().to_owned());
        if names.iter().all(String::is_empty) {
            return None;
        }
        if let Some((found, container)) = self.0.get(names.as_slice())
            && now.since(*found) < HOLDS_NS
        {
            return container.clone();
        }
        let found = model.standings(now, |container| correlate::is_of(span, container));
        let only = <[_; 1]>::try_from(found).ok().map(|[standing]| standing.container);
        if self.0.len() >= MAX {
            self.0.retain(|_, (found, _)| now.since(*found) < HOLDS_NS);
        }
        if self.0.len() < MAX {
            self.0.insert(names.into(), (now, only.clone()));
        }
        only
    }
}

impl Pipeline {
    /// What a proxy has answered, if this span says so.
    pub(super) fn answered(&mut self, span: &Span, out: &mut impl FnMut(Output)) {
        let Some(answer) = span.answer() else { return };
        let container = self.senders.container(span, &self.model, self.now);
        let filter = &self.settings.filter;
        if !container.as_ref().map_or(filter.is_empty(), |container| filter.takes(container)) {
            return;
        }
        let by = Answered { span, answer, container: container.as_ref() };
        let said = self.judging.answered(by, self.now, self.model.clock());
        self.say(said, out);
    }
}
