//! What is concluded of proxies: by what they say of requests that they have nobody for, and by the memory that they hold
//! beside an application.

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    thread::sleep,
    time::Duration,
};

use crate::receivers::{free_port, package, skip};
use crate::senders::{self, listens};
use observer_tests::rig::{
    nginx, program, stage,
    stage::{
        containerd::Removed,
        cri::{ContainerSpec, PodSpec},
    },
    stdio::until,
    verdict::{Verdicts, only, quiet},
};
use rustix::process::Signal;

/// Envoy as it was installed.
fn envoy(test: &str) -> Option<PathBuf> {
    let found = package("envoy/_bin/envoy");
    if found.is_none() {
        skip(test, "no envoy: run `cargo xtask setup`");
    }
    found
}

/// Routes to nothing, to what there is not, to nobody, to who is away and to a server; each is what a host asks for.
const ROUTES: &str = r#"
layered_runtime: {layers: [{name: soon, static_layer: {tracing: {opentelemetry: {flush_interval_ms: 100, min_flush_spans: 1}}}}]}
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
            spawn_upstream_span: true
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                grpc_service: {envoy_grpc: {cluster_name: otlp}, timeout: 1s}
                service_name: mesh
          route_config:
            validate_clusters: false
            virtual_hosts:
            - {name: a, domains: [unknown.example], routes: [{match: {prefix: "/"}, route: {cluster: nothing}}]}
            - {name: b, domains: [empty.example], routes: [{match: {prefix: "/"}, route: {cluster: empty}}]}
            - {name: c, domains: [away.example], routes: [{match: {prefix: "/"}, route: {cluster: away}}]}
            - {name: d, domains: [missing.example], routes: [{match: {prefix: "/"}, route: {cluster: behind}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - {name: empty, type: STATIC, load_assignment: {cluster_name: empty}}
  - name: away
    type: STATIC
    load_assignment: {cluster_name: away, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}
  - name: behind
    type: STATIC
    load_assignment: {cluster_name: behind, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @behind@}}}}]}]}
"#;

/// The status that is answered at a port to who asks for a host.
fn asks(port: u16, host: &str) -> String {
    let mut curl = Command::new(program("curl"));
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &format!("Host: {host}")]);
    let ran = curl.arg(format!("http://127.0.0.1:{port}/")).output().expect("curl");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn routes_that_lead_nowhere() {
    let Some(envoy) = envoy("findings::proxies::routes_that_lead_nowhere") else { return };
    let (stage, port, behind) = (stage(), free_port(), free_port());
    let verdicts = Verdicts::begin(&stage, "route-not-effective", &["--otlp-listen", "127.0.0.1:0"]);
    let otlp = listens(&verdicts.run).port();
    let config = stage.path("envoy.yaml");
    fs::write(&config, senders::envoy(ROUTES, port, behind, otlp)).expect("a configuration");
    let mut server = Command::new(program("nginx"));
    let at = SocketAddr::from(([127, 0, 0, 1], behind));
    let server =
        stage.spawn(server.arg("-c").arg(nginx::configured(&stage, at, "return 404;"))).expect("nginx");
    let mut command = Command::new(envoy);
    let envoy = stage.spawn(command.args(["--disable-hot-restart", "--concurrency", "1", "-c"]).arg(config));
    let envoy = envoy.expect("envoy");
    for port in [port, behind] {
        until("a server", || TcpStream::connect(("127.0.0.1", port)).ok());
    }
    let of_address = "203.0.113.7:8080";
    let hosts = [
        ("routeless.example", "404"),
        ("unknown.example", "503"),
        ("empty.example", "503"),
        // It is there, and does not answer.
        ("away.example", "503"),
        // Whoever is behind has said so.
        ("missing.example", "404"),
        // Who looks for open doors.
        (of_address, "404"),
    ];
    for round in 0..10 {
        for (host, expected) in hosts {
            assert_eq!(asks(port, host), expected, "{host}");
        }
        if round % 3 == 0 {
            assert_eq!(asks(port, "seldom.example"), "404");
        }
        sleep(Duration::from_millis(400));
    }
    let bad = [
        ("routeless.example", "no-route"),
        ("unknown.example", "no-cluster"),
        ("empty.example", "no-healthy-host"),
    ];
    for (host, _) in bad {
        verdicts.awaits("route-not-effective", host);
    }
    [envoy, server].into_iter().for_each(|server| server.signal(Signal::KILL).expect("a server"));
    let seen = verdicts.end();
    for (host, cause) in bad {
        only(&seen, host, &format!("route-not-effective/{cause} proved"));
    }
    for host in ["away.example", "missing.example", "seldom.example", of_address] {
        quiet(&seen, host);
    }
}

/// Envoy that is told of so many services, none of which it is ever asked for.
fn told_of(clusters: usize) -> String {
    let mut text = "static_resources:\n  clusters:\n".to_owned();
    for number in 0..clusters {
        let endpoint = "{address: {socket_address: {address: 10.0.0.1, port_value: 80}}}";
        let _ = writeln!(
            text,
            "  - {{name: c{number}, type: STATIC, load_assignment: {{cluster_name: c{number}, \
             endpoints: [{{lb_endpoints: [{{endpoint: {endpoint}}}]}}]}}}}"
        );
    }
    text
}

#[test]
fn proxies_that_are_told_of_a_whole_cluster() {
    let Some(envoy) = envoy("findings::proxies::proxies_that_are_told_of_a_whole_cluster") else { return };
    let stage = stage();
    let (large, small) = (stage.path("large.yaml"), stage.path("small.yaml"));
    fs::write(&large, told_of(5_000)).expect("a configuration");
    fs::write(&small, told_of(20)).expect("a configuration");
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let verdicts = Verdicts::begin(&stage, "sidecar-memory-high", &[]);
    let cri = containerd.cri().expect("cri");
    let pod = |name| {
        let spec = PodSpec { name, namespace: "shop", handler: "crun", host_network: true };
        Removed { cri: &cri, pod: cri.run_pod(&stage, &spec).expect("pod") }
    };
    let app = |pod: &Removed| {
        let command = &["/bin/sleep", "1000"];
        let app = ContainerSpec { name: "app", image: &image.name, command, ..Default::default() };
        cri.run_container(&pod.pod, &app).expect("app")
    };
    let runs = |pod: &Removed, (name, program): (&str, &str), config: &PathBuf| {
        let mounts = [
            ("/usr", "/usr"),
            ("/lib", "/lib"),
            ("/lib64", "/lib64"),
            (program, envoy.to_str().expect("a path")),
            ("/envoy.yaml", config.to_str().expect("a path")),
        ];
        let command = &[program, "--disable-hot-restart", "--concurrency", "1", "-c", "/envoy.yaml"];
        let spec = ContainerSpec { name, image: &image.name, command, mounts: &mounts, ..Default::default() };
        cri.run_container(&pod.pod, &spec).expect(name)
    };
    let (proxied, lean, gateway, cached) = (pod("proxied"), pod("lean"), pod("gateway"), pod("cached"));
    let apps = [&proxied, &lean, &cached].map(app);
    let proxy = ("proxy", "/bin/envoy");
    let told = runs(&proxied, proxy, &large);
    let others = [
        runs(&lean, proxy, &small),
        // Alone in its pod.
        runs(&gateway, proxy, &large),
        // Large, and no proxy by its name.
        runs(&cached, ("cache", "/bin/cache"), &large),
    ];
    verdicts.awaits("sidecar-memory-high", &told);
    // As long again, for those of which nothing is to be said.
    sleep(Duration::from_secs(15));
    drop((proxied, lean, gateway, cached));
    drop(containerd);
    let seen = verdicts.end();
    only(&seen, &told, "sidecar-memory-high/defaults likely");
    others.iter().chain(&apps).for_each(|id| quiet(&seen, id));
}
