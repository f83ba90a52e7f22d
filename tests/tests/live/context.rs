//! Trace contexts that the kernel side sees in requests: what a thread does while it has a request in hand goes into
//! that request's trace, and into no other.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

use observer_tests::rig::{
    Bundle, Stage,
    run::Run,
    stage,
    stage::Running,
    stdio::{Container, Streams, drain, until},
    watch::observer,
    workload,
};
use serde_json::{Value, json};

/// Where nobody says anything.
const MUTE: &str = "127.0.9.9";
/// What must not be found anywhere.
const MARKER: &str = "PLANTED-4711";

/// The services' own program, on the stage.
struct Traced<'stage> {
    stage: &'stage Stage,
    program: std::path::PathBuf,
}

impl Traced<'_> {
    fn serves(&self, name: &str, port: &str, streams: Streams) -> Container {
        let bytes = fs::read(&self.program).expect("the workload just built");
        let bundle = Bundle::new(&["/bin/traced", "serve", port, MUTE]).file("bin/traced", &bytes);
        let container = Container::of(self.stage, name, bundle.host_network(), streams);
        until("a service", || {
            let asked = self.asks(port, "/plain", None).finish().expect("who asks");
            asked.stdout.contains("200").then_some(())
        });
        container
    }

    fn asks(&self, port: &str, path: &str, parent: Option<&str>) -> Running {
        let mut command = self.stage.command(&self.program);
        let path = format!("{path}?token={MARKER}");
        command.args(["ask", port, &path, &format!("Authorization: Bearer {MARKER}")]);
        command.args(parent.map(|parent| format!("traceparent: {parent}")));
        self.stage.spawn(&mut command).expect("who asks")
    }
}

fn id(number: u8, len: usize) -> String {
    format!("{number:02x}").repeat(len)
}

/// Of trace `number`, by the span of the same number.
fn parent(number: u8) -> String {
    format!("00-{}-{}-01", id(number, 16), id(number, 8))
}

/// What was tied by the trace context: trace, span, the probe, what it was.
fn tied<'a>(said: impl Iterator<Item = &'a Value>) -> BTreeSet<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let evidence = said.filter(|object| object["type"] == "evidence");
    let of = |evidence: &Value| {
        assert_eq!(evidence["join"], "context", "{evidence:#}");
        assert_eq!(evidence["relation"], "child", "{evidence:#}");
        let [target] = evidence["targets"].as_array().expect("a list").as_slice() else {
            panic!("{evidence:#}")
        };
        let event = &evidence["evidence"];
        let what = if event["probe"] == "dns" { &event["name"] } else { &event["outcome"] };
        [text(&target["trace_id"]), text(&target["span_id"]), text(&event["probe"]), text(what)]
    };
    evidence.map(of).collect()
}

/// A server's span of trace 2, over all of the test.
fn send_span(to: SocketAddr) {
    let span = json!({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
        "traceId": id(2, 16), "spanId": id(0x22, 8), "parentSpanId": id(2, 8), "name": "GET /print", "kind": 2,
        "flags": 0x101, "startTimeUnixNano": "1", "endTimeUnixNano": "4000000000000000000",
    }]}]}]});
    let body = span.to_string();
    let mut stream = TcpStream::connect(to).expect("the observer");
    let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn lines(words: &[&str]) -> Vec<Value> {
    let ran = Command::new(observer()).args(words).output().expect("the observer");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.code() != Some(1), "{}", String::from_utf8_lossy(&ran.stderr));
    said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
// long: one run, in which traces have to be told apart
fn each_trace_gets_what_its_own_thread_did() {
    let stage = stage();
    let traced = Traced { stage: &stage, program: stage.path("traced") };
    workload::compile("traced", traced.program.clone(), &["-static", "-pthread"]);
    let mute = stage.spawn(stage.command(&traced.program).args(["mute", MUTE])).expect("a name server");
    until("a name server", || mute.stdout().contains("mute").then_some(()));
    let (recording, socket) = (stage.path("run.rec"), stage.path("observer.sock"));
    let (record, at) = (recording.to_str().expect("a path"), socket.to_str().expect("a path"));
    let run = Run::begin(
        &stage,
        &[
            "--otlp-listen-http",
            "127.0.0.1:0",
            "--show",
            "events,evidence",
            "--record",
            record,
            "--socket",
            at,
        ],
    );
    let receives: SocketAddr =
        run.says("where it receives", |line| line.split_once("receiving OTLP on ")?.1.trim().parse().ok());

    let mut names = traced.serves("names", "7401", Streams::null());
    let (streams, out) = Streams::piped();
    let mut prints = traced.serves("prints", "7402", streams);
    let look_ups = [
        ("yes.test", Some(parent(1))),
        // Whose traces they are not, each for a reason of its own.
        ("without.test", None),
        ("unsampled.test", Some(parent(3).replace("-01", "-00"))),
        ("zero.test", Some(format!("00-{}-{}-01", id(0, 16), id(4, 8)))),
        ("version.test", Some(parent(5).replacen("00", "ff", 1))),
        ("upper.test", Some(parent(0xab).to_uppercase())),
    ];
    let mut asked: Vec<Running> = look_ups
        .iter()
        .map(|(name, parent)| traced.asks("7401", &format!("/lookup/{name}"), parent.as_deref()))
        .collect();
    asked.push(traced.asks("7401", "/handed/handed.test", Some(&parent(6))));
    let blocked = traced.asks("7402", "/print/200000", Some(&parent(2)));
    run.wait_for("a blocked stream", |object| object["probe"] == "stdio" && object["outcome"] == "blocked");
    // Beside the one that is blocked one that is not.
    let beside = traced.asks("7402", "/lookup/beside.test", Some(&parent(7)));
    for running in asked.into_iter().chain([beside]) {
        assert!(running.finish().expect("who asks").stdout.contains("200"));
    }
    let drained = drain(out, 4_096, std::time::Duration::ZERO);
    assert!(blocked.finish().expect("who asks").stdout.contains("200"));
    send_span(receives);
    let told = look_ups.map(|(name, _)| name);
    for name in told.into_iter().chain(["handed.test", "beside.test"]) {
        run.wait_for(name, |object| object["probe"] == "dns" && object["name"] == name);
    }
    let explained = lines(&["explain", &id(2, 16), "-o", "json", "--socket", at]);
    for port in ["7401", "7402"] {
        traced.asks(port, "/quit", None).finish().expect("who asks");
    }
    assert_eq!((names.ends(), prints.ends()), (0, 0));
    drained.join().expect("a reader");
    let said = run.said();
    let seen = run.end();

    let of = |trace: u8, span: u8, probe: &str, what: &str| {
        [id(trace, 16), id(span, 8), probe.to_owned(), what.to_owned()]
    };
    // Of the second the span that handles it has come; of the others only their contexts are known.
    let expected = BTreeSet::from([
        of(1, 1, "dns", "yes.test"),
        of(2, 0x22, "stdio", "blocked"),
        of(7, 7, "dns", "beside.test"),
    ]);
    assert_eq!(tied(seen.of_type("evidence")), expected);
    let summary = seen.last("summary");
    assert_eq!((&summary["joined"]["context"], &summary["lost"]), (&json!(3), &json!(0)), "{summary:#}");
    // The same from the recording; nothing but contexts was kept of any request.
    let replayed = lines(&["replay", record, "-o", "json", "--show", "evidence"]);
    assert_eq!(tied(replayed.iter()), expected);
    let kept = fs::read(&recording).expect("the recording");
    assert!(!contains(&kept, MARKER) && !said.contains(MARKER));
    assert_explained(&explained, record);
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The trace that was blocked, as the observer that ran told it, and as its recording does.
fn assert_explained(explained: &[Value], record: &str) {
    let later = lines(&["explain", &id(2, 16), "-o", "json", "--from", record]);
    for told in [explained, later.as_slice()] {
        let [told] = told else { panic!("{told:#?}") };
        assert_eq!(told["hops"][0]["name"], "GET /print", "{told:#}");
        let checked = told["checked"].as_array().expect("a list");
        let layers: Vec<&str> = checked.iter().filter_map(|checked| checked["layer"].as_str()).collect();
        let mut walked = layers.clone();
        walked.dedup();
        assert_eq!(walked, ["L-4", "L-3", "L-2", "L-1/L-0", "host"], "{told:#}");
        let streams = checked.iter().find(|checked| checked["what"] == "standard streams");
        assert_eq!(streams.expect("what was looked at")["state"], "abnormal", "{told:#}");
        for checked in checked.iter().filter(|checked| checked["state"] == "not-measured") {
            assert!(checked["why"].as_str().is_some_and(|why| !why.is_empty()), "{checked:#}");
        }
        assert_eq!(told["evidence"][0]["join"], "context", "{told:#}");
    }
    assert!(Path::new(record).exists());
}
