//! Who a container is, from its bundle's annotations and from what its engine says. The bundle comes first:
//! it belongs to this very start, and it is there when the engine does not answer.

use crate::{
    input::{Bundle, CriContainer},
    output::{Container, Kind},
};

/// Annotations by the same meaning, as containerd's CRI, CRI-O, the kubelet and podman name them.
mod key {
    pub(super) const NAME: &[&str] = &["io.kubernetes.cri.container-name", "io.kubernetes.container.name"];
    pub(super) const POD: &[&str] =
        &["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name", "io.kubernetes.cri-o.KubeName"];
    pub(super) const NAMESPACE: &[&str] = &[
        "io.kubernetes.cri.sandbox-namespace",
        "io.kubernetes.pod.namespace",
        "io.kubernetes.cri-o.Namespace",
    ];
    pub(super) const POD_UID: &[&str] = &["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"];
    pub(super) const SANDBOX: &[&str] = &["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"];
    pub(super) const ATTEMPT: &[&str] = &["io.kubernetes.container.restartCount"];
    pub(super) const IMAGE: &[&str] = &[
        "io.kubernetes.cri.image-name",
        "io.kubernetes.cri-o.UserRequestedImage",
        "io.kubernetes.cri-o.ImageName",
        "org.opencontainers.image.ref.name",
    ];
    pub(super) const KIND: &[&str] =
        &["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];
    pub(super) const OCI_HANDLER: &str = "run.oci.handler";
    pub(super) const WASM_VARIANT: &str = "module.wasm.image/variant";
    pub(super) const CRI_HANDLER: &[&str] =
        &["io.containerd.cri.runtime-handler", "io.kubernetes.cri-o.RuntimeHandler"];
    pub(super) const MANAGER: &[&str] = &["io.container.manager"];
}

/// What the sandbox's own container is called by those who give it a name.
const SANDBOX_NAME: &str = "POD";

/// Whether an annotation may be kept: it names a pod, an image or a handler. Others may hold anything, also
/// those of CRI-O and the kubelet that carry a pod's whole annotations or its hooks.
pub fn is_identifying(annotation: &str) -> bool {
    const GROUPS: [&[&str]; 9] = [
        key::NAME,
        key::POD,
        key::NAMESPACE,
        key::POD_UID,
        key::SANDBOX,
        key::ATTEMPT,
        key::IMAGE,
        key::KIND,
        key::CRI_HANDLER,
    ];
    annotation.starts_with("io.kubernetes.cri.")
        || annotation.starts_with("org.opencontainers.image.")
        || annotation == key::OCI_HANDLER
        || annotation == key::WASM_VARIANT
        || key::MANAGER.contains(&annotation)
        || GROUPS.iter().any(|group| group.contains(&annotation))
}

/// Fills in what the bundle and the engine say of a container, and leaves what they do not know.
pub fn identify(container: &mut Container, bundle: Option<&Bundle>, cri: Option<&CriContainer>) {
    let said = |keys: &[&str]| {
        let annotations = &bundle?.annotations;
        keys.iter().find_map(|key| annotations.get(*key)).filter(|value| !value.is_empty()).cloned()
    };
    let sandbox = cri.is_some_and(|cri| cri.is_sandbox) || said(key::KIND).as_deref() == Some("sandbox");
    let name = said(key::NAME).filter(|name| !(sandbox && name == SANDBOX_NAME));

    fill(&mut container.name, name, cri.and_then(|cri| cri.name.clone()));
    fill(&mut container.pod, said(key::POD), cri.and_then(|cri| cri.pod.clone()));
    fill(&mut container.namespace, said(key::NAMESPACE), cri.and_then(|cri| cri.namespace.clone()));
    fill(&mut container.pod_uid, said(key::POD_UID), cri.and_then(|cri| cri.pod_uid.clone()));
    fill(&mut container.sandbox_id, said(key::SANDBOX), cri.and_then(|cri| cri.sandbox_id.clone()));
    fill(&mut container.image, said(key::IMAGE), cri.and_then(|cri| cri.image.clone()));
    let attempt = said(key::ATTEMPT).and_then(|text| text.parse().ok());
    fill(&mut container.attempt, attempt, cri.and_then(|cri| cri.attempt));
    let oci_handler = bundle.and_then(|bundle| bundle.annotations.get(key::OCI_HANDLER)).cloned();
    let handler = said(key::CRI_HANDLER).or(oci_handler);
    fill(&mut container.handler, cri.and_then(|cri| cri.handler.clone()), handler);
    if let Some(cri) = cri {
        container.labels.clone_from(&cri.labels);
    }
    if said(key::MANAGER).as_deref() == Some("libpod") {
        fill(&mut container.engine, Some("podman".to_owned()), None);
    }

    if sandbox {
        container.kind = Kind::Sandbox;
    } else if bundle.is_some_and(is_wasm) {
        container.kind = Kind::Wasm;
    }
}

fn fill<T>(field: &mut Option<T>, first: Option<T>, second: Option<T>) {
    if let Some(value) = first.or(second) {
        *field = Some(value);
    }
}

/// Whether the runtime is asked to run the payload as Wasm. The `-smart` values mean: if it is a module.
pub fn is_wasm(bundle: &Bundle) -> bool {
    let annotation = |key: &str| bundle.annotations.get(key).map_or("", String::as_str);
    let (handler, variant) = (annotation(key::OCI_HANDLER), annotation(key::WASM_VARIANT));
    let asked = handler.starts_with("wasm") && handler != "wasm-smart" || variant == "compat";
    let module = |name: &String| [".wasm", ".wat", ".cwasm"].iter().any(|end| name.ends_with(end));
    asked || bundle.entrypoint.as_ref().is_some_and(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(entrypoint: &str, annotations: &[(&str, &str)]) -> Bundle {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Bundle {
            entrypoint: Some(entrypoint.to_owned()),
            annotations: annotations.collect(),
            ..Bundle::default()
        }
    }

    fn identified(bundle: Option<&Bundle>, cri: Option<&CriContainer>) -> Container {
        let mut container = Container::default();
        identify(&mut container, bundle, cri);
        container
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// As CRI-O's config.json has it.
    const CRIO: &[(&str, &str)] = &[
        ("io.kubernetes.container.name", "coredns"),
        ("io.kubernetes.container.restartCount", "3"),
        ("io.kubernetes.cri-o.ContainerType", "container"),
        ("io.kubernetes.cri-o.ImageName", "registry.k8s.io/coredns/coredns:v1.11.1"),
        ("io.kubernetes.cri-o.Name", "k8s_coredns_coredns-5d78c_kube-system_4f1c_3"),
        ("io.kubernetes.cri-o.SandboxID", "a1b2"),
        ("io.kubernetes.pod.name", "coredns-5d78c"),
        ("io.kubernetes.pod.namespace", "kube-system"),
        ("io.kubernetes.pod.uid", "4f1c"),
    ];

    #[test]
    fn crio_container() {
        let container = identified(Some(&bundle("/coredns", CRIO)), None);
        assert_eq!(container.name, some("coredns"));
        assert_eq!(container.pod, some("coredns-5d78c"));
        assert_eq!(container.namespace, some("kube-system"));
        assert_eq!(container.pod_uid, some("4f1c"));
        assert_eq!(container.sandbox_id, some("a1b2"));
        assert_eq!(container.attempt, Some(3));
        assert_eq!(container.image, some("registry.k8s.io/coredns/coredns:v1.11.1"));
        assert_eq!(container.kind, Kind::Oci);
    }

    #[test]
    fn crio_sandbox_has_no_container_name() {
        let sandbox = bundle(
            "/pause",
            &[
                ("io.kubernetes.cri-o.ContainerType", "sandbox"),
                ("io.kubernetes.container.name", "POD"),
                ("io.kubernetes.cri-o.KubeName", "coredns-5d78c"),
                ("io.kubernetes.cri-o.Namespace", "kube-system"),
                ("io.kubernetes.cri-o.RuntimeHandler", "crun-wasm"),
            ],
        );
        let container = identified(Some(&sandbox), None);
        assert_eq!((container.kind, container.name), (Kind::Sandbox, None));
        assert_eq!(container.pod, some("coredns-5d78c"));
        assert_eq!(container.handler, some("crun-wasm"));
    }

    #[test]
    fn wasm_by_annotation_or_module() {
        let kind = |entrypoint, annotations| identified(Some(&bundle(entrypoint, annotations)), None).kind;
        assert_eq!(kind("/app", &[("run.oci.handler", "wasm")]), Kind::Wasm);
        assert_eq!(kind("/app", &[("module.wasm.image/variant", "compat")]), Kind::Wasm);
        assert_eq!(kind("/app", &[("run.oci.handler", "wasm-smart")]), Kind::Oci);
        assert_eq!(kind("/app", &[("module.wasm.image/variant", "compat-smart")]), Kind::Oci);
        assert_eq!(kind("/app.wasm", &[("module.wasm.image/variant", "compat-smart")]), Kind::Wasm);
        assert_eq!(kind("/app.wasm", &[]), Kind::Wasm);
        assert_eq!(kind("/app", &[("run.oci.handler", "krun")]), Kind::Oci);
        assert_eq!(kind("/pause.wasm", &[("io.kubernetes.cri.container-type", "sandbox")]), Kind::Sandbox);
    }

    #[test]
    fn the_engine_fills_what_the_bundle_does_not_say() {
        let cri = CriContainer {
            name: some("other"),
            pod: some("web"),
            attempt: Some(2),
            handler: some("crun"),
            ..CriContainer::default()
        };
        let bundle =
            bundle("/app", &[("io.kubernetes.cri.container-name", "app"), ("run.oci.handler", "wasm")]);
        let container = identified(Some(&bundle), Some(&cri));
        assert_eq!(container.name, some("app"), "the bundle is of this very start");
        assert_eq!(container.pod, some("web"));
        assert_eq!(container.attempt, Some(2));
        assert_eq!(container.handler, some("crun"), "the CRI's handler before the OCI annotation");
        assert_eq!(identified(None, Some(&cri)).name, some("other"));
    }

    #[test]
    fn nothing_known_changes_nothing() {
        let mut container = Container { name: some("conmon's word"), ..Container::default() };
        identify(&mut container, Some(&Bundle::default()), None);
        assert_eq!(container, Container { name: some("conmon's word"), ..Container::default() });
    }

    #[test]
    fn annotations_that_may_hold_anything_are_not_kept() {
        for annotation in [
            "io.kubernetes.cri-o.Annotations",
            "io.kubernetes.cri-o.Labels",
            "io.kubernetes.container.preStopHandler",
            "kubectl.kubernetes.io/last-applied-configuration",
        ] {
            assert!(!is_identifying(annotation), "{annotation}");
        }
    }
}
