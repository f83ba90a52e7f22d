//! Objects of the Kubernetes API, as JSON, cut down to facts. What is of another kind, or no JSON, is refused whole.

mod events;
mod network;
mod pods;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    input::{Kube, KubeAutoscaler, KubeKind, KubeNamespace, KubeRuntimeClass, KubeWebhook},
    probes::text::Redactor,
};
use events::event;
use network::{policy, service, slice};
use pods::{node, pod};

/// Objects of a list.
pub const MAX_ITEMS: usize = 2_000;
/// Bytes of a text, and labels of an object.
const MAX_TEXT: usize = 512;
const MAX_LABELS: usize = 64;

/// How long the API waits for a webhook, unless it is told otherwise.
const WEBHOOK_S: u64 = 10;
/// What meshes read.
const OF_MESHES: [&str; 6] = [
    "istio-injection",
    "istio.io/rev",
    "istio.io/dataplane-mode",
    "sidecar.istio.io/inject",
    "sidecar.istio.io/status",
    "linkerd.io/inject",
];

/// What the API calls a list, and where it is.
pub fn place(kind: KubeKind, node: &str) -> (&'static str, String) {
    let all = |path: &str| format!("{path}?resourceVersion=0");
    match kind {
        KubeKind::Node => ("Node", format!("/api/v1/nodes/{node}")),
        KubeKind::Pods => {
            ("PodList", format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&resourceVersion=0"))
        }
        KubeKind::Unplaced => (
            "PodList",
            format!("/api/v1/pods?fieldSelector=spec.nodeName%3D,status.phase%3DPending&limit={MAX_ITEMS}"),
        ),
        KubeKind::Namespaces => ("NamespaceList", all("/api/v1/namespaces")),
        KubeKind::Services => ("ServiceList", all("/api/v1/services")),
        KubeKind::Slices => ("EndpointSliceList", all("/apis/discovery.k8s.io/v1/endpointslices")),
        KubeKind::Policies => ("NetworkPolicyList", all("/apis/networking.k8s.io/v1/networkpolicies")),
        KubeKind::Autoscalers => {
            ("HorizontalPodAutoscalerList", all("/apis/autoscaling/v2/horizontalpodautoscalers"))
        }
        KubeKind::ValidatingWebhooks => (
            "ValidatingWebhookConfigurationList",
            all("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"),
        ),
        KubeKind::MutatingWebhooks => (
            "MutatingWebhookConfigurationList",
            all("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
        ),
        KubeKind::RuntimeClasses => ("RuntimeClassList", all("/apis/node.k8s.io/v1/runtimeclasses")),
        // Those of all nodes: there is no selector for one's own. That one is there is concluded from, never that none is.
        KubeKind::Events => (
            "EventList",
            format!(
                "/api/v1/events?fieldSelector=involvedObject.kind%3DPod,type%3DWarning&limit={MAX_ITEMS}"
            ),
        ),
    }
}

/// What an answer says.
///
/// # Errors
/// It is not what was asked for.
pub fn read(kind: KubeKind, expected: &str, json: &[u8]) -> Result<Kube, String> {
    Ok(match kind {
        KubeKind::Node => Kube::Node(Box::new(node(whole(expected, json)?))),
        KubeKind::Pods => Kube::Pods(list(expected, json, pod)?),
        KubeKind::Unplaced => Kube::Unplaced(list(expected, json, pod)?),
        KubeKind::Namespaces => Kube::Namespaces(list(expected, json, |it: Object<(), ()>| KubeNamespace {
            name: it.metadata.name,
            labels: of_meshes(it.metadata.labels),
            annotations: of_meshes(it.metadata.annotations),
        })?),
        KubeKind::Services => Kube::Services(list(expected, json, service)?),
        KubeKind::Slices => Kube::Slices(list(expected, json, slice)?),
        KubeKind::Policies => Kube::Policies(list(expected, json, policy)?),
        KubeKind::Autoscalers => Kube::Autoscalers(list(expected, json, autoscaler)?),
        KubeKind::RuntimeClasses => Kube::RuntimeClasses(list(expected, json, |it: Class| {
            KubeRuntimeClass { name: it.metadata.name, handler: it.handler }
        })?),
        KubeKind::Events => Kube::Events(list(expected, json, event)?),
        KubeKind::ValidatingWebhooks | KubeKind::MutatingWebhooks => {
            let each = list(expected, json, |it: Configuration| it.webhooks)?;
            Kube::Webhooks(each.into_iter().flatten().flatten().take(MAX_ITEMS).map(webhook).collect())
        }
    })
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Option<Vec<T>>,
}

pub(super) fn whole<T: DeserializeOwned>(expected: &str, json: &[u8]) -> Result<T, String> {
    // What a parser says may quote what it reads.
    let wrong = |_| "its answer is no JSON that could be meant".to_owned();
    let kind: Kind = serde_json::from_slice(json).map_err(wrong)?;
    if kind.kind.as_deref() != Some(expected) {
        return Err(format!("its answer is no {expected}"));
    }
    serde_json::from_slice(json).map_err(wrong)
}

pub(super) fn list<T: DeserializeOwned, U>(
    expected: &str,
    json: &[u8],
    of: impl Fn(T) -> U,
) -> Result<Vec<U>, String> {
    let list: List<T> = whole(expected, json)?;
    let items = list.items.unwrap_or_default();
    if items.len() > MAX_ITEMS {
        return Err(format!("there are {} of them, more than {MAX_ITEMS}", items.len()));
    }
    Ok(items.into_iter().map(of).collect())
}

#[derive(Deserialize)]
struct Object<S, T> {
    metadata: Meta,
    spec: Option<S>,
    status: Option<T>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
    pub message: Option<String>,
}

/// Reason and message of a condition that is false.
fn failed(conditions: Option<Vec<Condition>>, kind: &str) -> Option<(String, String)> {
    let found =
        conditions?.into_iter().find(|condition| condition.kind == kind && condition.status == "False")?;
    Some((found.reason.unwrap_or_default(), short(found.message.unwrap_or_default())))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ScalerSpec {
    scale_target_ref: Target,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScalerStatus {
    conditions: Option<Vec<Condition>>,
}

fn autoscaler(it: Object<ScalerSpec, ScalerStatus>) -> KubeAutoscaler {
    let target = it.spec.unwrap_or_default().scale_target_ref;
    KubeAutoscaler {
        namespace: it.metadata.namespace,
        name: it.metadata.name,
        target: (target.kind, target.name),
        inactive: failed(it.status.unwrap_or_default().conditions, "ScalingActive"),
    }
}

#[derive(Deserialize)]
struct Class {
    metadata: Meta,
    #[serde(default)]
    handler: String,
}

#[derive(Deserialize)]
struct Configuration {
    webhooks: Option<Vec<Webhook>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Webhook {
    name: String,
    timeout_seconds: Option<u64>,
    failure_policy: Option<String>,
    client_config: ClientConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClientConfig {
    service: Option<ServiceReference>,
}

#[derive(Deserialize)]
struct ServiceReference {
    namespace: String,
    name: String,
    port: Option<u16>,
    path: Option<String>,
}

fn webhook(it: Webhook) -> KubeWebhook {
    KubeWebhook {
        name: it.name,
        timeout_s: it.timeout_seconds.unwrap_or(WEBHOOK_S),
        fails: it.failure_policy.as_deref() != Some("Ignore"),
        service: it.client_config.service.map(|of| (of.namespace, of.name, of.port.unwrap_or(443), of.path)),
    }
}

fn of_meshes(all: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let kept = all.into_iter().flatten().filter(|(key, _)| OF_MESHES.contains(&key.as_str()));
    kept.map(|(key, value)| (key, short(value))).collect()
}

/// Bounded, and without what looks like a secret: whoever wrote it may have quoted anything.
pub(super) fn short(mut text: String) -> String {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_TEXT).last().unwrap_or(0);
    if text.len() > MAX_TEXT {
        text.truncate(end);
    }
    String::from_utf8_lossy(&REDACTOR.redact(text.as_bytes())).into_owned()
}

/// Seconds since the epoch.
pub(super) fn seconds(text: &str) -> Option<i64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_second())
}

/// A quantity in thousandths of its unit: `250m`, `2`, `1.5Gi`, `128974848`, `1e3`.
fn milli(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let scale = match unit {
        "m" => 1.0,
        "" => 1e3,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "T" => 1e15,
        "Ki" => 1e3 * 1_024.0,
        "Mi" => 1e3 * 1_048_576.0,
        "Gi" => 1e3 * 1_073_741_824.0,
        "Ti" => 1e3 * 1_099_511_627_776.0,
        exponent => 1e3 * 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let milli = number * scale;
    (milli.is_finite() && milli < 1e18).then_some(milli as u64)
}

#[cfg(test)]
mod tests;
