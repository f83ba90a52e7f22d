//! Whom a question is about: one pod, or one container.

use crate::output::Container;

/// As people type it: `NS/POD`, or a container's name, its id or the beginning of it, or a pod's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Pod { namespace: String, name: String },
    One(String),
}

/// Fewer characters of an id could be anything.
const SHORTEST_ID: usize = 4;

impl Asked {
    /// # Errors
    /// It names nothing: what to write instead.
    pub fn parse(text: &str) -> Result<Asked, String> {
        let wrong = || format!("{text:?} names neither a pod nor a container; write NAMESPACE/POD or an id");
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Asked::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            None if !text.is_empty() => Ok(Asked::One(text.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// Whether the question is about this container.
    pub fn takes(&self, container: &Container) -> bool {
        match self {
            Asked::Pod { namespace, name } => {
                container.namespace.as_ref() == Some(namespace) && container.pod.as_ref() == Some(name)
            }
            Asked::One(text) => {
                let named = [&container.name, &container.pod].into_iter().flatten().any(|name| name == text);
                let begins = text.len() >= SHORTEST_ID && container.id.starts_with(text.as_str());
                named || begins || container.id == *text
            }
        }
    }

    /// Whether it is about this pod, NAMESPACE/NAME.
    pub fn names(&self, pod: &str) -> bool {
        match self {
            Asked::Pod { namespace, name } => pod.split_once('/') == Some((namespace, name)),
            Asked::One(text) => pod.split_once('/').is_some_and(|(_, name)| name == text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, name: &str, pod: Option<(&str, &str)>) -> Container {
        Container {
            id: id.to_owned(),
            name: Some(name.to_owned()),
            namespace: pod.map(|(namespace, _)| namespace.to_owned()),
            pod: pod.map(|(_, pod)| pod.to_owned()),
            ..Container::default()
        }
    }

    #[test]
    fn a_pod_is_asked_for_with_its_namespace_and_is_no_pattern() {
        let web = container("0123456789", "app", Some(("shop", "web-0")));
        let takes = |text: &str| Asked::parse(text).expect("a question").takes(&web);
        assert!(takes("shop/web-0") && takes("web-0") && takes("app") && takes("0123"));
        assert!(!takes("pay/web-0") && !takes("shop/web-*") && !takes("shop/web") && !takes("012"));
    }

    #[test]
    fn what_names_nothing_is_said_to() {
        for wrong in ["", "/", "shop/", "/web", "a/b/c"] {
            assert!(Asked::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_short_id_is_whole_if_that_is_all_there_is_of_it() {
        assert!(Asked::One("c1".to_owned()).takes(&container("c1", "x", None)));
        assert!(!Asked::One("c1".to_owned()).takes(&container("c12", "x", None)));
    }
}
