//! One observation of a signal: a value, at a time, with the labels by which it is told apart.

use std::{borrow::Cow, collections::BTreeMap};

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
            observation.set(Label::Instance, instance(container));
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

/// What a later container of the same workload has in common with it: the namespace, what its pod belongs to, its name
/// there and its image; without a pod its image alone. `None`: without an image nothing is known of it.
pub fn kin(container: &Container) -> Option<String> {
    let image = container.image.as_deref()?;
    let Container { namespace: Some(namespace), pod: Some(pod), name: Some(name), .. } = container else {
        return Some(image.to_owned());
    };
    Some(format!("{namespace}/{}/{name} {image}", owner(pod, &container.labels)))
}

/// The name of a pod without what is made up for it, where its labels say that something is.
fn owner<'a>(pod: &'a str, labels: &BTreeMap<String, String>) -> &'a str {
    let last = |name: &'a str| name.rsplit_once('-').map_or(name, |(owner, _)| owner);
    if let Some(hash) = labels.get("pod-template-hash") {
        let without = last(pod);
        return without
            .strip_suffix(hash.as_str())
            .and_then(|rest| rest.strip_suffix('-'))
            .unwrap_or(without);
    }
    if let Some(job) = labels.get("batch.kubernetes.io/job-name").or(labels.get("job-name")) {
        // The Job of a CronJob ends with the time that it is of.
        let is_of = pod.starts_with(job.as_str());
        let job = pod.get(..job.len()).filter(|_| is_of).unwrap_or(pod);
        let is_timed =
            job.rsplit_once('-').is_some_and(|(_, time)| time.bytes().all(|byte| byte.is_ascii_digit()));
        return if is_timed { last(job) } else { job };
    }
    let is_numbered = labels.contains_key("statefulset.kubernetes.io/pod-name");
    if is_numbered || labels.contains_key("controller-revision-hash") { last(pod) } else { pod }
}

/// What stays the same when a container is started again: its place in its pod, else its name, else its id.
pub fn workload(container: &Container) -> Cow<'_, str> {
    match (&container.namespace, &container.pod, &container.name) {
        (Some(namespace), Some(pod), Some(name)) => Cow::Owned(format!("{namespace}/{pod}/{name}")),
        (None, None, Some(name)) => Cow::Borrowed(name),
        _ => Cow::Borrowed(&container.id),
    }
}

/// Its place in its pod, else its id: who is given the name of another that has ended is not the same.
fn instance(container: &Container) -> Cow<'_, str> {
    match container.pod {
        Some(_) => workload(container),
        None => Cow::Borrowed(&container.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pod: &str, labels: &[(&str, &str)]) -> Option<String> {
        kin(&Container {
            image: Some("shop:1".to_owned()),
            namespace: Some("shop".to_owned()),
            pod: Some(pod.to_owned()),
            name: Some("app".to_owned()),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..Container::default()
        })
    }

    #[test]
    fn pods_of_one_workload_are_kin() {
        let told = |owner: &str| Some(format!("shop/{owner}/app shop:1"));
        assert_eq!(of("web-7d4b9c8f6b-x2x5p", &[("pod-template-hash", "7d4b9c8f6b")]), told("web"));
        assert_eq!(of("node-agent-x2x5p", &[("controller-revision-hash", "6b7d")]), told("node-agent"));
        let stateful =
            [("controller-revision-hash", "db-6b7d"), ("statefulset.kubernetes.io/pod-name", "db-0")];
        assert_eq!(of("db-0", &stateful), told("db"));
        assert_eq!(of("tidy-28411920-x2x5p", &[("job-name", "tidy-28411920")]), told("tidy"));
        assert_eq!(of("migrate-x2x5p", &[("batch.kubernetes.io/job-name", "migrate")]), told("migrate"));
        // Of a name alone nothing is known to be made up.
        assert_eq!(of("by-hand", &[]), told("by-hand"));
        assert_eq!(of("own", &[("job-name", "anything-else")]), told("own"));
    }

    #[test]
    fn without_a_pod_the_image_says_it_and_without_an_image_nothing() {
        let image = Some("shop:1".to_owned());
        let alone =
            Container { image: image.clone(), name: Some("brave_bell".to_owned()), ..Container::default() };
        assert_eq!(kin(&alone), image);
        assert_eq!(kin(&Container::default()), None);
    }
}
