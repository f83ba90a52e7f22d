//! Services, where they are to be found, and policies.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, de::IgnoredAny};

use super::{Meta, Object, seconds};
use crate::input::{Allows, KubePolicy, KubeRequirement, KubeService, KubeSlice, Requires};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceSpec {
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

pub(super) fn service(it: Object<ServiceSpec, ()>) -> KubeService {
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
pub(super) struct Slice {
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

pub(super) fn slice(it: Slice) -> KubeSlice {
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
pub(super) struct PolicySpec {
    pod_selector: Selector,
    policy_types: Option<Vec<String>>,
    ingress: Option<Vec<IgnoredAny>>,
    egress: Option<Vec<IgnoredAny>>,
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

pub(super) fn policy(it: Object<PolicySpec, ()>) -> KubePolicy {
    let spec = it.spec.unwrap_or_default();
    let types = spec.policy_types.unwrap_or_else(|| {
        // As the API has it where they are not said.
        let egress = spec.egress.as_ref().map(|_| "Egress".to_owned());
        std::iter::once("Ingress".to_owned()).chain(egress).collect()
    });
    let says = |name: &str, rules: Option<Vec<IgnoredAny>>| {
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
