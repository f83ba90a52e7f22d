//! Senders and collectors that others wrote: the SDK of JavaScript in all of its protocols, and a collector that both
//! sends to the observer and receives from it.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use crate::receivers::{Peer, cache, free_port, installed, skip};
use crate::senders::{PYTHON, listens, otlp, passing_on, python};
use observer_tests::rig::{program, run::Run, stage};
use serde_json::{Value, json};

/// What its users write, by what they put into the environment: 100 spans, each called KIND-COMPRESSION-n.
const JAVASCRIPT: &str = r#"
const { NodeTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-node");
const [kind, compression] = process.argv.slice(1);
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-" + kind);
const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
const tracer = provider.getTracer("lab");
for (let n = 0; n < 100; n++) {
    const span = tracer.startSpan(`${kind}-${compression}-${n}`, { attributes: { "server.port": 80, list: [1, "a"], nothing: "" } });
    span.addEvent("an event");
    span.end();
}
provider.shutdown();
"#;

/// The packages of the SDK; `None` and a loud skip without.
fn javascript(test: &str) -> Option<PathBuf> {
    let modules = cache().join("npm/node_modules");
    if modules.join("@opentelemetry/exporter-trace-otlp-http").exists() {
        return Some(modules);
    }
    skip(test, &format!("no SDK of JavaScript in {}: run `cargo xtask setup`", modules.display()));
    None
}

/// Names of the spans that a receiver has printed.
fn names(output: &str) -> BTreeSet<String> {
    let all = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // Metrics have names, too.
    let spans = all.filter(|object| object["traceId"].is_string());
    spans.filter_map(|span| Some(span["name"].as_str()?.to_owned())).collect()
}

#[test]
fn the_sdk_of_javascript_sends_and_a_collector_has_all_of_it() {
    let test = "otlp::peers::the_sdk_of_javascript_sends_and_a_collector_has_all_of_it";
    let Some((modules, ())) = javascript(test).zip(installed(test)) else { return };
    let stage = stage();
    let mut tap = Peer::oteltap();
    let mut command = passing_on(&stage.path("state"), &tap.http(), "127.0.0.1:0");
    command.args(["--otlp-protocol", "http/protobuf"]);
    let run = Run::by(command);
    let to = listens(&run);
    for kind in ["grpc", "proto", "http"] {
        for compression in ["gzip", "none"] {
            let mut node = Command::new(program("node"));
            node.env("NODE_PATH", &modules).env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{to}"));
            node.env("OTEL_EXPORTER_OTLP_COMPRESSION", compression);
            let sent = node.args(["-e", JAVASCRIPT, kind, compression]).output().expect("node");
            let said = String::from_utf8_lossy(&sent.stderr);
            assert!(sent.status.success() && said.is_empty(), "{kind} {compression}: {said}");
        }
    }
    tap.until("all spans", |output| (names(output).len() == 600).then_some(()));
    let counts = otlp(&run.end());
    assert_eq!((&counts["received"]["spans"], &counts["forward"]["forwarded"]), (&json!(600), &json!(600)));
    assert_eq!((&counts["rejected"], &counts["seen_before"]), (&json!(0), &json!(0)), "{counts:#}");
}

#[test]
fn a_collector_of_others_between_us_and_us_makes_no_loop() {
    let test = "otlp::peers::a_collector_of_others_between_us_and_us_makes_no_loop";
    let Some((python, ())) = python(test).zip(installed(test)) else { return };
    let stage = stage();
    let (grpc, http) = (free_port(), free_port());
    // All that it is given it sends to the observer, which passes all on to it.
    let run = Run::by(passing_on(&stage.path("state"), &format!("http://127.0.0.1:{grpc}"), "127.0.0.1:0"));
    let to = listens(&run);
    let mut rotel = Peer::rotel_between(grpc, http, &format!("http://{to}"));
    let url = rotel.grpc();
    let send = |name: &str, number: &str| {
        let mut command = Command::new(&python);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
        let sent = command.args(["-c", PYTHON, "grpc", name, number]).output().expect("python");
        assert!(sent.status.success() && sent.stderr.is_empty(), "{}", String::from_utf8_lossy(&sent.stderr));
    };
    // How often a span has come: from its sender, and from the observer, and not a third time.
    let times = |output: &str, name: &str| output.matches(&format!(": {name}\n")).count();
    let all =
        |output: &str| -> Vec<usize> { (0..20).map(|n| times(output, &format!("first-{n}"))).collect() };
    send("first", "20");
    rotel.until("all spans twice", |output| all(output).iter().all(|count| *count >= 2).then_some(()));
    // What went around once more would do so before this.
    send("last", "1");
    let arrived =
        rotel.until("one more, twice", |output| (times(output, "last-0") >= 2).then(|| all(output)));
    assert_eq!(arrived, [2; 20]);
    let counts = otlp(&run.end());
    assert_eq!(counts["forward"]["forwarded"], 21, "{counts:#}");
    assert_eq!(counts["forward"]["dropped"], 0, "{counts:#}");
    // What the observer has sent came back to it, the last perhaps not any more.
    let back = counts["seen_before"].as_u64().expect("a count");
    assert!((20..=21).contains(&back), "{counts:#}");
    assert_eq!(counts["received"]["spans"].as_u64(), Some(21 + back), "{counts:#}");
}
