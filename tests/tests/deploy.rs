//! What is deployed says the same everywhere: the manifest, the chart and the unit name the same rights, and alerts and
//! dashboards only metrics that there are. Checked with the tools that know better, where they are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use observer::{
    health::{OwnCost, ProbeHealth, Status},
    output::Health,
    sink::metrics::{Metrics, exposition},
    time::Wall,
};
use observer_tests::deploy::{Manifest, documents, folder, manifest};
use serde_json::{Value, json};

#[path = "../../observer/src/skips.rs"]
mod skips;

fn read(path: &str) -> String {
    let path = folder().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn set(list: &Value) -> BTreeSet<String> {
    let names = list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter();
    names.map(|name| name.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn manifest_chart_and_unit_name_the_same_rights() {
    let Manifest { container, .. } = manifest();
    let rights = &container["securityContext"]["capabilities"];
    assert_eq!(rights["drop"], json!(["ALL"]));
    let added = set(&rights["add"]);
    let [values] = &documents(&read("chart/values.yaml"))[..] else { panic!("one document of values") };
    assert_eq!(set(&values["capabilities"]), added);

    let unit = read("systemd/observer.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("a set");
    let of_unit: BTreeSet<String> =
        line.split_whitespace().map(|name| name.trim_start_matches("CAP_").to_owned()).collect();
    // What is for containers alone.
    let in_containers = BTreeSet::from(["SYS_CHROOT".to_owned()]);
    assert_eq!(&of_unit | &in_containers, added);
    assert!(of_unit.is_disjoint(&in_containers));
    // Each is justified, where it is asked for.
    for name in &of_unit {
        assert!(unit.contains(&format!("#   CAP_{name} ")), "{name} has no reason in the unit");
    }
    let text = read("kubernetes/observer.yaml");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for name in &added {
        let at = lines.iter().position(|line| *line == format!("- {name}")).expect("its line");
        assert!(lines[at - 1].starts_with("# "), "{name} has no reason in the manifest");
    }
}

#[test]
fn what_the_manifest_asks_for_is_no_more_than_it_says() {
    let Manifest { pod, container } = manifest();
    let security = &container["securityContext"];
    for (field, value) in [
        ("privileged", json!(false)),
        ("allowPrivilegeEscalation", json!(false)),
        ("readOnlyRootFilesystem", json!(true)),
    ] {
        assert_eq!(security[field], value, "{field}");
    }
    assert_eq!((&pod["hostPID"], &pod["hostNetwork"]), (&json!(true), &Value::Null));
    assert_eq!(pod["automountServiceAccountToken"], json!(false));
    let mount = |name: &str| {
        let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
        mounts.clone().find(|mount| mount["name"] == name).unwrap_or_else(|| panic!("no mount {name}"))
    };
    assert_eq!(mount("host")["readOnly"], json!(true));
    // Any other kind of mount would keep volumes of the node's pods from being unmounted.
    assert_eq!(mount("host")["mountPropagation"], json!("HostToContainer"));
    let unit = read("systemd/observer.service");
    let limit = container["resources"]["limits"]["memory"].as_str().expect("a limit");
    assert_eq!(
        limit.strip_suffix("Mi").map(|of| format!("MemoryMax={of}M")),
        unit.lines().find(|line| line.starts_with("MemoryMax=")).map(str::to_owned)
    );
    // The program's own arguments, as it reads them.
    let words = container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str);
    let typed: Vec<&str> = std::iter::once("observer").chain(words).collect();
    <observer::cli::Cli as clap::Parser>::try_parse_from(typed).expect("arguments that it knows");
}

/// The cache of `cargo xtask setup`.
fn cached(path: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("observer").join(path)
}

/// The documents that Helm's own library makes of the chart; `None`: it is not here, which is said.
fn rendered(test: &str, values: &Value) -> Option<Vec<Value>> {
    let mut command = Command::new(cached("venv/bin/python3"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/render_chart.py"));
    command.arg(folder().join("chart")).arg(values.to_string()).stdin(Stdio::null());
    let said = command.output().ok();
    let error =
        said.as_ref().map(|said| String::from_utf8_lossy(&said.stderr).into_owned()).unwrap_or_default();
    if said.is_none() || error.contains("No module named") {
        skips::skip(test, "no helm-python-sdk: run `cargo xtask setup`");
        return None;
    }
    let files: Value = serde_json::from_slice(&said?.stdout).unwrap_or_else(|why| panic!("{why}: {error}"));
    let files = files.as_object().expect("files by their names").iter();
    let texts = files.filter(|(name, _)| name.ends_with(".yaml")).filter_map(|(_, text)| text.as_str());
    Some(texts.flat_map(documents).filter(|document| !document.is_null()).collect())
}

fn only_kind<'a>(all: &'a [Value], kind: &str) -> &'a Value {
    let of_kind: Vec<&Value> = all.iter().filter(|document| document["kind"] == kind).collect();
    let [one] = of_kind[..] else { panic!("{} of {kind}", of_kind.len()) };
    one
}

#[test]
fn the_chart_makes_what_the_manifests_have() {
    const TEST: &str = "deploy::the_chart_makes_what_the_manifests_have";
    let Some(plain) = rendered(TEST, &json!({})) else { return };
    let manifests = documents(&read("kubernetes/observer.yaml"));
    assert_eq!(only_kind(&plain, "DaemonSet"), only_kind(&manifests, "DaemonSet"));
    assert_eq!(plain.iter().filter(|document| document["kind"] == "ClusterRole").count(), 0);

    let api = documents(&read("kubernetes/api.yaml"));
    let asks = |events: bool| json!({ "kubernetesApi": { "enabled": true, "events": events } });
    let all = rendered(TEST, &asks(true)).expect("it was there just now");
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        assert_eq!(only_kind(&all, kind), only_kind(&api, kind));
    }
    let pod = |all: &[Value]| only_kind(all, "DaemonSet")["spec"]["template"]["spec"].clone();
    assert_eq!(pod(&all)["automountServiceAccountToken"], json!(true));
    assert!(set(&pod(&all)["containers"][0]["args"]).contains("--k8s-events"));
    // Who only reads may make nothing.
    let reads = rendered(TEST, &asks(false)).expect("it was there just now");
    let rules = only_kind(&reads, "ClusterRole")["rules"].clone();
    let verbs: BTreeSet<String> =
        rules.as_array().expect("rules").iter().flat_map(|rule| set(&rule["verbs"])).collect();
    assert_eq!(verbs, BTreeSet::from(["get".to_owned(), "list".to_owned()]));
    assert!(!set(&pod(&reads)["containers"][0]["args"]).contains("--k8s-events"));
}

#[test]
fn the_chart_is_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let [about] = &documents(&read("chart/Chart.yaml"))[..] else { panic!("one document") };
    assert_eq!((&about["version"], &about["appVersion"]), (&json!(version), &json!(version)));
    assert!(read("kubernetes/observer.yaml").contains(&format!("image: localhost/observer:{version}")));
}

/// Names as a page for Prometheus has them, those of histograms with what is appended.
fn exported() -> BTreeSet<String> {
    let mut metrics = Metrics::default();
    metrics.health(&Health {
        time: Wall(0),
        probes: vec![ProbeHealth {
            name: "dns",
            status: Status::Attached,
            hook: None,
            why: None,
            records: 0,
            lost: 0,
        }],
        own: Some(OwnCost::default()),
        cpu_percent: None,
        otlp: None,
    });
    let snapshot = metrics.snapshot(Wall(0));
    let page = exposition(&snapshot);
    let typed = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    typed
        .flat_map(|(name, kind)| {
            let parts: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            parts.iter().map(move |part| format!("{name}{part}"))
        })
        .collect()
}

/// Words that look like metrics of ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|of: char| !of.is_ascii_alphanumeric() && of != '_');
    words.filter(|word| word.starts_with("observer_")).map(str::to_owned).collect()
}

#[test]
fn alerts_and_the_dashboard_name_only_metrics_that_are_exported() {
    let exported = exported();
    let expressions = |value: &Value| -> Vec<String> {
        let mut found = Vec::new();
        walk(value, &mut |key, value| {
            if matches!(key, "expr" | "query") {
                found.extend(value.as_str().map(str::to_owned));
            }
        });
        found
    };
    let dashboard: Value = serde_json::from_str(&read("chart/files/dashboard.json")).expect("JSON");
    let [alerts] = &documents(&read("chart/files/alerts.yaml"))[..] else { panic!("one document of rules") };
    for (what, value) in [("dashboard", &dashboard), ("alerts", alerts)] {
        let expressions = expressions(value);
        assert!(expressions.len() >= 5, "{what}: {expressions:?}");
        let unknown: BTreeSet<String> =
            expressions.iter().flat_map(|text| named(text)).filter(|name| !exported.contains(name)).collect();
        assert!(unknown.is_empty(), "{what} names {unknown:?}; there are {exported:?}");
        let silent: Vec<&String> = expressions
            .iter()
            .filter(|text| named(text).is_empty() && text.as_str() != "prometheus")
            .collect();
        assert!(silent.is_empty(), "{what}: of no metric of ours: {silent:?}");
    }
    // Each metric is shown to somebody.
    let shown: BTreeSet<String> = expressions(&dashboard).iter().flat_map(|text| named(text)).collect();
    for name in
        exported.iter().filter(|name| !["_bucket", "_sum", "_count"].iter().any(|part| name.ends_with(part)))
    {
        assert!(shown.contains(name), "the dashboard does not show {name}");
    }
}

fn walk(value: &Value, each: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            each(key, value);
            walk(value, each);
        }),
        Value::Array(values) => values.iter().for_each(|value| walk(value, each)),
        _ => {}
    }
}

/// What a tool says of files, if it is there.
fn judged_by(test: &str, tool: &Path, arguments: &[&str], files: &[PathBuf]) {
    let mut command = Command::new(tool);
    command.args(arguments).args(files).stdin(Stdio::null());
    let Ok(said) = command.output() else {
        return skips::skip(test, &format!("no {}: run `cargo xtask setup`", tool.display()));
    };
    let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{text}");
}

#[test]
fn prometheus_reads_the_alerts() {
    let alerts = folder().join("chart/files/alerts.yaml");
    judged_by("deploy::prometheus_reads_the_alerts", Path::new("promtool"), &["check", "rules"], &[alerts]);
}

#[test]
fn the_manifests_are_of_kubernetes_own_schema() {
    let files = ["kubernetes/observer.yaml", "kubernetes/api.yaml"].map(|file| folder().join(file));
    let tool = cached("venv/bin/kubernetes-validate");
    for version in ["1.30", "1.34"] {
        let arguments = ["--strict", "-k", version];
        judged_by("deploy::the_manifests_are_of_kubernetes_own_schema", &tool, &arguments, &files);
    }
}

#[test]
fn the_collectors_pipelines_are_of_what_is_configured_and_nothing_goes_round() {
    let [config] = &documents(&read("collector/tap.yaml"))[..] else { panic!("one document") };
    let pipelines = config["service"]["pipelines"].as_object().expect("pipelines");
    for (name, pipeline) in pipelines {
        for kind in ["receivers", "processors", "exporters"] {
            for used in set(&pipeline[kind]) {
                assert!(config[kind].get(&used).is_some(), "{name} uses {used}, which is not configured");
            }
        }
        let from_the_observer = set(&pipeline["receivers"]).contains("otlp/observer");
        assert!(
            !(from_the_observer && set(&pipeline["exporters"]).contains("otlp/tap")),
            "{name} goes round"
        );
    }
    assert!(set(&pipelines["traces/applications"]["exporters"]).contains("otlp/tap"));
}
