//! Spans in, evidence out: real containers and faults, senders and collectors that others wrote.

mod many;
mod peers;
mod proxies;
mod secure;
mod service;
mod spool;

use std::{path::Path, process::Command};

use crate::receivers::{Peer, installed};
use crate::senders::{listens, otlp, passing_on, python, send};
use observer_tests::rig::{net::Cable, run::Run, stage, watch::observer};
use rustix::process::Signal;
use serde_json::{Value, json};

fn pairs(of: &Value) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let pair = |(key, value): (&String, &Value)| json!({"key": key, "value": {"stringValue": text(value)}});
    of.as_object().expect("attributes").iter().map(pair).collect()
}

/// A client's span of a container, over the time of an event and a second more on either side.
fn span(number: u8, container: &str, of: &Value, attributes: &Value) -> Value {
    let ns = |field: &str| -> i64 {
        let time: jiff::Timestamp = of[field].as_str().expect("a time").parse().expect("RFC 3339");
        i64::try_from(time.as_nanosecond()).expect("this century")
    };
    let id = |len: usize| format!("{number:02x}").repeat(len);
    json!({"resourceSpans": [{
        "resource": {"attributes": pairs(&json!({
            "service.name": format!("service-{number}"), "container.id": container, "host.name": "their-name"
        }))},
        "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
            "traceId": id(16), "spanId": id(8), "name": format!("GET /{number}"), "kind": 3, "flags": 0x101,
            "startTimeUnixNano": (ns("began") - 1_000_000_000).to_string(),
            "endTimeUnixNano": (ns("time") + 1_000_000_000).to_string(),
            "attributes": pairs(attributes),
        }]}],
    }]})
}

/// The event of a container's connection that has ended so.
fn event<'a>(run: &Run, id: &'a str, outcome: &'a str) -> Value {
    run.wait_for("its connection", |object| {
        object["probe"] == "net" && object["container"]["id"] == id && object["outcome"] == outcome
    })
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    let pair = span["attributes"].as_array()?.iter().find(|pair| pair["key"] == key)?;
    pair["value"]["stringValue"].as_str()
}

fn explain(trace: &str, recording: &Path) -> Value {
    let mut command = Command::new(observer());
    command.args(["explain", trace, "-o", "json", "--from"]).arg(recording);
    let ran = command.output().expect("the observer");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

/// Connections that a receiver was told of, once there are two that were tied to a span.
fn connects(tap: &mut Peer) -> Vec<Value> {
    tap.until("the evidence", |output| {
        let all = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is_tied =
            |span: &Value| span["name"] == "net.connect" && attribute(span, "observer.join").is_some();
        let connects: Vec<Value> = all.filter(is_tied).collect();
        (connects.len() >= 2).then_some(connects)
    })
}

#[test]
// long: one run, whose containers and spans have to be told apart
fn each_trace_gets_its_own_evidence_and_nothing_else() {
    let Some(()) = installed("otlp::each_trace_gets_its_own_evidence_and_nothing_else") else { return };
    let (mut tap, cable, stage) = (Peer::oteltap(), Cable::lay(), stage());
    let recording = stage.path("run.rec");
    let record = recording.to_str().expect("a path");
    let url = tap.http();
    let run = Run::begin(
        &stage,
        &[
            "--show",
            "events,evidence",
            "--otlp-protocol",
            "http/protobuf",
            "--otlp-listen-http",
            "127.0.0.1:0",
            "--otlp",
            &url,
            "--record",
            record,
        ],
    );
    let to = listens(&run);
    let far = cable.far.to_string();
    cable.nft_far("input", "tcp dport 7003 drop");
    let _server = cable.listens(7001);
    let answered = cable.dials(&stage, "answered", &format!("{far} 7001 5000"));
    let dropped = cable.dials(&stage, "dropped", &format!("{far} 7003 2500"));
    let busy = cable.dials(&stage, "busy", &format!("{far} 7002 5000"));
    let ((answered, _), (dropped, _), (busy, _)) = (answered.ends(&run), dropped.ends(&run), busy.ends(&run));
    let of_answered = event(&run, &answered, "connected");
    let of_dropped = event(&run, &dropped, "timeout");
    let peer = |port: u16| json!({"network.peer.address": far, "network.peer.port": port});
    // By both ends; by whom was asked and who asked.
    let mut ends = peer(7001);
    ends["network.local.address"] = of_answered["local"]["address"].clone();
    ends["network.local.port"] = of_answered["local"]["port"].clone();
    send(to, &span(1, "not-told", &of_answered, &ends));
    send(to, &span(2, &dropped, &of_dropped, &peer(7003)));
    // Whose connection it was not: another's, to the same server at the same time; the same one's, to another.
    send(to, &span(3, "0123456789abcdef", &of_dropped, &peer(7003)));
    send(to, &span(4, &dropped, &of_dropped, &peer(7777)));
    // Two requests of one container at once: either may have asked.
    let of_busy = event(&run, &busy, "refused");
    send(to, &span(5, &busy, &of_busy, &peer(7002)));
    send(to, &span(6, &busy, &of_busy, &peer(7002)));
    let seen = run.end();

    let connects = connects(&mut tap);
    let stands = |number: u8| {
        let (trace, parent) = (format!("{number:02x}").repeat(16), format!("{number:02x}").repeat(8));
        let of_trace: Vec<&Value> = connects.iter().filter(|span| span["traceId"] == *trace).collect();
        for span in &of_trace {
            assert_eq!(span["parentSpanId"], *parent, "{span:#}");
        }
        of_trace.iter().filter_map(|span| attribute(span, "observer.join")).collect::<Vec<_>>()
    };
    assert_eq!(stands(1), ["socket"], "{connects:#?}");
    assert_eq!(stands(2), ["address"]);
    for foreign in [3, 4, 5, 6] {
        assert_eq!(stands(foreign), Vec::<&str>::new(), "{connects:#?}");
    }
    let summary = seen.of_type("summary").next().expect("a summary");
    assert_eq!(summary["otlp"]["received"]["spans"], 6);
    assert!(summary["joined"]["ambiguous"].as_u64() >= Some(1), "{summary:#}");

    assert_explained(&explain(&"02".repeat(16), &recording));
}

/// The trace whose connection nobody answered.
fn assert_explained(explained: &Value) {
    assert_eq!(explained["hops"][0]["name"], "GET /2");
    let of = |what: &str| {
        let mut checked = explained["checked"].as_array().expect("a list").iter();
        checked.find(|checked| checked["what"] == what).expect("what was looked at")
    };
    assert_eq!(of("connections")["state"], "abnormal", "{explained:#}");
    assert_eq!(of("look-ups of names")["state"], "ok", "{explained:#}");
    assert_eq!(of("hypervisor and hardware")["state"], "not-measured");
    let order: Vec<&Value> =
        explained["checked"].as_array().unwrap().iter().map(|checked| &checked["layer"]).collect();
    assert_eq!(order.first().zip(order.last()), Some((&&json!("L-4"), &&json!("host"))));
}

/// An observer that passes everything on and keeps what waits in this folder.
fn passes_on(folder: &Path, url: &str, listen: &str) -> Run {
    let mut command = passing_on(folder, url, listen);
    command.args(["--otlp-protocol", "http/protobuf"]);
    Run::by(command)
}

#[test]
fn what_waits_for_a_collector_outlives_a_kill() {
    let Some(()) = installed("otlp::what_waits_for_a_collector_outlives_a_kill") else { return };
    let stage = stage();
    let folder = stage.path("state");
    let time = json!({"began": "2024-01-01T00:00:00Z", "time": "2024-01-01T00:00:01Z"});
    // Nobody listens on port 1.
    let run = passes_on(&folder, "http://127.0.0.1:1", "127.0.0.1:0");
    let to = listens(&run);
    for number in 1..=50 {
        send(to, &span(number, "c", &time, &json!({})));
    }
    run.signal(Signal::KILL);
    drop(run);
    let mut tap = Peer::oteltap();
    let run = passes_on(&folder, &tap.http(), "127.0.0.1:0");
    let to = listens(&run);
    for number in 41..=60 {
        send(to, &span(number, "c", &time, &json!({})));
    }
    let names = tap.until("all spans", |output| {
        let all = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut names: Vec<String> =
            all.filter_map(|span| Some(span["traceId"].as_str()?.to_owned())).collect();
        names.sort_unstable();
        names.dedup();
        (names.len() == 60).then_some(names)
    });
    assert_eq!(names.len(), 60);
    let counts = otlp(&run.end());
    // What was sent again to another run is new to it: ten spans went twice.
    assert_eq!(
        counts["forward"],
        json!({"resumed": 50, "forwarded": 70, "waiting": 0, "waiting_in_memory": 0, "dropped": 0})
    );
    assert_eq!(counts["received"]["spans"], 20);
}

#[test]
fn a_collector_that_sends_to_us_and_receives_from_us_makes_no_loop() {
    let Some(()) = installed("otlp::a_collector_that_sends_to_us_and_receives_from_us_makes_no_loop") else {
        return;
    };
    let stage = stage();
    // Each passes everything on to the other.
    let first = passes_on(&stage.path("a"), "http://127.0.0.1:1", "127.0.0.1:0");
    let to_first = listens(&first);
    let second = passes_on(&stage.path("b"), &format!("http://{to_first}"), "127.0.0.1:0");
    let to_second = listens(&second);
    drop(first);
    let first = passes_on(&stage.path("c"), &format!("http://{to_second}"), &to_first.to_string());
    let time = json!({"began": "2024-01-01T00:00:00Z", "time": "2024-01-01T00:00:01Z"});
    for number in 1..=20 {
        send(to_second, &span(number, "c", &time, &json!({})));
    }
    std::thread::sleep(std::time::Duration::from_secs(3));
    let (first, second) = (otlp(&first.end()), otlp(&second.end()));
    assert_eq!((&first["received"]["spans"], &first["seen_before"]), (&json!(20), &json!(0)));
    assert_eq!((&second["received"]["spans"], &second["seen_before"]), (&json!(40), &json!(20)));
    assert_eq!((&first["forward"]["forwarded"], &second["forward"]["forwarded"]), (&json!(20), &json!(20)));
}

/// What the SDK of Python sends, in the way that its users configure it.
const SENDER: &str = r#"
import sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
kind, url, compressed = sys.argv[1:]
if kind == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    compression = grpc.Compression.Gzip if compressed == "gzip" else None
    exporter = OTLPSpanExporter(endpoint=url, insecure=True, compression=compression)
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import Compression, OTLPSpanExporter
    compression = Compression.Gzip if compressed == "gzip" else None
    exporter = OTLPSpanExporter(endpoint=url + "/v1/traces", compression=compression)
provider = TracerProvider(resource=Resource.create({"service.name": "python"}))
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("lab")
for number in range(100):
    with tracer.start_as_current_span(f"{kind}-{compressed}-{number}"):
        pass
provider.shutdown()
"#;

#[test]
fn the_sdk_of_python_sends_and_a_collector_has_all_of_it() {
    let test = "otlp::the_sdk_of_python_sends_and_a_collector_has_all_of_it";
    let Some(()) = installed(test) else { return };
    let Some(python) = python(test) else { return };
    let stage = stage();
    let mut tap = Peer::oteltap();
    let run = passes_on(&stage.path("state"), &tap.http(), "127.0.0.1:0");
    let to = listens(&run);
    for kind in ["grpc", "http"] {
        for compressed in ["gzip", "plain"] {
            let url = format!("http://{to}");
            let sent =
                Command::new(&python).args(["-c", SENDER, kind, &url, compressed]).output().expect("python");
            assert!(
                sent.status.success() && sent.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&sent.stderr)
            );
        }
    }
    tap.until("all spans", |output| {
        let all = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // Metrics have names, too.
        let spans = all.filter(|object| object["traceId"].is_string());
        let mut names: Vec<String> =
            spans.filter_map(|span| Some(span["name"].as_str()?.to_owned())).collect();
        names.sort_unstable();
        names.dedup();
        (names.len() == 400).then_some(())
    });
    let counts = otlp(&run.end());
    assert_eq!((&counts["received"]["spans"], &counts["forward"]["forwarded"]), (&json!(400), &json!(400)));
}
