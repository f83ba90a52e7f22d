//! Pods of this node that do not begin, by what the API says of them.

use crate::{
    input::{KubeEvent, KubePod},
    model::kube::KubeState,
    time::Wall,
};

/// What was said longer ago may be over. The API's own clock is meant, which is nearly the node's.
const FRESH_S: i64 = 300;
/// Mounts fail now and then until what they need is there.
const MOUNTS: u64 = 3;

/// The RuntimeClass that a pod waits for and that is not there. `None`: there is none such, or not all is known.
pub(super) fn missing_class<'a>(kube: &KubeState, pod: &'a KubePod) -> Option<&'a str> {
    let wanted = pod.runtime_class.as_deref().filter(|_| pod.phase == "Pending")?;
    let is_there = kube.runtime_classes()?.iter().any(|class| class.name == wanted);
    (!is_there).then_some(wanted)
}

/// What a kubelet has said of late of a pod that waits, and what kind of trouble that is.
pub(super) fn troubles<'a>(
    kube: &'a KubeState,
    pod: &'a KubePod,
    at: Wall,
) -> impl Iterator<Item = (&'static str, &'a KubeEvent)> {
    let since = at.0 / 1_000_000_000 - FRESH_S;
    let is_of_it = move |event: &&KubeEvent| (&event.namespace, &event.pod) == (&pod.namespace, &pod.name);
    let is_fresh = move |event: &&KubeEvent| event.last.is_some_and(|last| last >= since);
    let events = kube.events().into_iter().flatten().filter(|_| pod.phase == "Pending");
    events.filter(is_of_it).filter(is_fresh).filter_map(|event| Some((kind(event)?, event)))
}

fn kind(event: &KubeEvent) -> Option<&'static str> {
    let KubeEvent { reason, message, count, .. } = event;
    match reason.as_str() {
        // containerd's words, and the kubelet's.
        "FailedCreatePodSandBox" if message.contains("no runtime for") => Some("no-handler"),
        "FailedCreatePodSandBox" if message.contains("RuntimeClass") && message.contains("not found") => {
            Some("no-class")
        }
        "FailedCreatePodSandBox" => Some("sandbox"),
        "FailedMount" if *count >= MOUNTS => Some("mount"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Kube, KubeKind, KubeRuntimeClass};

    fn pod(phase: &str, class: Option<&str>) -> KubePod {
        KubePod {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            phase: phase.to_owned(),
            runtime_class: class.map(str::to_owned),
            ..KubePod::default()
        }
    }

    #[test]
    fn a_class_is_missing_if_the_others_are_known() {
        let mut kube = KubeState::default();
        let wants = |class| pod("Pending", Some(class));
        assert_eq!(missing_class(&kube, &wants("wasm")), None, "nothing is known");
        let class = KubeRuntimeClass { name: "crun".to_owned(), handler: "crun".to_owned() };
        kube.take(KubeKind::RuntimeClasses, &Ok(Kube::RuntimeClasses(vec![class])));
        assert_eq!(missing_class(&kube, &wants("wasm")), Some("wasm"));
        for other in [wants("crun"), pod("Pending", None), pod("Running", Some("wasm"))] {
            assert_eq!(missing_class(&kube, &other), None, "{other:?}");
        }
    }

    #[test]
    fn what_a_kubelet_says_is_of_a_kind() {
        let event = |reason: &str, message: &str, count, last| KubeEvent {
            namespace: "shop".to_owned(),
            pod: "web".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            count,
            last: Some(last),
        };
        let no_runtime = r#"Failed to create pod sandbox: rpc error: no runtime for "spin" is configured"#;
        let no_class = r#"Failed to create pod sandbox: get runtime handler: RuntimeClass "wasm" not found"#;
        let all = vec![
            event("FailedCreatePodSandBox", no_runtime, 1, 900),
            event("FailedCreatePodSandBox", no_class, 1, 900),
            event("FailedCreatePodSandBox", "plugin type=\"flannel\" failed", 1, 900),
            event("FailedMount", "object not registered", 2, 900),
            event("FailedMount", "secret not found", 3, 900),
            event("BackOff", "Back-off restarting failed container", 9, 900),
            event("FailedCreatePodSandBox", no_runtime, 1, 100),
        ];
        let mut kube = KubeState::default();
        kube.take(KubeKind::Events, &Ok(Kube::Events(all)));
        let of = |pod: &KubePod| {
            troubles(&kube, pod, Wall(1_000_000_000_000)).map(|(kind, _)| kind).collect::<Vec<_>>()
        };
        assert_eq!(of(&pod("Pending", None)), ["no-handler", "no-class", "sandbox", "mount"]);
        assert_eq!(of(&pod("Running", None)), [""; 0]);
        assert_eq!(of(&KubePod { name: "web-1".to_owned(), ..pod("Pending", None) }), [""; 0]);
    }
}
