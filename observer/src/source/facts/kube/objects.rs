//! Objects of the Kubernetes API, as JSON, cut down to facts. What is of another kind, or no JSON, is refused whole.

use std::{collections::BTreeMap, net::IpAddr, sync::LazyLock};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    input::{
        Allows, Kube, KubeAutoscaler, KubeKind, KubeNamespace, KubeNode, KubePod, KubePolicy,
        KubeRequirement, KubeService, KubeSlice, KubeWebhook, Requires,
    },
    probes::text::Redactor,
};

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

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    allocatable: BTreeMap<String, String>,
    addresses: Option<Vec<Address>>,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

fn node(it: Object<(), NodeStatus>) -> KubeNode {
    let status = it.status.unwrap_or_default();
    let of = |name: &str| status.allocatable.get(name);
    KubeNode {
        name: it.metadata.name,
        max_pods: of("pods").and_then(|text| text.parse().ok()),
        milli_cpus: of("cpu").and_then(|text| milli(text)),
        memory_bytes: of("memory").and_then(|text| milli(text)).map(|milli| milli / 1_000),
        addresses: status.addresses.into_iter().flatten().filter_map(|it| it.address.parse().ok()).collect(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    host_network: Option<bool>,
    automount_service_account_token: Option<bool>,
    containers: Option<Vec<PodContainer>>,
    init_containers: Option<Vec<PodContainer>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodContainer {
    name: String,
    resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: String,
}

fn pod(it: Object<PodSpec, PodStatus>) -> KubePod {
    let (spec, status) = (it.spec.unwrap_or_default(), it.status.unwrap_or_default());
    let containers = spec.containers.unwrap_or_default();
    let asks = |name: &str| -> u64 {
        let of = |container: &PodContainer| {
            container.resources.requests.as_ref()?.get(name).and_then(|text| milli(text))
        };
        containers.iter().filter_map(of).fold(0, u64::saturating_add)
    };
    let (milli_cpus, memory_bytes) = (asks("cpu"), asks("memory") / 1_000);
    let owner =
        it.metadata.owner_references.into_iter().flatten().find(|owner| owner.controller == Some(true));
    let all = spec.init_containers.into_iter().flatten().chain(containers);
    KubePod {
        namespace: it.metadata.namespace,
        name: it.metadata.name,
        phase: status.phase,
        is_ending: it.metadata.deletion_timestamp.is_some(),
        ips: status.pod_ips.into_iter().flatten().filter_map(|it| it.ip.parse().ok()).collect(),
        host_network: spec.host_network == Some(true),
        owner: owner.map(|owner| (owner.kind, owner.name)),
        labels: it.metadata.labels.unwrap_or_default().into_iter().take(MAX_LABELS).collect(),
        annotations: of_meshes(it.metadata.annotations),
        unplaced: failed(status.conditions, "PodScheduled"),
        containers: all.map(|container| container.name).collect(),
        has_token: spec.automount_service_account_token != Some(false),
        milli_cpus,
        memory_bytes,
    }
}

/// Reason and message of a condition that is false.
fn failed(conditions: Option<Vec<Condition>>, kind: &str) -> Option<(String, String)> {
    let found =
        conditions?.into_iter().find(|condition| condition.kind == kind && condition.status == "False")?;
    Some((found.reason.unwrap_or_default(), short(found.message.unwrap_or_default())))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceSpec {
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
}

fn ports(all: Option<Vec<Port>>) -> Vec<(String, u16)> {
    let named = |port: Port| Some((port.name.unwrap_or_default(), port.port?));
    all.into_iter().flatten().filter_map(named).collect()
}

fn service(it: Object<ServiceSpec, ()>) -> KubeService {
    let spec = it.spec.unwrap_or_default();
    KubeService {
        namespace: it.metadata.namespace,
        name: it.metadata.name,
        // Headless ones say "None".
        addresses: spec.cluster_ips.into_iter().flatten().filter_map(|text| text.parse().ok()).collect(),
        ports: ports(spec.ports),
    }
}

#[derive(Deserialize)]
struct Slice {
    metadata: Meta,
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    addresses: Vec<String>,
    conditions: EndpointConditions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EndpointConditions {
    ready: Option<bool>,
}

fn slice(it: Slice) -> KubeSlice {
    let labels = it.metadata.labels.unwrap_or_default();
    // Not said is ready.
    let ready =
        it.endpoints.into_iter().flatten().filter(|endpoint| endpoint.conditions.ready != Some(false));
    let mut ready: Vec<IpAddr> =
        ready.flat_map(|endpoint| endpoint.addresses).filter_map(|text| text.parse().ok()).collect();
    ready.sort_unstable();
    KubeSlice {
        namespace: it.metadata.namespace,
        service: labels.get("kubernetes.io/service-name").cloned().unwrap_or_default(),
        ready,
        ports: ports(it.ports),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PolicySpec {
    pod_selector: Selector,
    policy_types: Option<Vec<String>>,
    ingress: Option<Vec<serde::de::IgnoredAny>>,
    egress: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

fn policy(it: Object<PolicySpec, ()>) -> KubePolicy {
    let spec = it.spec.unwrap_or_default();
    let types = spec.policy_types.unwrap_or_else(|| {
        // As the API has it where they are not said.
        let egress = spec.egress.as_ref().map(|_| "Egress".to_owned());
        std::iter::once("Ingress".to_owned()).chain(egress).collect()
    });
    let says = |name: &str, rules: Option<Vec<serde::de::IgnoredAny>>| {
        let is_none = rules.is_none_or(|rules| rules.is_empty());
        types.iter().any(|kind| kind == name).then_some(if is_none { Allows::Nothing } else { Allows::Some })
    };
    let is_in = |(key, value)| KubeRequirement { key, how: Requires::In, values: vec![value] };
    let labels = spec.pod_selector.match_labels.unwrap_or_default().into_iter().map(is_in);
    let expressions = spec.pod_selector.match_expressions.into_iter().flatten().map(|it| KubeRequirement {
        how: match it.operator.as_str() {
            "In" => Requires::In,
            "NotIn" => Requires::NotIn,
            "Exists" => Requires::Exists,
            "DoesNotExist" => Requires::DoesNotExist,
            _ => Requires::Other,
        },
        key: it.key,
        values: it.values.unwrap_or_default(),
    });
    KubePolicy {
        selector: labels.chain(expressions).collect(),
        ingress: says("Ingress", spec.ingress),
        egress: says("Egress", spec.egress),
        // Not said: too young to be judged by.
        created: it.metadata.creation_timestamp.as_deref().and_then(seconds).unwrap_or(i64::MAX),
        namespace: it.metadata.namespace,
        name: it.metadata.name,
    }
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
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::new);
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
