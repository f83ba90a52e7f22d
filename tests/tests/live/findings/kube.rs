//! What is concluded with the help of the Kubernetes API, and of an API that hangs, refuses and lies: nothing.

mod webhooks;

use std::{process::Command, time::Instant};

use observer_tests::rig::{
    Stage,
    kube::{Api, TOKEN},
    net::{Cable, Dialed},
    stage,
    verdict::{Verdicts, findings, is_about, only, quiet},
    watch::{Seen, observer},
};
use serde_json::{Value, json};

/// Entries that are shown together.
const OTHERS: [&str; 6] = [
    "hpa-not-triggering",
    "low-density",
    "networkpolicy-not-effective",
    "pod-not-starting",
    "runtimeclass-missing",
    "service-unreachable",
];

/// As the observer takes it for the node's name where no kubelet runs.
fn node() -> String {
    rustix::system::uname().nodename().to_string_lossy().to_lowercase()
}

/// Pods of this node beside those of a test: one that calls, and two that are called.
fn pods(cable: &Cable) -> String {
    let [a, b, c, _] = cable.far.octets();
    let pod = |namespace: &str, name: &str, ip: String| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}\n\
             spec: {{nodeName: {}, containers: [{{name: app}}]}}\nstatus: {{phase: Running, podIPs: [{{ip: {ip}}}]}}\n",
            node()
        )
    };
    let namespaces = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: pay}\n".to_owned();
    [
        namespaces,
        pod("pay", "caller", cable.near.to_string()),
        pod("pay", "db", cable.far.to_string()),
        pod("pay", "cache", format!("{a}.{b}.{c}.3")),
    ]
    .concat()
}

/// A time from now, as the API writes it.
fn time(from_now: &str) -> String {
    let words = ["-u", "-d", from_now, "+%Y-%m-%dT%H:%M:%SZ"];
    let told = Command::new("date").args(words).output().expect("date").stdout;
    String::from_utf8_lossy(&told).trim().to_owned()
}

/// Faults, each beside what it depends on.
fn faults(cable: &Cable) -> String {
    let [a, b, c, _] = cable.far.octets();
    include_str!("../../../fixtures/kube/faults.yaml")
        .replace("NODE", &node())
        .replace("RECENT", &time("now"))
        .replace("SERVICE", &format!("{a}.{b}.{c}.20"))
}

/// What looks like each of them and is none.
fn look_alikes(cable: &Cable) -> String {
    let [a, b, c, _] = cable.far.octets();
    include_str!("../../../fixtures/kube/look-alikes.yaml")
        .replace("NODE", &node())
        .replace("SERVICE", &format!("{a}.{b}.{c}.20"))
        .replace("RECENT", &time("now"))
        // Younger than anybody could enforce.
        .replace("NOW", &time("+1 hour"))
}

/// A cluster of this node, whose pods call each other and a service that rejects them.
struct Cluster {
    stage: Stage,
    cable: Cable,
    api: Api,
}

impl Cluster {
    fn of(objects: impl Fn(&Cable) -> String) -> Cluster {
        let (cable, stage) = (Cable::lay(), stage());
        let [a, b, c, _] = cable.far.octets();
        for last in [3, 20] {
            cable.ip_far(&["address", "add", &format!("{a}.{b}.{c}.{last}/24"), "dev", "eth1"]);
        }
        cable.nft_far("input", &format!("ip daddr {a}.{b}.{c}.20 tcp dport 80 reject"));
        let api = Api::begin(&stage);
        api.create(&(pods(&cable) + &objects(&cable)));
        Cluster { stage, cable, api }
    }

    fn verdicts(&self, case: &str, more: &[&str]) -> Verdicts {
        let options = [&["--kubeconfig", &self.api.kubeconfig], more].concat();
        Verdicts::begin_of(&self.stage, case, &OTHERS, &options)
    }

    /// A pod that connects to two others and to a service, several times.
    fn calls(&self) -> Dialed {
        let [a, b, c, _] = self.cable.far.octets();
        let words = format!("6 1000 2500 {a}.{b}.{c}.2 7001 {a}.{b}.{c}.3 7001 {a}.{b}.{c}.20 80");
        self.cable.agent_in(&self.stage, ("pay", "caller"), &words)
    }
}

/// Nothing that the API is told in confidence may be anywhere.
fn keeps_secrets(seen: &Seen) {
    for text in [&seen.stdout, &seen.stderr] {
        assert!(!text.contains(TOKEN) && !text.contains("planted"), "a secret is told");
    }
}

#[test]
fn what_only_the_api_knows() {
    let cluster = Cluster::of(faults);
    let server = cluster.cable.at_far(|| std::net::TcpListener::bind("0.0.0.0:7001").expect("a port"));
    let verdicts = cluster.verdicts("sidecar-not-injected", &["--k8s-events"]);
    let caller = cluster.calls();
    for (row, about) in [
        ("sidecar-not-injected", "shop/asks"),
        ("sidecar-not-injected", "mesh/older"),
        ("pod-not-starting", "shop/waits"),
        ("low-density", &node()),
        ("hpa-not-triggering", "shop/web"),
        ("hpa-not-triggering", "shop/api"),
        ("networkpolicy-not-effective", "pay/db"),
        ("service-unreachable", "pay/broken"),
        ("runtimeclass-missing", "shop/classless"),
        ("runtimeclass-missing", "shop/spins"),
        ("pod-not-starting", "shop/boxless"),
    ] {
        verdicts.awaits(row, about);
    }
    caller.ends(&verdicts.run);
    let seen = verdicts.end();
    drop(server);
    for (about, expected) in [
        ("shop/asks", "sidecar-not-injected/injector proved"),
        ("mesh/older", "sidecar-not-injected/made-before likely"),
        ("shop/waits", "pod-not-starting/unschedulable proved"),
        (&node(), "low-density/scheduling proved"),
        ("shop/web", "hpa-not-triggering/metrics-server-down proved"),
        ("shop/api", "hpa-not-triggering/no-request proved"),
        ("pay/db", "networkpolicy-not-effective/not-enforced proved"),
        ("pay/broken", "service-unreachable/no-ready-endpoints proved"),
        ("shop/classless", "runtimeclass-missing/class-absent proved"),
        ("shop/spins", "runtimeclass-missing/handler-absent proved"),
        ("shop/boxless", "pod-not-starting/sandbox-refused likely"),
    ] {
        only(&seen, about, expected);
    }
    keeps_secrets(&seen);
    // Proved findings are Events, each once; the others are none.
    let asked = cluster.api.asked();
    let told: Vec<&str> =
        asked.lines().filter(|line| line.starts_with("POST") && line.contains("ObserverFinding")).collect();
    let of_pod =
        |pod: &str| told.iter().filter(|line| line.contains(&format!("\"name\": \"{pod}\""))).count();
    assert_eq!((of_pod("asks"), of_pod("waits"), of_pod("db"), of_pod("older")), (1, 1, 1, 0), "{told:#?}");
}

#[test]
fn what_looks_like_it_and_is_none() {
    let cluster = Cluster::of(look_alikes);
    let server = cluster.cable.at_far(|| std::net::TcpListener::bind("0.0.0.0:7001").expect("a port"));
    let verdicts = cluster.verdicts("sidecar-not-injected-not-asked", &[]);
    let (id, said) = cluster.calls().ends(&verdicts.run);
    // Its service has an endpoint, and is out of reach for another reason, which nothing says.
    verdicts.run.wait_for("a suspicion", |object| {
        object["type"] == "unproven" && object["id"] == "service-unreachable" && is_about(object, &id)
    });
    let seen = verdicts.end();
    drop(server);
    assert_eq!(said.matches("7001 ok").count(), 12, "{said}");
    assert_eq!(findings(&seen, &id), [""; 0]);
    for about in [
        "shop/out",
        "shop/host",
        "shop/has",
        "kube-system/dns",
        "mesh/ambient",
        "shop/idle",
        "shop/classy",
        "shop/older",
        "pay/db",
        "pay/cache",
        "shop/waits",
    ] {
        quiet(&seen, about);
    }
    assert_eq!(
        seen.of_type("finding")
            .filter(|finding| finding["subject"]["kind"] == "node")
            .filter(|it| it["id"] == "low-density")
            .count(),
        0
    );
    keeps_secrets(&seen);
}

/// Why each list is not known, by the summary.
fn lacks(seen: &Seen) -> Vec<String> {
    let summary = seen.of_type("summary").next().expect("a summary");
    let all = summary["not_measured"].as_array().expect("a list").iter();
    let of_api = all.filter(|lack| lack["what"].as_str().is_some_and(|what| what.contains("Kubernetes API")));
    of_api
        .map(|lack| {
            format!(
                "{}: {}",
                lack["what"].as_str().unwrap_or_default(),
                lack["why"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

#[test]
fn an_api_that_hangs_refuses_and_lies() {
    let cluster = Cluster::of(faults);
    let modes = json!({
        "nodes": "forbid", "pods": "garbage", "namespaces": "redirect", "services": "wrong-kind",
        "networkpolicies": "forbid", "validatingwebhookconfigurations": "endless",
        "mutatingwebhookconfigurations": "hang",
    });
    cluster.api.behaves(&modes);
    let verdicts = cluster.verdicts("sidecar-not-injected-lies", &[]);
    let (id, _) = cluster.calls().ends(&verdicts.run);
    let seen = verdicts.end();
    only(&seen, &id, "service-unreachable/no-endpoints likely");
    for about in ["shop/asks", "mesh/older", "shop/waits", "shop/web", "pay/db"] {
        quiet(&seen, about);
    }
    let lacks = lacks(&seen);
    for (of, why) in [
        ("this node", "403"),
        ("pods of this node", "no JSON"),
        ("namespaces", "302"),
        ("services", "no ServiceList"),
        ("network policies", "403"),
        // As much of it is read as may be, if that is read in time.
        (
            "validating webhooks",
            if lacks.iter().any(|lack| lack.contains("breaks off")) { "breaks off" } else { "within 2 s" },
        ),
        ("mutating webhooks", "no answer within 2 s"),
    ] {
        assert!(lacks.iter().any(|lack| lack.contains(of) && lack.contains(why)), "{of}: {lacks:#?}");
    }
    keeps_secrets(&seen);
}

fn describe(api: &Api, who: &str) -> (Value, String) {
    let mut command = Command::new(observer());
    command.args([
        "describe",
        who,
        "--for",
        "1s",
        "--standalone",
        "--socket",
        "off",
        "-o",
        "json",
        "--kubeconfig",
        &api.kubeconfig,
    ]);
    let out = command.output().expect("observer");
    let text = String::from_utf8(out.stdout).expect("text");
    let object = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (object, text + &String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_pod_is_described_with_what_the_api_says() {
    let stage = stage();
    let api = Api::begin(&stage);
    api.create(include_str!("../../../fixtures/kube/described.yaml"));
    let (told, text) = describe(&api, "shop/pulls");
    let it = &told["kubernetes"];
    for (at, expected) in [
        ("/exists", json!(true)),
        ("/phase", json!("Pending")),
        ("/node", json!("worker-7")),
        ("/conditions/0/reason", json!("ContainersNotReady")),
        ("/waiting/0/reason", json!("ImagePullBackOff")),
        ("/events/0/reason", json!("Failed")),
        ("/events/0/count", json!(4)),
    ] {
        assert_eq!(it.pointer(at), Some(&expected), "{at}: {it:#}");
    }
    assert_eq!(it["events"].as_array().map(Vec::len), Some(1), "those of others are not told: {it:#}");
    assert!(!text.contains("planted"), "{text}");
    assert_eq!(describe(&api, "shop/none").0["kubernetes"]["exists"], json!(false));
    api.behaves(&json!({ "*": "drip" }));
    let began = Instant::now();
    let (told, _) = describe(&api, "shop/pulls");
    assert_eq!(told["kubernetes"], Value::Null);
    let lacks = told["not_measured"].as_array().expect("a list");
    let is_said =
        |lack: &&Value| lack["why"].as_str().is_some_and(|why| why.contains("no answer within 2 s"));
    assert!(lacks.iter().any(|lack| is_said(&lack)), "after {:?}: {lacks:#?}", began.elapsed());
}
