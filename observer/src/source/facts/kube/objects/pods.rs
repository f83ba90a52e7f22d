//! Nodes and pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Condition, MAX_LABELS, Object, failed, milli, of_meshes};
use crate::input::{KubeNode, KubePod};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    allocatable: BTreeMap<String, String>,
    addresses: Option<Vec<Address>>,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

pub(super) fn node(it: Object<(), NodeStatus>) -> KubeNode {
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
pub(super) struct PodSpec {
    host_network: Option<bool>,
    automount_service_account_token: Option<bool>,
    runtime_class_name: Option<String>,
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
pub(super) struct PodStatus {
    phase: String,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: String,
}

pub(super) fn pod(it: Object<PodSpec, PodStatus>) -> KubePod {
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
        runtime_class: spec.runtime_class_name,
    }
}
