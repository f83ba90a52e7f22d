//! Calls of webhooks that end in every way, over TLS, by real servers and clients: what is told of each.

mod accuracy;
mod mismatch;
mod quiet;

use observer_tests::rig::{
    Ran, Stage, program, stage,
    stdio::{expect, until},
    watch::Seen,
    webhook::{Certificate, caddy, curl, keeps, nginx, server, server_by, watch},
};
use serde_json::{Value, json};

const LOOPBACK: &str = "127.0.0.1";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// Of the first call on a connection all phases are there, of a later one none before the request.
fn is_fresh(call: &Value) {
    let phases = &call["phases_ms"];
    let told = ["connect", "tls", "send", "server", "receive"].map(|name| number(&phases[name]));
    let latency = number(&call["latency_ms"]);
    assert!((told.iter().sum::<f64>() - latency).abs() < 0.001, "{call:#}");
    expect(call, &[("outcome", json!("answered")), ("since", json!("start")), ("side", json!("client"))]);
}

fn is_kept(call: &Value) {
    expect(&call["phases_ms"], &[("connect", Value::Null), ("tls", Value::Null)]);
    assert!(number(&call["phases_ms"]["server"]) > 0.0, "{call:#}");
}

#[test]
fn answered_by_servers_of_three_kinds() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _servers = [
        nginx(&stage, 8441, &own),
        caddy(&stage, 8442, &own),
        server(&stage, (LOOPBACK, 8443), Some(&own), &[]),
    ];
    let watch = watch(&[
        "127.0.0.1:8441,timeout=3s,name=nginx",
        "127.0.0.1:8442,timeout=3s,name=caddy",
        "127.0.0.1:8443,timeout=3s,name=python",
    ]);
    for port in [8441, 8442, 8443] {
        let ran = curl(&stage, &own, port, &["/fast", "/slow/300", "/trickle/200"], &["--max-time", "3"]);
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
    }
    for name in ["nginx", "caddy", "python"] {
        watch.call(name, "answered");
    }
    let seen = watch.end();
    for (name, port) in [("nginx", 8441), ("caddy", 8442), ("python", 8443)] {
        let calls = seen.calls_of(name);
        assert_eq!(calls.len(), 3, "{calls:#?}");
        is_fresh(calls[0]);
        for call in &calls[1..] {
            is_kept(call);
        }
        for call in calls {
            let nothing_said = ("why", Value::Null);
            expect(call, &[("deadline_ms", json!(3000.0)), ("seen", json!("socket")), nothing_said]);
            expect(&call["server"], &[("host", json!("webhook.test")), ("port", json!(port))]);
            expect(&call["client"]["process"], &[("comm", json!("curl"))]);
            expect(&call["process"], &[("comm", json!("curl"))]);
        }
    }
    let slow = seen.calls_of("python")[1];
    assert!(number(&slow["phases_ms"]["server"]) >= 300.0, "{slow:#}");
    let trickle = seen.calls_of("python")[2];
    assert!(number(&trickle["phases_ms"]["receive"]) >= 200.0, "{trickle:#}");
    expect(&trickle["server"]["process"], &[("comm", json!("python3"))]);
    assert_eq!(seen.lost(), 0);
}

/// How one POST with a deadline of a second ended, to curl and to the observer.
fn ends(stage: &Stage, name: &str, port: u16, own: &Certificate, path: &str) -> (i32, Seen) {
    let watch = watch(&[&format!("127.0.0.1:{port},timeout=1s,name={name}")]);
    let ran = curl(stage, own, port, &[path], &["--max-time", "1"]);
    let told = watch.wait_for(name, |object| object["probe"] == "webhook");
    assert_eq!(told["name"], name);
    (ran.code(), watch.end())
}

#[test]
fn not_answered_in_every_way() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let other = Certificate::new(&stage, "other");
    let _server = server(&stage, (LOOPBACK, 8443), Some(&own), &[]);
    let _slow = server(&stage, (LOOPBACK, 8444), Some(&own), &["handshake=3000"]);
    const GAVE_UP: i32 = 28;
    let (code, seen) = ends(&stage, "hang", 8443, &own, "/hang");
    assert_eq!(code, GAVE_UP);
    let call = seen.call_of("hang");
    expect(call, &[("outcome", json!("timeout")), ("deadline_ms", json!(1000.0))]);
    expect(&call["phases_ms"], &[("server", Value::Null), ("receive", Value::Null)]);
    assert!((950.0..1100.0).contains(&number(&call["latency_ms"])), "{call:#}");
    // The same, while TLS is not made yet.
    let (code, seen) = ends(&stage, "handshake", 8444, &own, "/fast");
    assert_eq!(code, GAVE_UP);
    expect(seen.call_of("handshake"), &[("outcome", json!("timeout"))]);
    let (code, seen) = ends(&stage, "refused", 8449, &own, "/fast");
    assert_eq!(code, 7);
    expect(seen.call_of("refused"), &[("outcome", json!("refused")), ("connects", json!(1))]);
    let (code, seen) = ends(&stage, "die", 8443, &own, "/die");
    assert!([35, 52, 56].contains(&code), "{code}");
    expect(seen.call_of("die"), &[("outcome", json!("reset"))]);
    let (code, seen) = ends(&stage, "leave", 8443, &own, "/leave");
    assert!([52, 56].contains(&code), "{code}");
    expect(seen.call_of("leave"), &[("outcome", json!("reset"))]);
    let (code, seen) = ends(&stage, "untrusted", 8443, &other, "/fast");
    assert_eq!(code, 60);
    expect(seen.call_of("untrusted"), &[("outcome", json!("tls-failed"))]);
    // Looks like a failure, and is none.
    let (code, seen) = ends(&stage, "slow", 8443, &own, "/slow/900");
    assert_eq!(code, 0);
    expect(seen.call_of("slow"), &[("outcome", json!("answered"))]);
}

#[test]
fn a_connection_that_was_there_before() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = server(&stage, (LOOPBACK, 8443), Some(&own), &[]);
    let path = |name: &str| stage.path(name).to_string_lossy().into_owned();
    let (mark, go) = (path("mark"), path("go"));
    let (mark, go) = (format!("mark:{mark}"), format!("wait:{go}"));
    let steps = ["post:/fast", &mark, &go, "post:/slow/100", "post:/slow/50"];
    let client = keeps(&stage, (LOOPBACK, 8443), &own, "3", &steps);
    until("a connection", || stage.path("mark").exists().then_some(()));
    let watch = watch(&["127.0.0.1:8443,timeout=3s,name=old"]);
    std::fs::write(stage.path("go"), "").expect("a file");
    client.finish().and_then(Ran::success).expect("the client");
    watch.call("old", "answered");
    let seen = watch.end();
    let calls = seen.calls_of("old");
    assert_eq!(calls.len(), 2, "{calls:#?}");
    for (call, ms) in calls.iter().zip([100.0, 50.0]) {
        is_kept(call);
        expect(call, &[("since", json!("attach")), ("connection_age_ms", Value::Null)]);
        assert!(number(&call["phases_ms"]["server"]) >= ms, "{call:#}");
        assert!(call["why"].as_str().is_some_and(|why| why.contains("taken for HTTP/1")), "{call:#}");
        // Found by asking whether the socket is theirs.
        expect(&call["client"]["process"], &[("comm", json!("python3"))]);
        expect(&call["server"]["process"], &[("comm", json!("python3"))]);
    }
}

/// Runs words of a shell on the stage.
fn shell(stage: &Stage, words: &str) {
    stage.run(stage.command("/bin/sh").args(["-ec", words])).and_then(Ran::success).expect(words);
}

/// A second network namespace, behind a link of its own.
fn behind_a_link(stage: &Stage) {
    shell(
        stage,
        "mkdir -p /run/netns; ip netns add far; ip link add near type veth peer name end netns far; \
         ip addr add 10.9.0.1/24 dev near; ip link set near up; ip -n far addr add 10.9.0.2/24 dev end; \
         ip -n far link set end up; ip -n far link set lo up",
    );
}

#[test]
fn a_backend_that_goes_away_under_a_kept_connection_while_another_answers() {
    let stage = stage();
    behind_a_link(&stage);
    let own = Certificate::new(&stage, "own");
    // At any address: nobody else has this port.
    let port = 8479;
    let _here = server(&stage, (LOOPBACK, port), Some(&own), &[]);
    // `ip netns exec` would leave the server behind, out of the stage's reach.
    let mut far = stage.command(program("nsenter"));
    far.args(["--net=/run/netns/far", "python3"]);
    let _there = server_by(&stage, far, ("10.9.0.2", port), Some(&own), &[]);
    let watch = watch(&[&format!("*:{port},timeout=2s,name=both")]);
    let path = |name: &str| stage.path(name).to_string_lossy().into_owned();
    let (mark, go) = (format!("mark:{}", path("mark")), format!("wait:{}", path("go")));
    let steps = ["post:/fast", &mark, &go, "post:/fast"];
    let client = keeps(&stage, ("10.9.0.2", port), &own, "2", &steps);
    until("a connection", || stage.path("mark").exists().then_some(()));
    shell(&stage, "ip -n far link set end down");
    std::fs::write(stage.path("go"), "").expect("a file");
    let said = client.finish().expect("the client").stdout;
    assert!(said.contains("TimeoutError") || said.contains("timeout"), "{said}");
    let ran = curl(&stage, &own, port, &["/fast"], &["--max-time", "2"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let gone = watch.call("both", "timeout");
    expect(&gone["server"], &[("address", json!("10.9.0.2"))]);
    assert!(number(&gone["unacknowledged_bytes"]) > 0.0, "{gone:#}");
    assert!(number(&gone["connection_age_ms"]) > 0.0, "{gone:#}");
    assert!(gone["why"].as_str().is_some_and(|why| why.contains("acknowledged none")), "{gone:#}");
    let seen = watch.end();
    let calls = seen.calls_of("both");
    let answered: Vec<_> = calls.iter().filter(|call| call["outcome"] == "answered").collect();
    assert_eq!((calls.len(), answered.len()), (3, 2), "{calls:#?}");
    assert!(answered.iter().any(|call| call["server"]["address"] == LOOPBACK), "{answered:#?}");
}

#[test]
fn a_request_for_a_connection_that_is_dropped() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = server(&stage, (LOOPBACK, 8443), Some(&own), &[]);
    let rule = "tcp dport 8443 tcp flags syn drop";
    shell(
        &stage,
        &format!(
            "nft add table ip t; nft 'add chain ip t i {{ type filter hook input priority 0; }}'; nft add rule ip t i {rule}"
        ),
    );
    let watch = watch(&["127.0.0.1:8443,timeout=2s,name=dropped"]);
    let ran = curl(&stage, &own, 8443, &["/fast"], &["--max-time", "2"]);
    assert_eq!(ran.code(), 28, "{}", ran.stderr);
    let call = watch.call("dropped", "timeout");
    assert!(number(&call["connects"]) > 1.0, "{call:#}");
    expect(&call["process"], &[("comm", json!("curl"))]);
    watch.end().call_of("dropped");
}
