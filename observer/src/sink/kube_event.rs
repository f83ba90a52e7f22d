//! Proved findings as Events of Kubernetes: on the pod that they are about, else on the node. Only what the catalogue says
//! of them goes there, and no text of what is watched.

use serde::Serialize;

use super::units::rfc3339_seconds;
use crate::output::{Finding, FindingStatus, Grade};

/// What the API takes of a message.
const MAX_MESSAGE: usize = 1_024;

/// An Event to be made.
pub struct KubeEvent {
    pub path: String,
    pub body: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Meta<'a>,
    involved_object: Involved<'a>,
    reason: &'static str,
    message: String,
    #[serde(rename = "type")]
    level: &'static str,
    source: Source<'a>,
    first_timestamp: String,
    last_timestamp: String,
    count: u32,
    reporting_component: &'static str,
    reporting_instance: &'a str,
}

#[derive(Serialize)]
struct Meta<'a> {
    name: String,
    namespace: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Involved<'a> {
    api_version: &'static str,
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
}

#[derive(Serialize)]
struct Source<'a> {
    component: &'static str,
    host: &'a str,
}

/// `None`: it is not proved, or over.
pub fn of(finding: &Finding, node: &str) -> Option<KubeEvent> {
    if finding.grade != Grade::Proved || finding.status == FindingStatus::Resolved {
        return None;
    }
    let involved = involved(finding, node);
    let namespace = involved.namespace.unwrap_or("default");
    let message = format!(
        "{}: {} [{}/{}, {}, {}]. {}",
        finding.title.en,
        finding.cause_title.en,
        finding.id,
        finding.cause,
        finding.layer.name(),
        finding.severity,
        finding.remedy.en,
    );
    let body = Body {
        api_version: "v1",
        kind: "Event",
        // The same finding has the same name: the API keeps one.
        metadata: Meta { name: format!("observer.{}", finding.fingerprint), namespace },
        reason: "ObserverFinding",
        message: message.chars().take(MAX_MESSAGE).collect(),
        level: "Warning",
        source: Source { component: "observer", host: node },
        first_timestamp: rfc3339_seconds(finding.first_seen),
        last_timestamp: rfc3339_seconds(finding.last_seen),
        count: 1,
        reporting_component: "observer",
        reporting_instance: node,
        involved_object: involved,
    };
    let path = format!("/api/v1/namespaces/{}/events", body.metadata.namespace);
    Some(KubeEvent { path, body: serde_json::to_vec(&body).ok()? })
}

fn involved<'a>(finding: &'a Finding, node: &'a str) -> Involved<'a> {
    let subject = &finding.subject;
    let of_container = subject.container.as_ref().and_then(|container| {
        Some((container.namespace.as_deref()?, container.pod.as_deref()?, container.pod_uid.as_deref()))
    });
    let of_object = subject.object.as_deref().filter(|_| subject.kind == "pod");
    let of_object =
        of_object.and_then(|object| object.split_once('/')).map(|(namespace, name)| (namespace, name, None));
    // Names are part of a path.
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|of| of.is_ascii_alphanumeric() || b"-.".contains(&of))
    };
    match of_object.or(of_container).filter(|(namespace, name, _)| is_name(namespace) && is_name(name)) {
        Some((namespace, name, uid)) => {
            Involved { api_version: "v1", kind: "Pod", name, namespace: Some(namespace), uid }
        }
        // Kubelets name nodes so, too, and kubectl looks for it.
        None => Involved { api_version: "v1", kind: "Node", name: node, namespace: None, uid: Some(node) },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::output::{Container, Subject};

    fn proved(subject: Subject) -> Finding {
        Finding { grade: Grade::Proved, subject, ..Finding::of_nobody("00ff") }
    }

    fn told(finding: &Finding) -> Option<(String, Value)> {
        let event = of(finding, "worker-1")?;
        Some((event.path, serde_json::from_slice(&event.body).unwrap()))
    }

    #[test]
    fn it_is_about_the_pod_else_about_the_node() {
        let some = |text: &str| Some(text.to_owned());
        let container = Container {
            namespace: some("shop"),
            pod: some("web-0"),
            pod_uid: some("u1"),
            ..Container::default()
        };
        let (path, body) =
            told(&proved(Subject { kind: "container", container: Some(container), ..Subject::default() }))
                .unwrap();
        assert_eq!(path, "/api/v1/namespaces/shop/events");
        assert_eq!(body["metadata"]["name"], "observer.00ff");
        assert_eq!(body["involvedObject"]["name"], "web-0");
        assert_eq!(body["involvedObject"]["uid"], "u1");
        let (_, body) =
            told(&proved(Subject { kind: "pod", object: some("pay/db"), ..Subject::default() })).unwrap();
        assert_eq!(
            (&body["involvedObject"]["namespace"], &body["involvedObject"]["name"]),
            (&"pay".into(), &"db".into())
        );
        for object in [None, some("../../x/y"), some("10.0.0.1:80")] {
            let (path, body) = told(&proved(Subject { kind: "pod", object, ..Subject::default() })).unwrap();
            assert_eq!(
                (path.as_str(), &body["involvedObject"]["kind"]),
                ("/api/v1/namespaces/default/events", &"Node".into())
            );
        }
    }

    #[test]
    fn what_is_not_proved_or_is_over_is_not_told() {
        assert!(told(&Finding::of_nobody("1")).is_none());
        assert!(told(&Finding { status: FindingStatus::Resolved, ..proved(Subject::default()) }).is_none());
    }
}
