use std::collections::BTreeSet;

use super::*;
use crate::input::Allows;

fn read_list(kind: KubeKind, items: &str) -> Result<Kube, String> {
    let (expected, _) = place(kind, "worker-1");
    read(kind, expected, format!(r#"{{"kind":"{expected}","items":{items}}}"#).as_bytes())
}

#[test]
fn quantities() {
    let gib = 1_024.0 * 1_024.0 * 1_024.0;
    for (text, expected) in [
        ("250m", Some(250)),
        ("2", Some(2_000)),
        ("1.5Gi", Some((1.5 * gib) as u64 * 1_000)),
        ("128974848", Some(128_974_848_000)),
        ("1e3", Some(1_000_000)),
        ("", None),
        ("Gi", None),
        ("1Zi", None),
        ("1e400", None),
        ("-1", None),
    ] {
        assert_eq!(milli(text), expected, "{text:?}");
    }
}

#[test]
fn what_is_of_another_kind_or_too_much_is_refused_whole() {
    assert_eq!(read_list(KubeKind::Pods, "null"), Ok(Kube::Pods(Vec::new())));
    for json in [
        "",
        "[]",
        "{}",
        r#"{"kind":"Status"}"#,
        r#"{"kind":"PodList","items":[{"metadata":"planted"}]}"#,
        "planted",
    ] {
        let error = read(KubeKind::Pods, "PodList", json.as_bytes()).unwrap_err();
        assert!(!error.contains("planted"), "{error}");
    }
    let many = vec![r#"{"metadata":{"name":"a"}}"#; MAX_ITEMS + 1].join(",");
    assert!(read_list(KubeKind::Namespaces, &format!("[{many}]")).unwrap_err().contains("2001"));
}

#[test]
fn a_pod_is_cut_down_to_what_is_asked_of_it() {
    let json = r#"[{"metadata":{"namespace":"shop","name":"web","labels":{"app":"web"},
        "annotations":{"sidecar.istio.io/inject":"true","planted":"secret"},
        "ownerReferences":[{"kind":"Job","name":"no"},{"kind":"ReplicaSet","name":"web-1","controller":true}]},
        "spec":{"initContainers":[{"name":"istio-proxy"}],"containers":[{"name":"app",
            "env":[{"name":"X","value":"planted"}],"resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}]},
        "status":{"phase":"Pending","podIPs":[{"ip":"10.1.2.3"},{"ip":"fd00::1"}],"conditions":[
            {"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"token=planted"}]}}]"#;
    let Ok(Kube::Pods(pods)) = read_list(KubeKind::Pods, json) else { panic!("a list of pods") };
    let pod = &pods[0];
    assert!(!format!("{pod:?}").contains("planted"), "{pod:?}");
    assert_eq!(pod.owner, Some(("ReplicaSet".to_owned(), "web-1".to_owned())));
    assert_eq!(pod.containers, ["istio-proxy", "app"]);
    assert_eq!((pod.milli_cpus, pod.memory_bytes, pod.ips.len(), pod.has_token), (100, 64 << 20, 2, true));
    assert_eq!(pod.unplaced.as_ref().map(|(reason, _)| reason.as_str()), Some("Unschedulable"));
}

#[test]
fn policies_as_the_api_means_them() {
    let of = |spec: &str| {
        let json = format!(r#"[{{"metadata":{{"name":"p","namespace":"n"}},"spec":{spec}}}]"#);
        let Ok(Kube::Policies(all)) = read_list(KubeKind::Policies, &json) else {
            panic!("a list of policies")
        };
        (all[0].ingress, all[0].egress)
    };
    let (nothing, some) = (Some(Allows::Nothing), Some(Allows::Some));
    assert_eq!(of(r#"{"podSelector":{}}"#), (nothing, None));
    assert_eq!(of(r#"{"podSelector":{},"egress":[]}"#), (nothing, nothing));
    assert_eq!(of(r#"{"podSelector":{},"policyTypes":["Egress"]}"#), (None, nothing));
    assert_eq!(of(r#"{"podSelector":{},"ingress":[{}]}"#), (some, None));
}

#[test]
fn texts_are_cut_between_characters() {
    let long = "ü".repeat(MAX_TEXT);
    let cut = short(long);
    assert!(cut.len() <= MAX_TEXT && cut.chars().all(|of| of == 'ü') && !cut.is_empty());
}

/// A rule of a role.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Role {
    rules: Vec<Rule>,
}

/// What `deploy/kubernetes/api.yaml` lets the observer do is what it does.
#[test]
fn the_role_allows_what_is_asked_and_no_more() {
    let manifest = include_str!("../../../../../deploy/kubernetes/api.yaml");
    let role = manifest.split("\n---\n").next().unwrap();
    let role: Role = serde_saphyr::from_str(role).unwrap();
    let allowed = role.rules.iter().flat_map(|rule| {
        let pairs = rule.resources.iter().flat_map(|of| rule.verbs.iter().map(move |verb| (of, verb)));
        pairs.map(|(of, verb)| format!("{verb} {}/{of}", rule.api_groups.join(",")))
    });
    let allowed: BTreeSet<String> = allowed.collect();
    let asked = KubeKind::ALL.into_iter().map(|kind| {
        let (of, path) = place(kind, "here");
        let path = path.split('?').next().unwrap();
        let (verb, path) = path.strip_suffix("/here").map_or(("list", path), |path| ("get", path));
        let (group, resource) = match path.strip_prefix("/apis/") {
            Some(path) => (path.split('/').next().unwrap(), path.rsplit('/').next().unwrap()),
            None => ("", path.rsplit('/').next().unwrap()),
        };
        assert!(of.ends_with("List") != (verb == "get"), "{of}");
        format!("{verb} {group}/{resource}")
    });
    // `describe` asks for one pod and its Events; --k8s-events makes some.
    let more = ["get /pods", "list /events", "create /events"].map(str::to_owned);
    assert_eq!(allowed, asked.chain(more).collect());
}
