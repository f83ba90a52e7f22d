//! What a trace looks like, to receivers that others wrote.

#[path = "../peers/export.rs"]
mod export;
#[path = "../peers/receivers.rs"]
#[allow(dead_code, reason = "some are for other tests")]
mod receivers;

use std::collections::{BTreeMap, BTreeSet};

use export::{BEGIN, HANG, failed_start, flush, pod_start, sink};
use observer::{
    output::{Event, Stdio, StdioOutcome, What},
    sink::otlp::OtlpStats,
    time::Wall,
};
use receivers::{Peer, installed, printed};
use serde_json::Value;

fn send_both(url: &str, protocol: &str) {
    let (sink, said) = sink(url, protocol);
    sink.send(&pod_start());
    sink.send(&failed_start());
    let stats = flush(sink, HANG);
    assert_eq!(stats, OtlpStats { exported_spans: 8, ..OtlpStats::default() });
    assert!(said.lock().unwrap().is_empty(), "{said:?}");
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap().to_string(),
        other => other.to_string(),
    };
    let value = |value: &Value| {
        value.as_object().and_then(|kinds| kinds.values().next()).map(text).unwrap_or_default()
    };
    let pairs = of["attributes"].as_array().expect("attributes are a list").iter();
    pairs.map(|pair| (pair["key"].as_str().unwrap().to_owned(), value(&pair["value"]))).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn field<'a>(span: &'a Value, name: &str) -> &'a str {
    span[name].as_str().unwrap_or_else(|| panic!("{name} of {span}"))
}

/// Asserts all that was sent, however the receiver wrote it down.
fn assert_both(mut spans: Vec<Value>) {
    assert_eq!(spans.len(), 8);
    // The root before its first child.
    let order =
        |span: &Value| (field(span, "startTimeUnixNano").to_owned(), !field(span, "parentSpanId").is_empty());
    spans.sort_by_key(order);
    assert_pod_start(&spans[..5]);
    assert_failed_start(&spans[5..]);
}

/// The spans that oteltap has printed, once there are as many as were sent.
fn tapped(tap: &mut Peer, sent: usize) -> Vec<Value> {
    tap.until("all spans", |output| {
        let lines = output.lines().filter(|line| line.starts_with('{'));
        let spans: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        (spans.len() >= sent).then_some(spans)
    })
}

fn assert_tree(spans: &[Value], expected: &[(&str, i64, i64)]) {
    let (root, children) = spans.split_first().unwrap();
    assert_eq!(field(root, "parentSpanId"), "");
    assert_ne!(field(root, "traceId"), "0".repeat(32));
    for child in children {
        assert_eq!(field(child, "traceId"), field(root, "traceId"));
        assert_eq!(field(child, "parentSpanId"), field(root, "spanId"));
    }
    let mut ids: Vec<_> = spans.iter().map(|span| field(span, "spanId")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), spans.len(), "span ids differ");
    let seen: Vec<(&str, i64, i64)> = spans
        .iter()
        .map(|span| {
            let ns = |name| field(span, name).parse::<i64>().unwrap() - BEGIN;
            (field(span, "name"), ns("startTimeUnixNano"), ns("endTimeUnixNano"))
        })
        .collect();
    assert_eq!(seen, expected);
    for span in spans {
        assert_eq!(span["kind"], 1, "{span}");
        assert!(span["flags"].is_null() || span["flags"] == 0x101, "{span}");
    }
}

fn assert_pod_start(spans: &[Value]) {
    assert_tree(
        spans,
        &[
            ("container.start", 0, 9_000_000),
            ("container.start.runtime-load", 0, 1_000_000),
            ("container.start.unattributed", 1_000_000, 1_500_000),
            ("container.start.rootfs", 1_500_000, 4_000_001),
            ("container.start.ready", 4_000_001, 9_000_000),
        ],
    );
    let every = [("observer.t0", "shim"), ("observer.ready", "listen"), ("observer.kind", "oci")];
    let of = |own: &[(&str, &str)]| map(&[&every, own].concat());
    assert_eq!(
        attributes(&spans[0]),
        of(&[
            ("observer.layer", "L-3"),
            ("observer.phase", "start"),
            ("observer.cold", "true"),
            ("observer.total_ms", "9"),
            ("observer.unattributed_ms", "0.5"),
            ("observer.major_faults", "3"),
            ("observer.read_bytes", "8192"),
            ("observer.lost", "0"),
            ("observer.engine", "containerd"),
            ("observer.instance", "4243@77"),
        ])
    );
    assert_eq!(
        attributes(&spans[2]),
        of(&[("observer.layer", "unknown"), ("observer.phase", "unattributed")])
    );
    assert_eq!(
        attributes(&spans[3]),
        of(&[
            ("observer.layer", "L-3"),
            ("observer.phase", "rootfs"),
            ("observer.detail", "7 mounts"),
            ("process.pid", "4242"),
            ("process.parent_pid", "1"),
            ("process.executable.name", "crun"),
            ("process.executable.path", "/usr/bin/crun"),
            ("observer.comm", "crun:[2:INIT]"),
        ])
    );
    let events = spans[0]["events"].as_array().unwrap();
    let events: Vec<_> =
        events.iter().map(|event| (field(event, "name"), field(event, "timeUnixNano"))).collect();
    let at = |ns: i64| (BEGIN + ns).to_string();
    assert_eq!(
        events,
        [("observer.exec", at(4_000_001).as_str()), ("observer.listen", at(9_000_000).as_str())]
    );
    for span in spans {
        assert!(
            span["status"].is_null() || span["status"]["code"] == 0,
            "success leaves the status unset: {span}"
        );
    }
}

fn assert_failed_start(spans: &[Value]) {
    let begin = 1_000_000_000;
    assert_tree(
        spans,
        &[
            ("container.start", begin, begin + 2_000_000),
            ("container.start.runtime-load", begin, begin + 1_200_000),
            ("container.start.wasm-load", begin + 1_200_000, begin + 2_000_000),
        ],
    );
    for span in [&spans[0], &spans[2]] {
        assert_eq!(span["status"]["code"], 2, "{span}");
        assert_eq!(span["status"]["message"], "the module is not one");
        let attributes = attributes(span);
        assert_eq!(attributes["error.type"], "ENOEXEC");
        assert_eq!(attributes["observer.failure.call"], "execve");
        assert_eq!(attributes["observer.failure.object"], "/app.wasm");
        assert_eq!(attributes["observer.layer"], "L-4");
    }
    assert_eq!(attributes(&spans[0])["observer.failure.phase"], "wasm-load");
    let innocent = &spans[1];
    assert!(innocent["status"].is_null() || innocent["status"]["code"] == 0, "{innocent}");
    assert!(!attributes(innocent).contains_key("error.type"));
    assert!(!attributes(&spans[0]).contains_key("observer.cold"), "not seen is not false");
    let exit = &spans[0]["events"][0];
    assert_eq!(
        (field(exit, "name"), attributes(exit)),
        ("observer.exit", map(&[("process.exit.code", "1")]))
    );
}

/// Spans, resources and scopes as rotel prints them.
fn assert_printed_by(rotel: &mut Peer) {
    let output = rotel.until("eight spans", |output| {
        // Whole once the last attribute of the last span of each start is there. Its log is mixed in, anywhere.
        let whole = output.matches("    ID             : ").count() == 8
            && output.contains("observer.comm: Str(app)")
            && output.matches("observer.failure.comm: Str(crun)").count() == 2;
        whole.then(|| output.to_owned())
    });
    assert_both(output.split("\nSpan #").skip(1).map(printed).collect());
    let scope = format!("InstrumentationScope observer {}", env!("CARGO_PKG_VERSION"));
    let resource = |of: &str| -> Vec<String> {
        let block = output.split("ResourceSpans #").find(|block| block.contains(of)).expect("a resource");
        assert!(block.contains(&scope), "{block}");
        let (head, _) = block.split_once("ScopeSpans #").unwrap();
        head.lines().filter_map(|line| line.trim().strip_prefix("-> ")).map(ToOwned::to_owned).collect()
    };
    assert_eq!(
        resource("c0ffee"),
        [
            "service.name: Str(shop-0)",
            "service.namespace: Str(prod)",
            "container.id: Str(c0ffee)",
            "container.name: Str(app)",
            "container.image.name: Str(localhost:5000/shop/app)",
            "container.image.tags: Slice(Str(1.2))",
            "container.runtime.name: Str(crun)",
            "container.runtime.version: Str(1.14)",
            "k8s.namespace.name: Str(prod)",
            "k8s.pod.name: Str(shop-0)",
            "k8s.pod.uid: Str(11111111-2222-3333-4444-555555555555)",
            "k8s.container.name: Str(app)",
            "k8s.container.restart_count: Int(2)",
            "k8s.node.name: Str(node-1)",
            "host.name: Str(box)",
            "host.id: Str(0123abcd)",
        ]
    );
    assert_eq!(
        resource("by-hand"),
        [
            "service.name: Str(by-hand)",
            "container.id: Str(by-hand)",
            "k8s.node.name: Str(node-1)",
            "host.name: Str(box)",
            "host.id: Str(0123abcd)",
        ]
    );
}

#[test]
fn oteltap_receives_over_http_what_was_sent() {
    let Some(()) = installed("otlp_traces::oteltap_receives_over_http_what_was_sent") else { return };
    let mut tap = Peer::oteltap();
    send_both(&tap.http(), "http/protobuf");
    assert_both(tapped(&mut tap, 8));
}

#[test]
fn rotel_receives_over_http_what_was_sent() {
    let Some(()) = installed("otlp_traces::rotel_receives_over_http_what_was_sent") else { return };
    let mut rotel = Peer::rotel();
    send_both(&rotel.http(), "http/protobuf");
    assert_printed_by(&mut rotel);
}

#[test]
fn rotel_receives_over_grpc_what_was_sent() {
    let Some(()) = installed("otlp_traces::rotel_receives_over_grpc_what_was_sent") else { return };
    let mut rotel = Peer::rotel();
    send_both(&rotel.grpc(), "grpc");
    assert_printed_by(&mut rotel);
}

#[test]
fn the_same_start_is_the_same_trace_however_often_it_is_sent() {
    let test = "otlp_traces::the_same_start_is_the_same_trace_however_often_it_is_sent";
    let Some(()) = installed(test) else { return };
    let ids = || {
        let mut tap = Peer::oteltap();
        send_both(&tap.http(), "http/protobuf");
        let id = |span: &Value| (field(span, "traceId").to_owned(), field(span, "spanId").to_owned());
        tapped(&mut tap, 8).iter().map(id).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(), ids());
}

#[test]
fn an_event_is_a_trace_of_one_span_as_long_as_it() {
    let Some(()) = installed("otlp_traces::an_event_is_a_trace_of_one_span_as_long_as_it") else {
        return;
    };
    let mut tap = Peer::oteltap();
    let (sink, _) = sink(&tap.http(), "http/protobuf");
    let start = pod_start();
    let blocked = Stdio { outcome: StdioOutcome::Blocked, ended: false, ..observer_tests::events::stdio(1) };
    sink.send_event(&Event {
        time: Wall(BEGIN + 5_000),
        began: Some(Wall(BEGIN + 2_000)),
        container: Some(start.container),
        process: None,
        since: observer::output::Since::Start,
        why: None,
        what: What::Stdio(blocked),
    });
    let stats = flush(sink, HANG);
    assert_eq!(stats, OtlpStats { exported_spans: 1, ..OtlpStats::default() });
    let spans = tapped(&mut tap, 1);
    assert_tree(&spans, &[("stdio.blocked", 2_000, 5_000)]);
    let attributes = attributes(&spans[0]);
    assert_eq!(attributes["error.type"], "blocked");
    assert_eq!(attributes["observer.stdio.reader.comm"], "containerd-shim");
    assert_eq!(spans[0]["status"]["code"], 2, "{}", spans[0]);
}
