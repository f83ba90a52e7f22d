use std::collections::BTreeMap;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn pod(labels: &[(&str, &str)], containers: &[&str]) -> KubePod {
    KubePod {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        phase: "Running".to_owned(),
        labels: map(labels),
        containers: containers.iter().map(|name| (*name).to_owned()).collect(),
        has_token: true,
        ..KubePod::default()
    }
}

/// Which mesh it asks, and by what.
fn asks(
    pod: &KubePod,
    labels: &[(&str, &str)],
    annotations: &[(&str, &str)],
) -> Option<(&'static str, &'static str)> {
    let namespace =
        KubeNamespace { name: "shop".to_owned(), labels: map(labels), annotations: map(annotations) };
    wish(pod, &namespace).map(|wish| (wish.mesh, wish.by))
}

#[test]
fn who_asks_for_a_proxy_and_has_none() {
    const ON: &[(&str, &str)] = &[("istio-injection", "enabled")];
    const OWN: &[(&str, &str)] = &[("sidecar.istio.io/inject", "true")];
    let plain = pod(&[], &["app"]);
    assert_eq!(asks(&plain, ON, &[]), Some(("istio", "namespace")));
    assert_eq!(asks(&plain, &[("istio.io/rev", "stable")], &[]), Some(("istio", "namespace")));
    assert_eq!(asks(&pod(OWN, &["app"]), &[], &[]), Some(("istio", "pod")));
    assert_eq!(asks(&plain, &[], &[("linkerd.io/inject", "enabled")]), Some(("linkerd", "namespace")));
    for (of, labels) in [
        (plain.clone(), &[][..]),
        (pod(&[], &["app", "istio-proxy"]), ON),
        (pod(&[("sidecar.istio.io/inject", "false")], &["app"]), ON),
        (pod(OWN, &["app"]), &[("istio-injection", "disabled")]),
        (plain.clone(), &[("istio-injection", "disabled"), ("istio.io/rev", "stable")]),
        (plain.clone(), &[("istio-injection", "enabled"), ("istio.io/dataplane-mode", "ambient")]),
        (KubePod { host_network: true, ..plain.clone() }, ON),
        (KubePod { phase: "Pending".to_owned(), ..plain.clone() }, ON),
        (KubePod { annotations: map(&[("sidecar.istio.io/status", "{}")]), ..plain.clone() }, ON),
        (KubePod { namespace: "kube-system".to_owned(), ..plain.clone() }, ON),
    ] {
        assert_eq!(asks(&of, labels, &[]), None, "{of:?} {labels:?}");
    }
    let tokenless = KubePod { has_token: false, ..plain.clone() };
    assert_eq!(asks(&tokenless, &[], &[("linkerd.io/inject", "enabled")]), None);
    let out = KubePod { annotations: map(&[("linkerd.io/inject", "disabled")]), ..plain };
    assert_eq!(asks(&out, &[], &[("linkerd.io/inject", "enabled")]), None);
}

#[test]
fn an_autoscaler_is_blind_for_a_reason() {
    let of = |message: &str| blindness("FailedGetResourceMetric", message);
    let api = "unable to fetch metrics from resource metrics API: the server is currently unable to handle the request";
    assert_eq!(of(api), "metrics-api");
    assert_eq!(
        of("failed to get cpu utilization: missing request for cpu in container app of Pod web-1"),
        "no-request"
    );
    assert_eq!(of("did not receive metrics for targeted pods (pods might be unready)"), "other");
    assert_eq!(of("no metrics returned from resource metrics API"), "other");
    assert_eq!(blindness("ScalingDisabled", api), "other");
}

#[test]
fn pods_are_those_of_their_deployment() {
    let of_set = |set: &str| KubePod {
        owner: Some(("ReplicaSet".to_owned(), set.to_owned())),
        ..pod(&[("pod-template-hash", "5f6")], &[])
    };
    let scaler = KubeAutoscaler {
        namespace: "shop".to_owned(),
        target: ("Deployment".to_owned(), "web".to_owned()),
        ..KubeAutoscaler::default()
    };
    assert!(is_scaled_by(&of_set("web-5f6"), &scaler));
    for other in ["web-5f6-5f6", "web-api-5f6", "web-777", "web5f6", "web"] {
        assert!(!is_scaled_by(&of_set(other), &scaler), "{other}");
    }
}
