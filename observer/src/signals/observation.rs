//! One observation of a signal: a value, at a time, with the labels by which it is told apart.

use std::borrow::Cow;

use super::{Label, Signal};
use crate::{
    output::{Container, Process, Since},
    time::{Time, Wall},
};

/// See the module. It borrows from the event that it was read from.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// When it became known: what windows go by.
    pub time: Time,
    /// When it was.
    pub at: Wall,
    pub signal: Signal,
    pub value: f64,
    labels: Vec<(Label, Cow<'a, str>)>,
    pub about: About<'a>,
    /// One sentence, for people; none where it is only the absence of trouble.
    pub text: Option<String>,
}

/// Whom it is about, and how far that can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The interface's name of the probe.
    pub probe: &'static str,
    pub container: Option<&'a Container>,
    pub process: Option<&'a Process>,
    pub since: Since,
    /// Its container is being stopped, or has just ended.
    pub in_teardown: bool,
    /// Its process is a component of the node that has begun a moment ago.
    pub is_young: bool,
}

impl<'a> Observation<'a> {
    pub fn new(time: Time, at: Wall, signal: Signal, value: f64, about: About<'a>) -> Self {
        let mut observation = Observation { time, at, signal, value, labels: Vec::new(), about, text: None };
        if let Some(container) = about.container {
            observation.set(Label::Container, workload(container));
            observation.set_some(Label::Image, container.image.as_deref());
            observation.set_some(Label::Runtime, container.runtime.as_deref());
            observation.set_some(Label::Version, container.runtime_version.as_deref());
            if container.runtime_version.is_some() {
                observation.set(Label::Features, container.runtime_features.join(" "));
            }
            observation.set_some(Label::Handler, container.handler.as_deref());
        }
        observation.set_some(Label::Process, about.process.map(|process| process.comm.as_str()));
        observation
    }

    pub fn set(&mut self, label: Label, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        match self.labels.iter_mut().find(|(known, _)| *known == label) {
            Some((_, known)) => *known = value,
            None => self.labels.push((label, value)),
        }
    }

    pub fn set_some(&mut self, label: Label, value: Option<impl Into<Cow<'a, str>>>) {
        if let Some(value) = value {
            self.set(label, value);
        }
    }

    #[must_use]
    pub fn with(mut self, label: Label, value: impl Into<Cow<'a, str>>) -> Self {
        self.set(label, value);
        self
    }

    #[must_use]
    pub fn with_some(mut self, label: Label, value: Option<impl Into<Cow<'a, str>>>) -> Self {
        self.set_some(label, value);
        self
    }

    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    pub fn labels(&self) -> impl Iterator<Item = (Label, &str)> {
        self.labels.iter().map(|(label, value)| (*label, value.as_ref()))
    }

    pub fn label(&self, label: Label) -> Option<&str> {
        self.labels.iter().find(|(known, _)| *known == label).map(|(_, value)| value.as_ref())
    }
}

/// What stays the same when a container is started again: its place in its pod, else its name, else its id.
pub fn workload(container: &Container) -> Cow<'_, str> {
    match (&container.namespace, &container.pod, &container.name) {
        (Some(namespace), Some(pod), Some(name)) => Cow::Owned(format!("{namespace}/{pod}/{name}")),
        (None, None, Some(name)) => Cow::Borrowed(name),
        _ => Cow::Borrowed(&container.id),
    }
}
