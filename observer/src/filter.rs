//! Which containers the user asked about.

use serde::{Deserialize, Serialize};

use crate::output::Container;

/// All given conditions must hold; a condition that is empty always does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Namespaces; `!name` excludes.
    pub namespaces: Vec<String>,
    /// `name` or `namespace/name`; a trailing `*` matches any rest.
    pub pods: Vec<String>,
    /// Name or (short) id.
    pub containers: Vec<String>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.pods.is_empty() && self.containers.is_empty()
    }

    pub fn takes(&self, container: &Container) -> bool {
        self.takes_namespace(container) && self.takes_pod(container) && self.takes_container(container)
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

    /// For people: `all containers`, or the conditions.
    pub fn describe(&self) -> String {
        if self.is_empty() {
            return "all containers".to_owned();
        }
        let part = |name: &str, values: &[String]| {
            (!values.is_empty()).then(|| format!("{name} {}", values.join(",")))
        };
        let parts = [
            part("namespace", &self.namespaces),
            part("pod", &self.pods),
            part("container", &self.containers),
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

    fn container() -> Container {
        Container {
            id: "0123456789ab".to_owned(),
            name: Some("app".to_owned()),
            pod: Some("web-7c9d".to_owned()),
            namespace: Some("shop".to_owned()),
            ..Container::default()
        }
    }

    fn takes(namespaces: &[&str], pods: &[&str], containers: &[&str]) -> bool {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let filter =
            Filter { namespaces: owned(namespaces), pods: owned(pods), containers: owned(containers) };
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
}
