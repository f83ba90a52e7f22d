//! Metrics and findings as others get them: fetched as Prometheus does, received by a collector that others wrote; they
//! say what the observer has printed.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
};

use crate::receivers::{Peer, installed};
use observer_tests::rig::{
    Bundle, Ran, Stage,
    dns::{DNSMASQ, Names},
    program,
    run::Run,
    stage,
    stdio::{Cat, Container, Streams},
    watch::{Seen, observer},
};
use serde_json::{Value, json};

/// What is answered to a request, its head and its body.
fn ask(to: SocketAddr, head: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(to).expect("the observer listens");
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// A client's span of a container, over all of today.
fn span(container: &str) -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    let at = |seconds: i128| (now + seconds * 1_000_000_000).to_string();
    let whose = json!([{"key": "container.id", "value": {"stringValue": container}}]);
    json!({"resourceSpans": [{"resource": {"attributes": whose}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
        "traceId": "ab".repeat(16), "spanId": "cd".repeat(8), "name": "GET /", "kind": 3, "flags": 0x101,
        "startTimeUnixNano": at(-60), "endTimeUnixNano": at(60),
    }]}]}]})
    .to_string()
}

/// A container of whose output nobody takes the second half.
fn lose_output(stage: &Stage, run: &Run) -> String {
    let words = "deaf write:100x10 mark:/said wait:/go broken:50x7 mark:/lost wait:/end exit:0";
    let (streams, out) = Streams::piped();
    let mut cat = Cat::begin(stage, "gone", out);
    let mut gone = Container::begin(stage, "gone", words, streams);
    gone.reaches("said");
    cat.kill();
    gone.release("go");
    gone.reaches("lost");
    run.wait_for("the finding", |object| {
        object["type"] == "finding" && object["subject"]["container"]["id"] == *gone.id
    });
    gone.release("end");
    assert_eq!(gone.ends(), 0);
    run.stream_ends(&gone.id, 1);
    gone.id
}

/// What the collector was told: spans, log records and metrics, each a line.
fn received(tap: &mut Peer) -> Vec<Value> {
    tap.until("the last metrics", |output| {
        let all: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let has = |name: &str| all.iter().any(|object| object["name"] == name);
        (has("observer.finding") && has("observer_self_rss_bytes")).then_some(all)
    })
}

/// The series of a metric as they were told last: by the values of labels, numbers or how many there were.
fn last(received: &[Value], name: &str) -> BTreeMap<Vec<String>, (f64, f64)> {
    let Some(metric) = received.iter().rfind(|object| object["name"] == name) else { return BTreeMap::new() };
    let kinds = ["sum", "gauge", "histogram"].into_iter();
    let points = kinds.filter_map(|kind| metric[kind]["dataPoints"].as_array()).flatten();
    let number = |value: &Value| {
        value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap_or_default()
    };
    let labels = |point: &Value| -> Vec<String> {
        let pairs = point["attributes"].as_array().into_iter().flatten();
        pairs.map(|pair| pair["value"]["stringValue"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let value = |point: &Value| match point.get("count") {
        Some(count) => (number(count), number(&point["sum"])),
        None => (number(&point["asDouble"]), 0.0),
    };
    points.map(|point| (labels(point), value(point))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("none").to_owned()
}

/// The same by what was printed.
#[derive(Default)]
struct Printed {
    starts: BTreeMap<Vec<String>, (f64, f64)>,
    lookups: BTreeMap<Vec<String>, (f64, f64)>,
    undelivered: f64,
    findings: BTreeMap<Vec<String>, (f64, f64)>,
}

impl Printed {
    fn by(seen: &Seen) -> Printed {
        let mut printed = Printed::default();
        for start in seen.of_type("coldstart").filter(|start| start["failure"].is_null()) {
            let container = &start["container"];
            let runtime = container["runtime"].as_str().unwrap_or("unknown").to_owned();
            let of = vec!["total".to_owned(), runtime, text(&container["kind"])];
            let entry = printed.starts.entry(of).or_default();
            *entry = (entry.0 + 1.0, entry.1 + start["total_ms"].as_f64().expect("a time") / 1e3);
        }
        for event in seen.of_type("event") {
            if event["probe"] == "dns" && !(event["latency_ms"].is_null() && event["began"].is_null()) {
                let of = vec![text(&event["container"]["namespace"]), text(&event["outcome"])];
                printed.lookups.entry(of).or_default().0 += 1.0;
            }
            let is_lost = ["undelivered", "blocked", "reader-gone"].iter().any(|of| event["outcome"] == **of);
            if event["probe"] == "stdio" && event["ended"] == true && is_lost {
                let bytes = |field: &str| event[field].as_f64();
                let left =
                    bytes("written_bytes").zip(bytes("delivered_bytes")).map(|(all, taken)| all - taken);
                printed.undelivered += left.or(bytes("pipe_bytes")).unwrap_or_default();
            }
        }
        let mut open: BTreeMap<String, &Value> = BTreeMap::new();
        for finding in seen.of_type("finding") {
            open.insert(text(&finding["fingerprint"]), finding);
        }
        for finding in open.values() {
            let of = ["id", "cause", "grade", "severity"].map(|field| text(&finding[field])).to_vec();
            let is_open = f64::from(u8::from(finding["status"] != "resolved"));
            printed.findings.entry(of).or_default().0 += is_open;
        }
        printed
    }
}

/// By Prometheus' own tool.
fn assert_well_formed(page: &str) {
    let mut promtool = Command::new(program("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool");
    child.stdin.take().expect("its input").write_all(page.as_bytes()).expect("promtool reads");
    let said = child.wait_with_output().expect("promtool");
    let text = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}\n{page}");
}

#[test]
// long: one run, whose numbers are told in three ways that have to agree
fn metrics_and_findings_say_what_was_printed() {
    let Some(()) = installed("metrics::metrics_and_findings_say_what_was_printed") else { return };
    let (mut tap, stage) = (Peer::oteltap(), stage());
    let names = Names::new(&stage);
    let url = tap.http();
    let run = Run::begin(
        &stage,
        &[
            "--metrics",
            "127.0.0.1:0",
            "--otlp-listen-http",
            "127.0.0.1:0",
            "--otlp",
            &url,
            "--otlp-protocol",
            "http/protobuf",
        ],
    );
    let metrics: SocketAddr = run.says("where its metrics are", |line| {
        line.split_once("metrics at http://")?.1.trim().strip_suffix("/metrics")?.parse().ok()
    });
    let spans =
        run.says("where it receives", |line| line.split_once("receiving OTLP on ")?.1.trim().parse().ok());
    names.ask(DNSMASQ);
    assert_eq!(names.getent("good.test").code(), 0);
    assert_ne!(names.getent("missing.test").code(), 0);
    let echo = Bundle::new(&["/bin/echo", "hello"]).write(&stage, &format!("echo-{}", stage.id()));
    stage.runtime(program("crun")).run(&echo.expect("bundle")).and_then(Ran::success).expect("crun");
    let gone = lose_output(&stage, &run);
    let (head, _) = ask(spans, "POST /v1/traces", &span(&gone));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    run.wait_for("a look-up in vain", |object| object["probe"] == "dns" && object["outcome"] == "nxdomain");
    let (head, page) = ask(metrics, "GET /metrics", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(ask(metrics, "GET /", "").0.starts_with("HTTP/1.1 404"));
    let seen = run.end();

    assert_well_formed(&page);
    for line in [
        "observer_dns_lookup_seconds_count{namespace=\"none\",outcome=\"nxdomain\"} ",
        "observer_start_seconds_count{phase=\"total\",runtime=\"crun\",kind=\"oci\"} ",
        "observer_findings{row=\"kubectl-logs-empty\",cause=\"reader-gone\",grade=\"proved\",severity=\"P2\"} ",
        "observer_probe_state{probe=\"process\",state=\"attached\"} 1",
        "observer_self_rss_bytes ",
    ] {
        assert!(page.lines().any(|said| said.starts_with(line)), "no {line} in {page}");
    }

    let received = received(&mut tap);
    let printed = Printed::by(&seen);
    let mut starts = last(&received, "observer_start_seconds");
    starts.retain(|labels, _| labels[0] == "total");
    let counts = |all: &BTreeMap<Vec<String>, (f64, f64)>| -> BTreeMap<Vec<String>, f64> {
        all.iter().map(|(labels, (count, _))| (labels.clone(), *count)).collect()
    };
    assert_eq!(counts(&starts), counts(&printed.starts));
    for (labels, (_, seconds)) in &starts {
        assert!((seconds - printed.starts[labels].1).abs() < 1e-6, "{labels:?}: {seconds}");
    }
    assert_eq!(counts(&last(&received, "observer_dns_lookup_seconds")), counts(&printed.lookups));
    assert_eq!(counts(&last(&received, "observer_findings")), counts(&printed.findings));
    let undelivered = last(&received, "observer_stdio_undelivered_bytes_total");
    assert_eq!(undelivered[&Vec::new()].0, printed.undelivered);
    let health = seen.last("health")["probes"].as_array().expect("probes");
    assert_eq!(last(&received, "observer_lost_records_total").len(), health.len());
    assert_told(&seen, &received, &gone);
}

/// One span that points to what it explains, and a log record on it for each thing that became of the finding.
fn assert_told(seen: &Seen, received: &[Value], id: &str) {
    let attribute = |object: &Value, key: &str| -> Option<String> {
        let pair = object["attributes"].as_array()?.iter().find(|pair| pair["key"] == key)?;
        Some(pair["value"]["stringValue"].as_str()?.to_owned())
    };
    let is_ours = |finding: &&Value| finding["subject"]["container"]["id"] == id;
    let printed: Vec<&Value> = seen.of_type("finding").filter(is_ours).collect();
    let with_traces =
        printed.iter().find(|finding| finding["trace_ids"] != json!([])).expect("it explains a span");
    assert_eq!(with_traces["trace_ids"], json!(["ab".repeat(16)]));
    assert_eq!(with_traces["span_ids"], json!(["cd".repeat(8)]));
    let fingerprint = text(&printed[0]["fingerprint"]);
    let is_log = |object: &&Value| attribute(object, "observer.fingerprint").as_ref() == Some(&fingerprint);
    let logs: Vec<&Value> = received.iter().filter(is_log).collect();
    let statuses = |of: &[&Value]| of.iter().map(|one| text(&one["status"])).collect::<Vec<_>>();
    let logged: Vec<String> = logs.iter().filter_map(|log| attribute(log, "observer.status")).collect();
    assert_eq!(logged, statuses(&printed), "{logs:#?}");
    let spans: Vec<&Value> = received
        .iter()
        .filter(|object| object["name"] == "observer.finding" && object["traceId"] == logs[0]["traceId"])
        .collect();
    let [span] = spans[..] else { panic!("{} spans of one finding: {spans:#?}", spans.len()) };
    assert_eq!(span["spanId"], logs[0]["spanId"]);
    assert_eq!(span["links"][0]["traceId"], "ab".repeat(16), "{span:#}");
    for (key, value) in [
        ("observer.matrix.id", "kubectl-logs-empty"),
        ("observer.matrix.cause", "reader-gone"),
        ("observer.grade", "proved"),
        ("observer.layer", "L-3"),
    ] {
        assert_eq!(attribute(span, key).as_deref(), Some(value), "{span:#}");
    }
}

#[test]
fn a_port_that_is_taken_is_said_before_anything_is_attached() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its number").to_string();
    let mut command = Command::new(observer());
    let ran = command.args(["run", "--for", "1s", "--metrics", &address]).output().expect("the observer");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("--metrics {address}: ")) && !said.contains("attached"), "{said}");
}
