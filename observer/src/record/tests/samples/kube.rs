//! Answers of the Kubernetes API, one of each kind, and a refusal.

use std::collections::BTreeMap;

use crate::{
    input::{
        Allows, FactKind, Kube, KubeAutoscaler, KubeEvent, KubeKind, KubeNamespace, KubeNode, KubePod,
        KubePolicy, KubeRequirement, KubeRuntimeClass, KubeService, KubeSlice, KubeWebhook, LookupError,
        Requires, WebhookPlace,
    },
    probes::webhook::Target,
};

pub(super) fn facts() -> Vec<FactKind> {
    let text = |text: &str| text.to_owned();
    let one = BTreeMap::from([(text("istio-injection"), text("\u{1b}[31m"))]);
    let address = "fd00::1".parse().unwrap();
    let ports = vec![(text("https"), u16::MAX)];
    let requirement = |how| KubeRequirement { key: text("app"), how, values: vec![text("db")] };
    let hows = [Requires::In, Requires::NotIn, Requires::Exists, Requires::DoesNotExist, Requires::Other];
    let pod = || KubePod {
        name: text("web-0"),
        ips: vec![address],
        owner: Some((text("ReplicaSet"), text("web"))),
        labels: one.clone(),
        unplaced: Some((text("Unschedulable"), text("0/1 nodes"))),
        containers: vec![text("app")],
        runtime_class: Some(text("wasm")),
        ..KubePod::default()
    };
    let node = KubeNode {
        name: text("n"),
        max_pods: Some(u64::MAX),
        addresses: vec![address],
        ..KubeNode::default()
    };
    let namespace = KubeNamespace { name: text("shop"), labels: one.clone(), annotations: one.clone() };
    let service = KubeService {
        namespace: text("shop"),
        name: text("web"),
        addresses: vec![address],
        ports: ports.clone(),
    };
    let slice = KubeSlice { namespace: text("shop"), service: text("web"), ready: vec![address], ports };
    let policy = KubePolicy {
        created: i64::MAX,
        selector: hows.map(requirement).to_vec(),
        ingress: Some(Allows::Nothing),
        egress: Some(Allows::Some),
        ..KubePolicy::default()
    };
    let scaler =
        KubeAutoscaler { inactive: Some((text("ScalingDisabled"), text(""))), ..KubeAutoscaler::default() };
    let service_of = Some((text("shop"), text("web"), 443, Some(text("/v1"))));
    let webhook = || KubeWebhook { name: text("w"), timeout_s: 30, fails: true, service: service_of.clone() };
    let class = KubeRuntimeClass { name: text("wasm"), handler: text("spin") };
    let event = KubeEvent { message: text("\u{1b}"), last: Some(i64::MIN), ..KubeEvent::default() };
    let answers = [
        (KubeKind::Node, Kube::Node(Box::new(node))),
        (KubeKind::Pods, Kube::Pods(vec![pod()])),
        (KubeKind::Unplaced, Kube::Unplaced(vec![pod()])),
        (KubeKind::Namespaces, Kube::Namespaces(vec![namespace])),
        (KubeKind::Services, Kube::Services(vec![service])),
        (KubeKind::Slices, Kube::Slices(vec![slice])),
        (KubeKind::Policies, Kube::Policies(vec![policy])),
        (KubeKind::Autoscalers, Kube::Autoscalers(vec![scaler])),
        (KubeKind::ValidatingWebhooks, Kube::Webhooks(vec![webhook()])),
        (KubeKind::MutatingWebhooks, Kube::Webhooks(vec![webhook()])),
        (KubeKind::RuntimeClasses, Kube::RuntimeClasses(vec![class])),
        (KubeKind::Events, Kube::Events(vec![event])),
    ];
    let refusal = LookupError { what: text("the Kubernetes API"), why: text("403") };
    let refusal = FactKind::Kube { kind: KubeKind::Pods, result: Box::new(Err(refusal)) };
    let target = Target { host: text("10.43.0.9"), port: 443, path: None, timeout_ns: Some(1), name: None };
    let facts = answers.map(|(kind, answer)| FactKind::Kube { kind, result: Box::new(Ok(answer)) });
    let place = WebhookPlace { target: target.clone(), by_api: false, is_watched: true };
    let named = [FactKind::KubeTargets(vec![target]), FactKind::WebhookPlaces(vec![place])];
    facts.into_iter().chain([refusal]).chain(named).collect()
}
