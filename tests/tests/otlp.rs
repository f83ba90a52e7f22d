//! Cold starts as OTLP traces, against receivers that others wrote and against servers that misbehave.
// long: one cold start is built once and asserted span by span on each of the receivers.

#[path = "../peers/mod.rs"]
mod peers;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use observer::{
    layer::Layer,
    output::{
        ColdStart, Container, Exit, Failure, Instance, Kind, Milestones, Phase, PhaseName, Process, Ready, T0,
    },
    sink::otlp::{Host, OtlpSettings, OtlpSink, OtlpStats},
    time::{Time, Wall},
};
use peers::Peer;
use serde_json::{Value, json};

const BEGIN: i64 = 1_700_000_000_123_456_789;

fn host() -> Host {
    Host { name: "box".into(), id: Some("0123abcd".into()), node: Some("node-1".into()), cluster: None }
}

fn process(pid: u32, comm: &str, exe: &str) -> Option<Process> {
    Some(Process { pid, tid: pid, ppid: Some(1), comm: comm.into(), exe: Some(exe.into()), start: None })
}

fn phase(name: PhaseName, layer: Layer, start_ns: u64, duration_ns: u64, process: Option<Process>) -> Phase {
    Phase { name, layer, start_ns, duration_ns, process, detail: None }
}

/// A pod's container: runtime-load 0-1 ms, nothing known 1-1.5 ms, rootfs 1.5-4.000001 ms, ready at 9 ms.
fn pod_start() -> ColdStart {
    let crun = || process(4242, "crun:[2:INIT]", "/usr/bin/crun");
    let mut rootfs = phase(PhaseName::Rootfs, Layer::L3, 1_500_000, 2_500_001, crun());
    rootfs.detail = Some("7 mounts".into());
    ColdStart {
        time: Wall(BEGIN),
        container: Container {
            id: "c0ffee".into(),
            instance: Some(Instance { init: 4243, start: Time(77) }),
            name: Some("app".into()),
            pod: Some("shop-0".into()),
            namespace: Some("prod".into()),
            pod_uid: Some("11111111-2222-3333-4444-555555555555".into()),
            attempt: Some(2),
            image: Some("localhost:5000/shop/app:1.2".into()),
            runtime: Some("crun".into()),
            runtime_version: Some("1.14".into()),
            engine: Some("containerd".into()),
            ..Container::default()
        },
        t0: T0::Shim,
        total_ns: 9_000_000,
        ready: Ready::Listen,
        milestones: Milestones {
            exec_ns: Some(4_000_001),
            listen_ns: Some(9_000_000),
            ..Milestones::default()
        },
        cold: Some(true),
        phases: vec![
            phase(PhaseName::RuntimeLoad, Layer::Host, 0, 1_000_000, crun()),
            rootfs,
            phase(PhaseName::Ready, Layer::L3, 4_000_001, 4_999_999, process(4243, "app", "/srv/app")),
        ],
        unattributed_ns: 500_000,
        major_faults: Some(3),
        read_bytes: Some(8192),
        lost: 0,
        failure: None,
    }
}

/// A Wasm container that was started by hand and whose module is not one.
fn failed_start() -> ColdStart {
    let crun = || process(5151, "crun", "/usr/bin/crun");
    ColdStart {
        time: Wall(BEGIN + 1_000_000_000),
        container: Container {
            id: "by-hand".into(),
            kind: Kind::Wasm,
            exit: Some(Exit { code: Some(1), ..Exit::default() }),
            ..Container::default()
        },
        t0: T0::Runtime,
        total_ns: 2_000_000,
        ready: Ready::Exit,
        milestones: Milestones { exit_ns: Some(2_000_000), ..Milestones::default() },
        cold: None,
        phases: vec![
            phase(PhaseName::RuntimeLoad, Layer::Host, 0, 1_200_000, crun()),
            phase(PhaseName::WasmLoad, Layer::L4, 1_200_000, 800_000, crun()),
        ],
        unattributed_ns: 0,
        major_faults: None,
        read_bytes: None,
        lost: 0,
        failure: Some(Failure {
            phase: PhaseName::WasmLoad,
            call: Some("execve".into()),
            errno: Some(8),
            object: Some("/app.wasm".into()),
            process: crun(),
            text: "the module is not one".into(),
        }),
    }
}

/// A sink, and the lines it says.
fn sink(url: &str, protocol: &str) -> (OtlpSink, Arc<Mutex<Vec<String>>>) {
    let settings = OtlpSettings::resolve(Some(url), Some(protocol), |_| None).unwrap().unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&said);
    let sink =
        OtlpSink::new(settings, host(), move |line| keep.lock().unwrap().push(line.to_owned())).unwrap();
    (sink, said)
}

/// Fails instead of hanging if a flush does not come back.
fn flush(sink: OtlpSink, deadline: Duration) -> OtlpStats {
    let (stats, flushed) = mpsc::channel();
    thread::spawn(move || stats.send(sink.flush(deadline)));
    flushed.recv_timeout(peers::HANG).expect("flush comes back")
}

fn send_both(url: &str, protocol: &str) {
    let (sink, said) = sink(url, protocol);
    sink.send(&pod_start());
    sink.send(&failed_start());
    let stats = flush(sink, peers::HANG);
    assert_eq!(stats, OtlpStats { exported_spans: 8, dropped_spans: 0, last_error: None });
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

/// The spans that oteltap has printed, once there are all of them.
fn tapped(tap: &mut Peer) -> Vec<Value> {
    tap.until("eight spans", |output| {
        let lines = output.lines().filter(|line| line.starts_with('{'));
        let spans: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        (spans.len() >= 8).then_some(spans)
    })
}

/// A span that rotel has printed, as oteltap would have. It prints everything but the flags.
fn printed(block: &str) -> Value {
    let block = block.split("\nResourceSpans #").next().unwrap();
    let (span, events) = block.split_once("\nEvents:\n").unwrap_or((block, ""));
    let (head, own) = span.split_once("\nAttributes:\n").unwrap_or((span, ""));
    let labels: BTreeMap<&str, &str> = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(label, value)| (label.trim(), value.trim()))
        .collect();
    let pairs = |text: &str, indent: &str| -> Vec<Value> {
        let pairs = text.lines().filter_map(|line| line.strip_prefix(indent)?.split_once(": "));
        pairs
            .map(|(key, value)| {
                let (kind, value) = value.trim_end_matches(')').split_once('(').unwrap_or(("", value));
                json!({"key": key, "value": {kind: value}})
            })
            .collect()
    };
    let events: Vec<Value> = events
        .split("SpanEvent #")
        .skip(1)
        .map(|event| {
            let line =
                |label: &str| event.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default();
            json!({
                "name": line("     -> Name: "),
                "timeUnixNano": line("     -> Timestamp: "),
                "attributes": pairs(event, "          -> "),
            })
        })
        .collect();
    let failed = labels.get("Status code").map(|code| i32::from(*code == "STATUS_CODE_ERROR") * 2);
    json!({
        "traceId": labels["Trace ID"],
        "spanId": labels["ID"],
        "parentSpanId": labels["Parent ID"],
        "name": labels["Name"],
        "kind": i32::from(labels["Kind"] == "SPAN_KIND_INTERNAL"),
        "startTimeUnixNano": labels["Start time"],
        "endTimeUnixNano": labels["End time"],
        "status": failed.map(|code| json!({"code": code, "message": labels["Status message"]})),
        "attributes": pairs(own, "     -> "),
        "events": events,
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
        // The last thing printed is the last span's last attribute.
        (output.matches("    ID             : ").count() == 8 && output.trim_end().ends_with("Str(crun)"))
            .then(|| output.to_owned())
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
    let Some(()) = peers::installed("otlp::oteltap_receives_over_http_what_was_sent") else { return };
    let mut tap = Peer::oteltap();
    send_both(&tap.http(), "http/protobuf");
    assert_both(tapped(&mut tap));
}

#[test]
fn rotel_receives_over_http_what_was_sent() {
    let Some(()) = peers::installed("otlp::rotel_receives_over_http_what_was_sent") else { return };
    let mut rotel = Peer::rotel();
    send_both(&rotel.http(), "http/protobuf");
    assert_printed_by(&mut rotel);
}

#[test]
fn rotel_receives_over_grpc_what_was_sent() {
    let Some(()) = peers::installed("otlp::rotel_receives_over_grpc_what_was_sent") else { return };
    let mut rotel = Peer::rotel();
    send_both(&rotel.grpc(), "grpc");
    assert_printed_by(&mut rotel);
}

#[test]
fn the_same_start_is_the_same_trace_however_often_it_is_sent() {
    let test = "otlp::the_same_start_is_the_same_trace_however_often_it_is_sent";
    let Some(()) = peers::installed(test) else { return };
    let ids = || {
        let mut tap = Peer::oteltap();
        send_both(&tap.http(), "http/protobuf");
        let id = |span: &Value| (field(span, "traceId").to_owned(), field(span, "spanId").to_owned());
        tapped(&mut tap).iter().map(id).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(), ids());
}

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// Sends two starts to a collector that will not take them, and looks at what is said and counted.
fn assert_all_dropped(port: u16, protocol: &str) -> String {
    let (sink, said) = sink(&format!("http://127.0.0.1:{port}"), protocol);
    sink.send(&pod_start());
    sink.send(&failed_start());
    let stats = flush(sink, Duration::from_millis(700));
    assert_eq!((stats.exported_spans, stats.dropped_spans), (0, 8), "{protocol}: {stats:?}");
    let said = said.lock().unwrap();
    assert!(said.len() <= 1, "{protocol}: {said:?}");
    format!("{}\n{stats}", said.first().map_or("", String::as_str))
}

#[test]
fn a_collector_that_is_down_costs_one_line_and_the_count() {
    for protocol in PROTOCOLS {
        let said = assert_all_dropped(peers::NOBODY, protocol);
        assert!(said.starts_with("otlp: http://127.0.0.1:"), "{said}");
        assert!(said.contains("does not take spans") && said.contains("onnection refused"), "{said}");
        assert!(said.contains("0 spans exported, 8 dropped; last error: "), "{said}");
    }
}

#[test]
fn a_collector_that_never_answers_does_not_hold_the_flush() {
    for protocol in PROTOCOLS {
        let (port, _listener) = peers::silent();
        assert_all_dropped(port, protocol);
    }
}

#[test]
fn a_server_that_is_no_collector_takes_nothing() {
    for protocol in PROTOCOLS {
        let (port, _requests) = peers::answering(vec![b"SSH-2.0-\x1b[2Jnot a collector\r\n".to_vec()]);
        let said = assert_all_dropped(port, protocol);
        assert!(said.contains("last error: ") && !said.contains('\x1b'), "{protocol}: {said:?}");
    }
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>hi</html";
    let (port, _requests) = peers::answering(vec![page.to_vec()]);
    let said = assert_all_dropped(port, "http/protobuf");
    assert!(said.contains("is this a collector?"), "{said}");
}

#[test]
fn rejected_spans_are_counted() {
    // ExportTraceServiceResponse { partial_success { rejected_spans: 3, error_message: "too old\x1b" } }
    let body = b"\x0a\x0c\x08\x03\x12\x08too old\x1b";
    let answer =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    let (port, requests) = peers::answering(vec![answer]);
    let (sink, said) = sink(&format!("http://127.0.0.1:{port}"), "http/protobuf");
    sink.send(&pod_start());
    let stats = flush(sink, peers::HANG);
    assert_eq!((stats.exported_spans, stats.dropped_spans), (2, 3), "{stats:?}");
    assert_eq!(stats.last_error.as_deref(), Some(r"3 spans were rejected: too old\x1b"));
    assert_eq!(said.lock().unwrap().len(), 1);
    assert_eq!(requests.iter().take(1).last(), Some(1), "a partial success is not tried again");
}

#[test]
fn a_busy_collector_is_asked_again() {
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let fine = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let (port, requests) = peers::answering(vec![busy.clone(), busy, fine]);
    let (sink, said) = sink(&format!("http://127.0.0.1:{port}"), "http/protobuf");
    sink.send(&pod_start());
    let stats = flush(sink, peers::HANG);
    assert_eq!((stats.exported_spans, stats.dropped_spans), (5, 0), "{stats:?}");
    assert_eq!(requests.iter().take(3).last(), Some(3));
    assert_eq!(said.lock().unwrap().len(), 1, "one line for two refusals");
}

#[test]
fn a_full_queue_drops_and_counts_and_never_waits() {
    const STARTS: u64 = 5_000;
    let (port, _listener) = peers::silent();
    let (sink, said) = sink(&format!("http://127.0.0.1:{port}"), "grpc");
    for _ in 0..STARTS {
        sink.send(&failed_start());
    }
    let stats = flush(sink, Duration::from_millis(100));
    assert_eq!((stats.exported_spans, stats.dropped_spans), (0, 3 * STARTS));
    let why = stats.last_error.unwrap();
    assert!(why.contains("more than 2048 starts and events were waiting"), "{why}");
    assert!(said.lock().unwrap().len() <= 1);
}
