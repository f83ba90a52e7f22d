//! Connections to the address of a service, which the node sends elsewhere: the server's span names another server than its
//! client knows, and perhaps another port of the client's, and is still the one span of the connection.

use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use crate::senders::{listens, python};
use observer_tests::rig::{
    Stage,
    net::{Cable, Dialed},
    node::Node,
    run::Run,
    stage,
    watch::observer,
};
use serde_json::{Value, json};

/// Addresses of services, with the same server behind them.
const SERVICE: &str = "10.96.0.20";
const OTHER: &str = "10.96.0.21";

/// A server by the SDK of Python. Each client says who it is; once all are there it has a span for each, but not for the one
/// that is called "untold", and in these spans it resets them all.
const SERVER: &str = r#"
import socket, struct, sys, time
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1] + "/v1/traces")))
tracer = provider.get_tracer("lab")
listener = socket.socket(fileno=0)
held = []
for _ in range(int(sys.argv[2])):
    client, (address, port) = listener.accept()
    held.append((client.makefile().readline().strip(), client, address, port))
spans = []
for name, client, address, port in held:
    local, local_port = client.getsockname()
    if name != "untold":
        spans.append(tracer.start_span(name, kind=SpanKind.SERVER, attributes={
            "network.peer.address": address, "network.peer.port": port,
            "network.local.address": local, "network.local.port": local_port,
        }))
    print(name, port, flush=True)
time.sleep(0.2)
for _, client, _, _ in held:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
time.sleep(0.2)
for span in spans:
    span.end()
provider.shutdown()
"#;

/// The network at the far end as the node's, which sends both services' connections to a server there.
fn sends_elsewhere(cable: &Cable, stage: &Stage) -> Node {
    let far = cable.far;
    cable.ip_near(&["route", "add", "10.96.0.0/16", "via", &far.to_string()]);
    let rules = format!(
        "table ip services {{\nchain pre {{\ntype nat hook prerouting priority -100\n\
         ip daddr {{ {SERVICE}, {OTHER} }} tcp dport 80 dnat to {far}:8080\n}}\n}}\n"
    );
    cable.rules(stage, "far", &rules);
    Node::at(cable, "far", stage)
}

fn watches(node: &Node) -> (Run, SocketAddr) {
    let mut command = node.shown();
    command.arg(observer()).args(["run", "--socket", "off", "--show", "net,runtime,evidence"]);
    command.args(["--otlp-listen-http", "127.0.0.1:0"]);
    let run = Run::by(command);
    let to = listens(&run);
    (run, to)
}

/// That the reset of this container's connection is the span of the same name.
fn is_tied(run: &Run, name: &str, client: &Dialed, said: &str) {
    let evidence = run.wait_for(name, |object| {
        let event = &object["evidence"];
        let is_reset = object["type"] == "evidence" && event["outcome"] == "reset";
        is_reset && event["container"]["id"] == client.container.id
    });
    let targets = evidence["targets"].as_array().expect("spans");
    let names: Vec<&Value> = targets.iter().map(|target| &target["name"]).collect();
    assert_eq!(names, [&json!(name)], "{evidence:#}\n{said}");
    assert_eq!((&evidence["join"], &evidence["relation"]), (&json!("socket"), &json!("child")));
}

#[test]
fn a_connection_that_the_node_sends_elsewhere_is_the_server_s_span() {
    let test = "otlp::service::a_connection_that_the_node_sends_elsewhere_is_the_server_s_span";
    let Some(python) = python(test) else { return };
    let (stage, cable) = (stage(), Cable::lay());
    let node = sends_elsewhere(&cable, &stage);
    let (run, to) = watches(&node);
    let listener = cable.listens(8080);
    // One port of the client's in three connections: to the server itself, and to it by way of two services. Of those that
    // arrive at the server the node has to change the port.
    let asked = [
        ("direct", cable.far.to_string(), "8080", 40_000),
        ("moved", SERVICE.to_owned(), "80", 40_000),
        ("untold", OTHER.to_owned(), "80", 40_000),
        ("plain", SERVICE.to_owned(), "80", 40_001),
    ];
    let mut server = Command::new(python);
    server.args(["-c", SERVER, &format!("http://{to}"), &asked.len().to_string()]);
    server.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::piped());
    let server = server.spawn().expect("a server");
    let clients = asked.map(|(name, server, port, from)| {
        let words = format!("{server} {port} 5000 from:{from} say:{name} read:60000");
        let client = cable.dials(&stage, name, &words);
        // One after the other: it is the later one whose port is changed.
        run.wait_for("its connection", |object| {
            object["outcome"] == "connected" && object["container"]["id"] == client.container.id
        });
        (name, client)
    });
    let served = server.wait_with_output().expect("a server");
    let said = String::from_utf8_lossy(&served.stdout).into_owned();
    assert!(served.status.success(), "{said}");
    for (name, client) in clients.iter().filter(|(name, _)| *name != "untold") {
        is_tied(&run, name, client, &said);
    }
    for (_, client) in clients {
        let (_, said) = client.ends(&run);
        assert!(said.contains("read errno 104"), "{said}");
    }
    let seen = run.end();
    drop(node);
    let untold =
        seen.of_type("evidence").filter(|evidence| evidence["evidence"]["server"]["address"] == OTHER);
    assert_eq!(untold.collect::<Vec<_>>(), Vec::<&Value>::new());
    let port = |name: &str| -> u16 {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|port| port.trim().parse().ok()).expect("a port")
    };
    assert_eq!((port("direct"), port("plain")), (40_000, 40_001), "{said}");
    assert_ne!(port("moved"), 40_000, "the node had to change it: {said}");
}
