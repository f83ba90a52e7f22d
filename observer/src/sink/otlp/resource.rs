//! The watched workload as an OTLP resource: the names of the semantic conventions, and nothing that is not
//! known.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    resource::v1::Resource,
};

use crate::output::{Container, Process};

/// Longest text sent as one value, bytes. Names and details come from processes that may be hostile.
const MAX_TEXT_BYTES: usize = 1024;

/// The node that the observer runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    /// What other telemetry of this host calls `host.id`: the machine id, or the cloud's instance id. Back
    /// ends shift spans whose host differs from that of their trace.
    pub id: Option<String>,
    /// The Kubernetes node.
    pub node: Option<String>,
    pub cluster: Option<String>,
}

/// Attributes under construction; `None` adds nothing.
#[derive(Default)]
pub struct Attributes(Vec<KeyValue>);

impl Attributes {
    pub fn text<'a>(&mut self, key: &str, text: impl Into<Option<&'a str>>) {
        if let Some(text) = text.into().filter(|text| !text.is_empty()) {
            self.push(key, Value::StringValue(bounded(text)));
        }
    }

    pub fn int(&mut self, key: &str, number: impl TryInto<i64>) {
        if let Ok(number) = number.try_into() {
            self.push(key, Value::IntValue(number));
        }
    }

    pub fn bool(&mut self, key: &str, truth: Option<bool>) {
        if let Some(truth) = truth {
            self.push(key, Value::BoolValue(truth));
        }
    }

    pub fn double(&mut self, key: &str, number: f64) {
        self.push(key, Value::DoubleValue(number));
    }

    fn texts(&mut self, key: &str, text: &str) {
        let value = AnyValue { value: Some(Value::StringValue(bounded(text))) };
        self.push(key, Value::ArrayValue(ArrayValue { values: vec![value] }));
    }

    fn push(&mut self, key: &str, value: Value) {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    }

    pub fn into_vec(self) -> Vec<KeyValue> {
        self.0
    }
}

/// At most [`MAX_TEXT_BYTES`], cut between characters and marked as cut.
pub fn bounded(text: &str) -> String {
    const CUT: &str = "…";
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_TEXT_BYTES - CUT.len());
    format!("{}{CUT}", &text[..end])
}

pub fn resource(container: &Container, host: &Host) -> Resource {
    let mut to = Attributes::default();
    to.text("service.name", service_name(container));
    to.text("service.namespace", container.namespace.as_deref());
    to.text("container.id", container.id.as_str());
    to.text("container.name", container.name.as_deref());
    if let Some(image) = &container.image {
        image_attributes(&mut to, image);
    }
    to.text("container.runtime.name", container.runtime.as_deref());
    to.text("container.runtime.version", container.runtime_version.as_deref());
    to.text("k8s.namespace.name", container.namespace.as_deref());
    to.text("k8s.pod.name", container.pod.as_deref());
    to.text("k8s.pod.uid", container.pod_uid.as_deref());
    if container.pod.is_some() {
        to.text("k8s.container.name", container.name.as_deref());
    }
    if let Some(attempt) = container.attempt {
        to.int("k8s.container.restart_count", attempt);
    }
    on_host(to, host)
}

/// What a process is that runs in no container: a program of the node.
pub fn resource_of_process(process: Option<&Process>, host: &Host) -> Resource {
    let mut to = Attributes::default();
    to.text("service.name", process.map_or("unknown_service", |process| process.comm.as_str()));
    on_host(to, host)
}

/// The observer itself: what it measures of a whole node is nobody else's.
pub fn resource_of_observer(host: &Host) -> Resource {
    let mut to = Attributes::default();
    to.text("service.name", "observer");
    to.text("service.version", env!("CARGO_PKG_VERSION"));
    on_host(to, host)
}

fn on_host(mut to: Attributes, host: &Host) -> Resource {
    to.text("k8s.node.name", host.node.as_deref());
    to.text("k8s.cluster.name", host.cluster.as_deref());
    to.text("host.name", host.name.as_str());
    to.text("host.id", host.id.as_deref());
    Resource { attributes: to.into_vec(), ..Resource::default() }
}

/// The semantic conventions' order for Kubernetes, as far as it can be known on a node without asking the API:
/// pod, then container. Workload names are not guessed from the pod's. Outside Kubernetes a container without
/// a name is called by its id.
fn service_name(container: &Container) -> &str {
    [container.pod.as_deref(), container.name.as_deref(), Some(container.id.as_str())]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .unwrap_or("unknown_service")
}

/// The conventions keep name, tag and digest of an image apart.
fn image_attributes(to: &mut Attributes, image: &str) {
    let is_digest = |text: &str| text.starts_with("sha256:");
    if is_digest(image) {
        return to.text("container.image.id", image);
    }
    let (tagged, digest) = match image.split_once('@') {
        Some((tagged, digest)) => (tagged, is_digest(digest)),
        None => (image, false),
    };
    // A colon before the last slash belongs to the registry's port.
    let (name, tag) = match tagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (tagged, None),
    };
    to.text("container.image.name", name);
    if let Some(tag) = tag {
        to.texts("container.image.tags", tag);
    }
    if digest {
        to.texts("container.image.repo_digests", image);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> Vec<(String, String)> {
        let mut to = Attributes::default();
        image_attributes(&mut to, text);
        let value = |value: AnyValue| match value.value {
            Some(Value::StringValue(text)) => text,
            Some(Value::ArrayValue(mut list)) => match list.values.remove(0).value {
                Some(Value::StringValue(text)) => format!("[{text}]"),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        to.into_vec().into_iter().map(|pair| (pair.key, value(pair.value.unwrap()))).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn an_image_is_split_into_name_tag_and_digest() {
        assert_eq!(image("busybox"), pairs(&[("container.image.name", "busybox")]));
        assert_eq!(
            image("localhost:5000/a/b:1.2"),
            pairs(&[("container.image.name", "localhost:5000/a/b"), ("container.image.tags", "[1.2]")])
        );
        assert_eq!(image("localhost:5000/a"), pairs(&[("container.image.name", "localhost:5000/a")]));
        assert_eq!(
            image("a/b:v1@sha256:00ff"),
            pairs(&[
                ("container.image.name", "a/b"),
                ("container.image.tags", "[v1]"),
                ("container.image.repo_digests", "[a/b:v1@sha256:00ff]"),
            ])
        );
        assert_eq!(image("sha256:00ff"), pairs(&[("container.image.id", "sha256:00ff")]));
    }

    #[test]
    fn a_service_is_called_by_its_pod_then_its_name_then_its_id() {
        let mut container = Container { id: "abc".into(), ..Container::default() };
        assert_eq!(service_name(&container), "abc");
        container.name = Some("app".into());
        assert_eq!(service_name(&container), "app");
        container.pod = Some("shop-0".into());
        assert_eq!(service_name(&container), "shop-0");
        assert_eq!(service_name(&Container::default()), "unknown_service");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let exact = "x".repeat(MAX_TEXT_BYTES);
        assert_eq!(bounded(&exact), exact);
        let cut = bounded(&"é".repeat(MAX_TEXT_BYTES));
        assert!(cut.len() <= MAX_TEXT_BYTES && cut.ends_with("é…"), "{} bytes", cut.len());
    }
}
