//! What looks like calls of webhooks and is none, or cannot be told apart: what is said of it, and that nothing is
//! invented.

use std::process::Command;

use observer_tests::rig::{
    Bundle, Ran, Stage, program, stage,
    stdio::expect,
    watch::Seen,
    webhook::{Certificate, curl, keeps, nginx, server, watch},
};
use serde_json::{Value, json};

const LOOPBACK: &str = "127.0.0.1";

fn run(stage: &Stage, command: &mut Command) {
    stage.run(command).and_then(Ran::success).expect("a client");
}

fn nothing_was_told(seen: &Seen) {
    let told: Vec<_> = seen.of_type("event").filter(|event| event["probe"] == "webhook").collect();
    assert!(told.is_empty(), "{told:#?}");
    assert_eq!(seen.lost(), 0);
}

#[test]
fn other_ports_idle_ends_and_checks_whether_somebody_listens() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _servers = [
        server(&stage, (LOOPBACK, 8443), Some(&own), &[]),
        server(&stage, (LOOPBACK, 8444), Some(&own), &[]),
        nginx(&stage, 8441, &own),
    ];
    let watch = watch(&["127.0.0.1:8443,timeout=1s,name=gk", "127.0.0.1:8441,timeout=1s,name=nginx"]);
    // Another port.
    let ran = curl(&stage, &own, 8444, &["/fast", "/slow/100"], &[]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    for port in ["8443", "8441"] {
        // Made and closed, with a handshake and without.
        let check = format!("import socket; socket.create_connection(('{LOOPBACK}', {port})).close()");
        run(&stage, stage.command(program("python3")).args(["-c", &check]));
        let check = format!(
            "import socket, ssl; s = socket.create_connection(('{LOOPBACK}', {port})); \
             c = ssl.create_default_context(cafile='{}'); c.wrap_socket(s, server_hostname='webhook.test').close()",
            own.certificate
        );
        run(&stage, stage.command(program("python3")).args(["-c", &check]));
    }
    nothing_was_told(&watch.end());
}

#[test]
fn requests_without_encryption_are_told_by_what_they_say() {
    let stage = stage();
    let _server = server(&stage, (LOOPBACK, 8080), None, &[]);
    let watch = watch(&["127.0.0.1:8080/slow/20,name=gk"]);
    let post = |path: &str, more: &[&str]| {
        let mut command = stage.command(program("curl"));
        command.args(["-sS", "-o", "/dev/null", "-X", "POST"]).args(more);
        run(&stage, command.arg(format!("http://{LOOPBACK}:8080{path}")));
    };
    let review = r#"{"kind":"AdmissionReview"}"#;
    // A renewed lease, a check of health, another path.
    post(
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x?timeout=5s",
        &["-X", "PUT", "-d", "{}"],
    );
    post("/slow/20", &["-X", "GET"]);
    post("/other", &["-d", review]);
    post("/slow/20?timeout=7s", &["-A", "kube-apiserver-admission", "-d", review]);
    post("/slow/20?timeout=7s", &["-d", review]);
    let call = watch.call("gk", "answered");
    expect(
        &call,
        &[
            ("method", json!("POST")),
            ("path", json!("/slow/20")),
            ("deadline_ms", json!(7000.0)),
            ("status", json!(200)),
            ("seen", json!("plain")),
            ("why", Value::Null),
        ],
    );
    let seen = watch.end();
    assert_eq!(seen.calls_of("gk").len(), 2, "{:#?}", seen.calls_of("gk"));
}

#[test]
fn an_error_of_the_server_is_no_answer() {
    let stage = stage();
    let _server = server(&stage, (LOOPBACK, 8080), None, &[]);
    let watch = watch(&["127.0.0.1:8080,timeout=3s,name=gk"]);
    let mut command = stage.command(program("curl"));
    command.args(["-sS", "-o", "/dev/null", "-X", "POST", "-d", "{}"]);
    run(&stage, command.arg(format!("http://{LOOPBACK}:8080/status/503")));
    expect(&watch.call("gk", "http-error"), &[("status", json!(503))]);
}

#[test]
fn a_call_from_a_container_is_that_containers() {
    let stage = stage();
    let _server = server(&stage, (LOOPBACK, 8080), None, &[]);
    let watch = watch(&["127.0.0.1:8080,timeout=3s,name=gk"]);
    let url = format!("http://{LOOPBACK}:8080/slow/20");
    let bundle = Bundle::new(&["/bin/busybox", "wget", "-q", "-O", "/dev/null", "--post-data", "{}", &url])
        .host_network();
    let written = bundle.write(&stage, &format!("caller-{}", stage.id())).expect("bundle");
    let ran = stage.runtime(program("crun")).run(&written).expect("crun");
    ran.success().expect("the container");
    let call = watch.call("gk", "answered");
    expect(&call["container"], &[("id", json!(written.id))]);
    expect(&call["process"], &[("comm", json!("busybox"))]);
    expect(&call["server"]["process"], &[("comm", json!("python3"))]);
}

/// Streams share a connection: no request of it has a latency that can be told.
#[test]
fn http2_is_told_as_a_connection() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = observer_tests::rig::webhook::caddy(&stage, 8442, &own);
    let watch = watch(&["127.0.0.1:8442,timeout=3s,name=h2"]);
    let ran = curl(&stage, &own, 8442, &["/fast", "/fast"], &["--http2"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let mut load = stage.command(program("h2load"));
    load.args([
        "-n",
        "200",
        "-c",
        "1",
        "-m",
        "20",
        "--connect-to=127.0.0.1:8442",
        "https://webhook.test:8442/",
    ]);
    run(&stage, &mut load);
    let seen = watch.end();
    let calls = seen.calls_of("h2");
    assert!((1..=2).contains(&calls.len()), "{calls:#?}");
    for call in calls {
        expect(call, &[("outcome", json!("unknown")), ("latency_ms", Value::Null)]);
        assert!(call["why"].as_str().is_some_and(|why| why.starts_with("HTTP/2 was offered")), "{call:#}");
    }
}

/// A connection that was there before, of which only the client's end closes when the run is over.
#[test]
fn what_is_idle_is_not_waited_for() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = server(&stage, (LOOPBACK, 8443), Some(&own), &[]);
    let path = |name: &str| stage.path(name).to_string_lossy().into_owned();
    let (mark, go) = (format!("mark:{}", path("mark")), format!("wait:{}", path("go")));
    let client = keeps(&stage, (LOOPBACK, 8443), &own, "3", &["post:/fast", &mark, &go]);
    observer_tests::rig::stdio::until("a connection", || stage.path("mark").exists().then_some(()));
    let watch = watch(&["127.0.0.1:8443,timeout=1s,name=gk"]);
    std::fs::write(stage.path("go"), "").expect("a file");
    client.finish().and_then(Ran::success).expect("the client");
    nothing_was_told(&watch.end());
}
