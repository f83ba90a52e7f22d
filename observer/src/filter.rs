//! Which containers the user asked about.

mod asked;

use serde::{Deserialize, Serialize};

use crate::output::Container;
pub use asked::Asked;

/// All given conditions must hold; a condition that is empty always does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Namespaces; `!name` excludes.
    pub namespaces: Vec<String>,
    /// `name` or `namespace/name`; a trailing `*` matches any rest.
    pub pods: Vec<String>,
    /// Name or (short) id.
    pub containers: Vec<String>,
    /// `key=value`: labels of the container and its pod. Unlike the others, each of them must hold.
    #[serde(default)]
    pub labels: Vec<String>,
    /// First processes, in the initial pid namespace.
    #[serde(default)]
    pub pids: Vec<u32>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    pub fn takes(&self, container: &Container) -> bool {
        self.takes_namespace(container)
            && self.takes_pod(container)
            && self.takes_container(container)
            && self.takes_labels(container)
            && self.takes_pid(container)
    }

    /// Whether a process that is in no container is asked about: not by who asks for certain containers.
    pub fn takes_process(&self, pid: Option<u32>) -> bool {
        let of_containers = Filter { pids: Vec::new(), ..self.clone() };
        of_containers.is_empty() && (self.pids.is_empty() || pid.is_some_and(|pid| self.pids.contains(&pid)))
    }

    fn takes_namespace(&self, container: &Container) -> bool {
        let namespace = container.namespace.as_deref().unwrap_or_default();
        let (excluded, wanted): (Vec<&String>, Vec<&String>) =
            self.namespaces.iter().partition(|name| name.starts_with('!'));
        let is_excluded = excluded.iter().any(|name| &name[1..] == namespace);
        !is_excluded && (wanted.is_empty() || wanted.iter().any(|name| *name == namespace))
    }

    fn takes_pod(&self, container: &Container) -> bool {
        let pod = container.pod.as_deref().unwrap_or_default();
        let namespace = container.namespace.as_deref().unwrap_or_default();
        self.pods.is_empty()
            || self.pods.iter().any(|pattern| match pattern.split_once('/') {
                Some((wanted, name)) => wanted == namespace && matches(name, pod),
                None => matches(pattern, pod),
            })
    }

    fn takes_container(&self, container: &Container) -> bool {
        const SHORTEST_ID: usize = 4;
        self.containers.is_empty()
            || self.containers.iter().any(|wanted| {
                container.name.as_deref() == Some(wanted)
                    || container.id == *wanted
                    || (wanted.len() >= SHORTEST_ID && container.id.starts_with(wanted.as_str()))
            })
    }

    fn takes_labels(&self, container: &Container) -> bool {
        let holds = |(key, value)| container.labels.get(key).is_some_and(|held: &String| held == value);
        self.labels.iter().all(|label| label.split_once('=').is_some_and(holds))
    }

    fn takes_pid(&self, container: &Container) -> bool {
        self.pids.is_empty() || container.instance.is_some_and(|instance| self.pids.contains(&instance.init))
    }

    /// For people: `all containers`, or the conditions.
    pub fn describe(&self) -> String {
        if self.is_empty() {
            return "all containers".to_owned();
        }
        let part = |name: &str, values: &[String]| {
            (!values.is_empty()).then(|| format!("{name} {}", values.join(",")))
        };
        let pids: Vec<String> = self.pids.iter().map(u32::to_string).collect();
        let parts = [
            part("namespace", &self.namespaces),
            part("pod", &self.pods),
            part("container", &self.containers),
            part("label", &self.labels),
            part("pid", &pids),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{output::Instance, time::Time};

    fn container() -> Container {
        let labels =
            [("app", "web"), ("tier", "front")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        Container {
            instance: Some(Instance { init: 4711, start: Time(1) }),
            labels: labels.into(),
            id: "0123456789ab".to_owned(),
            name: Some("app".to_owned()),
            pod: Some("web-7c9d".to_owned()),
            namespace: Some("shop".to_owned()),
            ..Container::default()
        }
    }

    fn takes(namespaces: &[&str], pods: &[&str], containers: &[&str]) -> bool {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let filter = Filter {
            namespaces: owned(namespaces),
            pods: owned(pods),
            containers: owned(containers),
            ..Filter::default()
        };
        filter.takes(&container())
    }

    #[test]
    fn takes_what_was_asked_for() {
        assert!(takes(&[], &[], &[]));
        assert!(takes(&["shop"], &["web-*"], &["app"]));
        assert!(takes(&["shop", "pay"], &["shop/web-7c9d"], &["0123"]));
        assert!(takes(&["!pay"], &[], &[]));
    }

    #[test]
    fn refuses_the_rest() {
        assert!(!takes(&["pay"], &[], &[]));
        assert!(!takes(&["!shop"], &[], &[]));
        assert!(!takes(&[], &["web"], &[]));
        assert!(!takes(&[], &["pay/web-*"], &[]));
        assert!(!takes(&[], &[], &["012"]));
    }

    #[test]
    fn every_label_must_hold() {
        let takes = |labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Filter { labels, ..Filter::default() }.takes(&container())
        };
        assert!(takes(&["app=web"]) && takes(&["app=web", "tier=front"]));
        assert!(!takes(&["app=web", "tier=back"]) && !takes(&["app"]) && !takes(&["app="]));
    }

    #[test]
    fn a_pid_is_that_of_the_first_process() {
        let takes = |pid| Filter { pids: vec![pid], ..Filter::default() }.takes(&container());
        assert!(takes(4711) && !takes(4712));
        assert!(!Filter { pids: vec![4711], ..Filter::default() }.takes(&Container::default()));
    }
}
