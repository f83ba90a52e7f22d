//! Observers that receive, and whoever sends to them: by hand, by SDKs that others wrote.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use observer_tests::rig::{
    run::Run,
    watch::{Seen, observer},
};
use serde_json::{Value, json};

use super::receivers::{skip, venv};

/// How Envoy reaches whoever receives its spans.
const ENVOY_SENDS_TO: &str = r#"  - name: otlp
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: otlp, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @otlp@}}}}]}]}
"#;

/// A configuration of Envoy that ends with its clusters, with its ports: its own, of the server behind it, and of who receives.
pub fn envoy(config: &str, port: u16, behind: u16, otlp: u16) -> String {
    let whole = format!("{config}{ENVOY_SENDS_TO}");
    let ports = [("@in@", port), ("@behind@", behind), ("@otlp@", otlp)];
    ports.into_iter().fold(whole, |text, (place, port)| text.replace(place, &port.to_string()))
}

/// Where it receives.
pub fn listens(run: &Run) -> SocketAddr {
    run.says("where it receives", |line| {
        let rest = line.split_once("receiving OTLP on ")?.1;
        rest.split(' ').next()?.trim().parse().ok()
    })
}

/// Hands over a request by HTTP, as JSON, and gives the status and all of the answer.
pub fn post(to: SocketAddr, path: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(to).expect("the observer");
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json");
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer}")), answer)
}

/// A span that is to be taken.
pub fn send(to: SocketAddr, body: &Value) {
    let (status, answer) = post(to, "/v1/traces", body);
    assert!(status == 200 && answer.ends_with("{}"), "{answer}");
}

/// A request of one span that is about nothing.
pub fn plain_span(number: u64) -> Value {
    json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
        "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": format!("s{number}"),
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
    }]}]}]})
}

/// An observer that passes everything on and keeps what waits in this folder; of its own it sends nothing about
/// containers.
pub fn passing_on(folder: &Path, url: &str, listen: &str) -> Command {
    let mut command = Command::new(observer());
    command.env("STATE_DIRECTORY", folder);
    command.args([
        "run",
        "--socket",
        "off",
        "--probes",
        "process",
        "--show",
        "stats",
        "--otlp-listen",
        listen,
    ]);
    command.args(["--container", "none-of-these", "--otlp-forward", "all", "--otlp", url]);
    command
}

/// What became of what was received.
pub fn otlp(seen: &Seen) -> Value {
    seen.of_type("summary").next().expect("a summary")["otlp"].clone()
}

/// What the SDK of Python sends, by what its users put into the environment: NUMBER spans, each called NAME-n.
pub const PYTHON: &str = r#"
import sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
kind, name, number = sys.argv[1:]
if kind == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("lab")
for n in range(int(number)):
    with tracer.start_as_current_span(f"{name}-{n}"):
        pass
provider.shutdown()
"#;

/// Python with its SDK; `None` and a loud skip without.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = venv().join("bin/python");
    let mut has_sdk = Command::new(&python);
    has_sdk.args(["-c", "import opentelemetry.exporter.otlp"]).stderr(Stdio::null());
    if has_sdk.status().is_ok_and(|status| status.success()) {
        return Some(python);
    }
    skip(test, "no opentelemetry-exporter-otlp in the environment: run `cargo xtask setup`");
    None
}
