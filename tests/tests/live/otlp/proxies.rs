//! Proxies and servers that others wrote, as senders: each request to one has a span of its own, which names both ends of the
//! request's connection, and to which what was seen of that connection is tied.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, process::Command};

use crate::receivers::{free_port, skip, venv};
use crate::senders::{envoy, listens};
use observer_tests::rig::{
    Ran, Stage, program, run::Run, stage, stage::Running, stdio::until, webhook::server_by,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const LOOPBACK: &str = "127.0.0.1";

/// A program of the virtual environment; `None` and a loud skip without.
fn installed(test: &str, name: &str) -> Option<PathBuf> {
    let path = venv().join("bin").join(name);
    if path.exists() {
        return Some(path);
    }
    skip(test, &format!("no {}: run `cargo xtask setup`", path.display()));
    None
}

/// Requests to a server at `port`, two at once, each with a trace of its own; both are tied to the span of their trace.
fn each_request_is_its_span_s(stage: &Stage, run: Run, port: u16, service: &str) {
    // Of the client's port and of a trace.
    let asked: [(u16, String); 2] = [free_port(), free_port()].map(|from| (from, format!("{from:032x}")));
    let curls: Vec<Running> = asked
        .iter()
        .map(|(from, trace)| {
            let mut command = Command::new(program("curl"));
            command.args([
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-d",
                "{}",
                "--local-port",
                &from.to_string(),
            ]);
            command.args(["-H", &format!("traceparent: 00-{trace}-00000000000000ab-01")]);
            stage.spawn(command.arg(format!("http://{LOOPBACK}:{port}/slow/300"))).expect("curl")
        })
        .collect();
    for curl in curls {
        assert_eq!(curl.finish().and_then(Ran::success).expect("curl").stdout, "200");
    }
    let mut tied = BTreeMap::new();
    run.wait_for("the evidence of both", |object| {
        let event = &object["evidence"];
        if object["type"] == "evidence" && event["probe"] == "webhook" {
            assert_eq!(object["join"], "socket", "{object:#}");
            let targets = object["targets"].as_array().expect("spans");
            let traces: Vec<Value> = targets.iter().map(|target| target["trace_id"].clone()).collect();
            tied.insert(event["client"]["port"].as_u64(), traces);
        }
        tied.len() == asked.len()
    });
    let expected: BTreeMap<_, _> =
        asked.iter().map(|(from, trace)| (Some(u64::from(*from)), vec![json!(trace)])).collect();
    assert_eq!(tied, expected);
    let seen = run.end();
    // What other containers of this machine do meanwhile may be tied to traces that this run has seen nothing of.
    let of_calls = seen.of_type("evidence").filter(|evidence| evidence["evidence"]["probe"] == "webhook");
    let services: Vec<&Value> = of_calls.map(|evidence| &evidence["targets"][0]["service"]).collect();
    assert_eq!(services, [service, service]);
    let counts = &seen.last("summary")["otlp"];
    assert_eq!((&counts["rejected"], &counts["refused_requests"]), (&json!(0), &json!(0)), "{counts:#}");
}

/// An observer that receives, and is told of a server that calls of are watched.
fn watches(port: u16) -> (Run, SocketAddr) {
    let run = Run::of(&[
        "run",
        "--show",
        "webhook,evidence",
        "--otlp-listen",
        "127.0.0.1:0",
        "--webhook",
        &format!("{LOOPBACK}:{port},timeout=3s,name=it"),
    ]);
    let to = listens(&run);
    (run, to)
}

/// A server or a proxy in the machine's own network, where the observer receives; the stage has another one.
struct Serving(Running);

impl Serving {
    /// A program with its configuration. Returns once it answers.
    fn by(stage: &Stage, mut command: Command, (name, config): (&str, &str), port: u16) -> Serving {
        let path = stage.path(name);
        fs::write(&path, config).expect("a configuration");
        let running = stage.spawn(command.arg(path).env("HOME", stage.path(""))).expect("a proxy");
        let serving = Serving(running);
        // One that listens may not know its routes yet. What is no POST is no call, and not told.
        until("the proxy", || {
            let mut get = Command::new(program("curl"));
            get.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &format!("http://{LOOPBACK}:{port}/")]);
            (get.output().expect("curl").stdout == b"200").then_some(())
        });
        serving
    }

    /// What is behind a proxy.
    fn behind(stage: &Stage, port: u16) -> Serving {
        Serving(server_by(stage, Command::new(program("python3")), (LOOPBACK, port), None, &[]))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::KILL);
    }
}

#[test]
fn traefik_is_heard_and_its_requests_are_its_spans() {
    let Some(traefik) =
        installed("otlp::proxies::traefik_is_heard_and_its_requests_are_its_spans", "traefik")
    else {
        return;
    };
    let (stage, port, behind) = (stage(), free_port(), free_port());
    let (run, to) = watches(port);
    let _server = Serving::behind(&stage, behind);
    let routes = format!(
        "http:\n  routers: {{r: {{rule: \"PathPrefix(`/`)\", service: s}}}}\n  \
         services: {{s: {{loadBalancer: {{servers: [{{url: \"http://{LOOPBACK}:{behind}\"}}]}}}}}}\n"
    );
    fs::write(stage.path("routes.yml"), routes).expect("routes");
    let config = format!(
        "entryPoints: {{web: {{address: \"{LOOPBACK}:{port}\"}}}}\nproviders: {{file: {{filename: {}}}}}\n\
         global: {{checkNewVersion: false, sendAnonymousUsage: false}}\n\
         tracing: {{serviceName: gateway, otlp: {{grpc: {{endpoint: \"{to}\", insecure: true}}}}}}\n",
        stage.path("routes.yml").display()
    );
    let mut command = Command::new(traefik);
    command.arg("--configFile");
    let _traefik = Serving::by(&stage, command, ("traefik.yml", &config), port);
    each_request_is_its_span_s(&stage, run, port, "gateway");
}

#[test]
fn caddy_is_heard_and_its_requests_are_its_spans() {
    let Some(caddy) = installed("otlp::proxies::caddy_is_heard_and_its_requests_are_its_spans", "caddy")
    else {
        return;
    };
    let (stage, port, behind) = (stage(), free_port(), free_port());
    let (run, to) = watches(port);
    let _server = Serving::behind(&stage, behind);
    let config = format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://{LOOPBACK}:{port} {{\n tracing\n reverse_proxy {LOOPBACK}:{behind}\n}}\n"
    );
    let mut command = Command::new(caddy);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{to}")).env("OTEL_SERVICE_NAME", "gateway");
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    command.args(["run", "--adapter", "caddyfile", "--config"]);
    let _caddy = Serving::by(&stage, command, ("Caddyfile", &config), port);
    each_request_is_its_span_s(&stage, run, port, "gateway");
}

/// Of its own Envoy names no ports: tags say both ends, as users may configure it.
const ENVOY: &str = r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: @in@}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          tracing:
            custom_tags:
            - {tag: network.peer.address, value: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}
            - {tag: network.peer.port, value: "%DOWNSTREAM_DIRECT_REMOTE_PORT%"}
            - {tag: network.local.address, value: "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"}
            - {tag: network.local.port, value: "%DOWNSTREAM_LOCAL_PORT%"}
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                grpc_service: {envoy_grpc: {cluster_name: otlp}, timeout: 1s}
                service_name: gateway
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: behind}}]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: behind
    type: STATIC
    load_assignment: {cluster_name: behind, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @behind@}}}}]}]}
"#;

#[test]
fn envoy_is_heard_and_its_requests_are_its_spans() {
    let Some(binary) = installed("otlp::proxies::envoy_is_heard_and_its_requests_are_its_spans", "envoy")
    else {
        return;
    };
    let (stage, port, behind) = (stage(), free_port(), free_port());
    let (run, to) = watches(port);
    let _server = Serving::behind(&stage, behind);
    let config = envoy(ENVOY, port, behind, to.port());
    let mut command = Command::new(binary);
    command.args(["--disable-hot-restart", "-c"]);
    let _envoy = Serving::by(&stage, command, ("envoy.yaml", &config), port);
    each_request_is_its_span_s(&stage, run, port, "gateway");
}
