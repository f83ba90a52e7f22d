//! Signals of what the Kubernetes API says: what it says of this node's pods stands until it says something else, and is
//! seen again and again for as long. What it says of services and policies is told of connections.

mod begin;

use super::{About, Label, Observation, Signal};
use crate::{
    input::{KubeAutoscaler, KubeNamespace, KubePod},
    model::kube::{KubeState, Way, is_over},
    output::{Event, Net, NetAction, NetOutcome, Since},
    time::{Time, Wall},
};

/// How often what stands is seen again.
pub const EVERY_NS: u64 = 5_000_000_000;
/// Who enforces policies takes his time to hear of one.
const YOUNG_POLICY_S: i64 = 60;
/// What nobody asks for of a node, in percent, before it counts as idle.
const IDLE_PERCENT: u64 = 50;
/// Where meshes never put their proxies.
const NEVER: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// What stands. `is_asked`: the user has named whom it is about.
// long: one kind of object after the other
pub fn standing<'a>(
    kube: &'a KubeState,
    takes: impl Fn(&str, &str) -> bool,
    is_asked: bool,
    (now, at): (Time, Wall),
    mut see: impl FnMut(Observation<'a>),
) {
    let of = |signal, namespace: &str, name: &str| {
        let object = format!("{namespace}/{name}");
        Observation::new(now, at, signal, 1.0, nobody())
            .with(Label::Object, object.clone())
            .with(Label::Pod, object)
    };
    let is_taken = |pod: &&KubePod| takes(&pod.namespace, &pod.name) && !is_over(pod);
    for pod in kube.unplaced().into_iter().flatten().filter(is_taken) {
        let Some((reason, message)) = &pod.unplaced else { continue };
        let scope = if only_node(message) { "node" } else { "cluster" };
        if reason == "Unschedulable" && (is_asked || scope == "node") {
            see(of(Signal::KubeUnplaced, &pod.namespace, &pod.name)
                .with(Label::Scope, scope)
                .with(Label::Message, message.as_str())
                .saying(format!("the scheduler says of {}/{}: {message}", pod.namespace, pod.name)));
        }
    }
    full_of_idleness(kube, &of, &mut see);
    for pod in kube.pods().into_iter().flatten().filter(is_taken) {
        if let Some(Wish { mesh, by, words }) = kube.namespace(&pod.namespace).and_then(|its| wish(pod, its))
        {
            see(of(Signal::KubeNoSidecar, &pod.namespace, &pod.name)
                .with(Label::Name, mesh)
                .with(Label::Seen, by)
                .saying(format!(
                    "{}/{} asks for a proxy of {mesh} by {words}, and has only {}",
                    pod.namespace,
                    pod.name,
                    pod.containers.join(", ")
                )));
        }
    }
    for pod in kube.pods().into_iter().flatten().filter(is_taken) {
        if let Some(class) = begin::missing_class(kube, pod) {
            see(of(Signal::KubeNoClass, &pod.namespace, &pod.name).saying(format!(
                "{}/{} waits, and there is no RuntimeClass {class} that it names",
                pod.namespace, pod.name
            )));
        }
        for (kind, event) in begin::troubles(kube, pod, at) {
            see(of(Signal::KubePodEvent, &pod.namespace, &pod.name)
                .with(Label::Kind, kind)
                .with(Label::Message, event.message.as_str())
                .saying(format!(
                    "a kubelet says of {}/{}, {} times: {}: {}",
                    pod.namespace, pod.name, event.count, event.reason, event.message
                )));
        }
    }
    for scaler in kube.autoscalers().into_iter().flatten() {
        let is_here = kube.pods().into_iter().flatten().filter(is_taken).any(|pod| is_scaled_by(pod, scaler));
        if let Some((reason, message)) = scaler.inactive.as_ref().filter(|_| is_here) {
            see(of(Signal::KubeBlind, &scaler.namespace, &scaler.name)
                .with(Label::Kind, blindness(reason, message))
                .saying(format!("{}/{} says {reason}: {message}", scaler.namespace, scaler.name)));
        }
    }
}

/// Pods that are refused since this node has as many as it takes, although half of it is asked for by nobody.
fn full_of_idleness<'a>(
    kube: &'a KubeState,
    of: &impl Fn(Signal, &str, &str) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let (Some(node), Some(pods), Some(unplaced)) = (kube.node(), kube.pods(), kube.unplaced()) else {
        return;
    };
    let live = || pods.iter().filter(|pod| !matches!(pod.phase.as_str(), "Succeeded" | "Failed"));
    let (Some(max), Some(cpus), Some(memory)) = (node.max_pods, node.milli_cpus, node.memory_bytes) else {
        return;
    };
    let asked_cpus: u64 = live().map(|pod| pod.milli_cpus).sum();
    let asked_memory: u64 = live().map(|pod| pod.memory_bytes).sum();
    let is_idle = |asked: u64, all: u64| all > 0 && asked <= all / 100 * (100 - IDLE_PERCENT);
    let refused = unplaced
        .iter()
        .find(|pod| pod.unplaced.as_ref().is_some_and(|(_, message)| message.contains("Too many pods")));
    if let Some(pod) = refused
        && live().count() as u64 >= max
        && is_idle(asked_cpus, cpus)
        && is_idle(asked_memory, memory)
    {
        see(of(Signal::KubeRefused, &pod.namespace, &pod.name).with(Label::Object, node.name.as_str()).saying(
            format!(
                "{}/{} is refused for too many pods: {} has {max}, which ask for {asked_cpus} of {cpus} milli-CPUs \
                 and {} of {} MiB",
                pod.namespace,
                pod.name,
                node.name,
                asked_memory >> 20,
                memory >> 20
            ),
        ));
    }
}

/// What a connection has to do with services: whether the one that was connected to has endpoints.
pub(super) fn of_service(kube: &KubeState, net: &Net, observation: &mut Observation) {
    let Some(server) = net.server else { return };
    let Some(service) = kube.service_at(server.ip().to_canonical(), server.port()) else { return };
    observation.set(Label::Endpoints, if service.ready == 0 { "none" } else { "some" });
    if let Some(text) = observation.text.as_mut().filter(|_| service.ready == 0) {
        text.push_str(&format!("; service {} has no ready endpoint", service.name));
    }
    observation.set(Label::Name, service.name);
}

/// A connection that was made although a policy allows one end of it none at all.
pub(super) fn of_policy<'a>(
    kube: &KubeState,
    net: &Net,
    event: &Event,
    now: Time,
    see: &mut impl FnMut(Observation<'a>),
) {
    if (net.action, net.outcome) != (NetAction::Connect, NetOutcome::Connected) {
        return;
    }
    if let Some(Breach { pod, policy, text }) = breach(kube, net, event) {
        // It is about the pod of the policy, whoever connected.
        let about = About { probe: "net", ..nobody() };
        see(Observation::new(now, event.time, Signal::KubeForbidden, 1.0, about)
            .with(Label::Policy, policy.clone())
            .with(Label::Object, policy)
            .with(Label::Pod, pod)
            .saying(text));
    }
}

/// The pod that a policy is about, and what happened to it.
struct Breach {
    pod: String,
    policy: String,
    text: String,
}

fn breach(kube: &KubeState, net: &Net, event: &Event) -> Option<Breach> {
    let since = event.time.0 / 1_000_000_000 - YOUNG_POLICY_S;
    let of = event.container.as_ref()?;
    let client = kube.pod(of.namespace.as_deref()?, of.pod.as_deref()?)?;
    let to = net.server?;
    let address = to.ip().to_canonical();
    // The node itself may always speak to its pods, and a pod to itself.
    if client.host_network || client.ips.contains(&address) {
        return None;
    }
    let server = kube.pod_at(address);
    let incoming =
        || server.and_then(|pod| Some((pod, kube.isolates(pod, Way::In, since)?, "lets nobody connect to")));
    // Of what is in between, and of the node, a policy says nothing.
    let is_elsewhere = server.is_some() || super::net::kind(address) == "public";
    let outgoing =
        || Some((client, kube.isolates(client, Way::Out, since)?, "lets nothing be connected to by"));
    let (pod, policy, says) = incoming().or_else(|| outgoing().filter(|_| is_elsewhere))?;
    let (pod, policy) =
        (format!("{}/{}", pod.namespace, pod.name), format!("{}/{}", policy.namespace, policy.name));
    let text =
        format!("{}/{} connected to {to}: policy {policy} {says} {pod}", client.namespace, client.name);
    Some(Breach { pod, policy, text })
}

/// Whether the scheduler had no other node to think of.
fn only_node(message: &str) -> bool {
    message.starts_with("0/1 nodes")
}

/// What an autoscaler is blind for.
fn blindness(reason: &str, message: &str) -> &'static str {
    let gone =
        ["could not find the requested resource", "unable to handle the request", "service unavailable"];
    match reason {
        "FailedGetResourceMetric" | "FailedGetContainerResourceMetric" => {
            if message.contains("missing request for") {
                "no-request"
            } else if message.contains("resource metrics API")
                && gone.iter().any(|words| message.contains(words))
            {
                "metrics-api"
            } else {
                "other"
            }
        }
        _ => "other",
    }
}

/// Deployments make pods by sets whose names have the hash of the pods' template at their end.
fn is_scaled_by(pod: &KubePod, scaler: &KubeAutoscaler) -> bool {
    let Some((kind, name)) = &pod.owner else { return false };
    let of_set = || {
        let hash = pod.labels.get("pod-template-hash")?;
        name.strip_suffix(hash.as_str())?.strip_suffix('-')
    };
    let (target, named) = &scaler.target;
    pod.namespace == scaler.namespace
        && ((kind == target && name == named)
            || (target == "Deployment" && kind == "ReplicaSet" && of_set() == Some(named.as_str())))
}

/// That there should be a proxy beside a pod's containers: whose, who says so, and how.
struct Wish {
    mesh: &'static str,
    by: &'static str,
    words: String,
}

/// The wish of a pod for a proxy that it has not.
fn wish(pod: &KubePod, namespace: &KubeNamespace) -> Option<Wish> {
    if pod.host_network || pod.phase != "Running" || NEVER.contains(&pod.namespace.as_str()) {
        return None;
    }
    istio(pod, namespace).or_else(|| linkerd(pod, namespace))
}

fn istio(pod: &KubePod, namespace: &KubeNamespace) -> Option<Wish> {
    let label = |key: &str| pod.labels.get(key).map(String::as_str);
    let own = label("sidecar.istio.io/inject")
        .or_else(|| pod.annotations.get("sidecar.istio.io/inject").map(String::as_str));
    let mode = label("istio.io/dataplane-mode")
        .or_else(|| namespace.labels.get("istio.io/dataplane-mode").map(String::as_str));
    let has_proxy = pod.containers.iter().any(|name| name == "istio-proxy")
        || pod.annotations.contains_key("sidecar.istio.io/status");
    if has_proxy || own == Some("false") || mode == Some("ambient") {
        return None;
    }
    let wish = |by, words| Some(Wish { mesh: "istio", by, words });
    let of_all = namespace.labels.get("istio-injection").map(String::as_str);
    match (of_all, namespace.labels.get("istio.io/rev")) {
        (Some("enabled"), _) => wish("namespace", "its namespace's label istio-injection=enabled".to_owned()),
        (Some(_), _) => None,
        (None, Some(rev)) => wish("namespace", format!("its namespace's label istio.io/rev={rev}")),
        (None, None) if label("sidecar.istio.io/inject") == Some("true") => {
            wish("pod", "its own label sidecar.istio.io/inject=true".to_owned())
        }
        (None, None) => None,
    }
}

fn linkerd(pod: &KubePod, namespace: &KubeNamespace) -> Option<Wish> {
    const KEY: &str = "linkerd.io/inject";
    let has_proxy = pod.containers.iter().any(|name| name == "linkerd-proxy");
    if has_proxy || !pod.has_token {
        return None;
    }
    let (by, said) = match (pod.annotations.get(KEY), namespace.annotations.get(KEY)) {
        (Some(own), _) => ("pod", own),
        (None, Some(of_all)) => ("namespace", of_all),
        (None, None) => return None,
    };
    let whose = if by == "pod" { "its own" } else { "its namespace's" };
    matches!(said.as_str(), "enabled" | "ingress").then(|| Wish {
        mesh: "linkerd",
        by,
        words: format!("{whose} annotation {KEY}={said}"),
    })
}

fn nobody() -> About<'static> {
    About {
        probe: "kubernetes",
        container: None,
        process: None,
        since: Since::Attach,
        in_teardown: false,
        is_young: false,
    }
}

#[cfg(test)]
mod tests;
