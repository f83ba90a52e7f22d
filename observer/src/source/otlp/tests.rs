//! A receiver and what senders do to it, over loopback.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Mutex,
    time::Instant,
};

use super::*;
use crate::span::Signal;

/// Far more than anything here takes.
const HANG: Duration = Duration::from_secs(60);

fn start(forwarding: Option<Arc<dyn Forwarding>>) -> (Receiver, SocketAddr) {
    let settings =
        ReceiverSettings::resolve(Some("127.0.0.1:0"), None, GuardFiles::default()).unwrap().unwrap();
    let receiver = Receiver::start(&settings, forwarding, || Time(7), |_| {}).unwrap();
    let address = receiver.addresses()[0];
    (receiver, address)
}

/// Status and all that was answered.
fn post(to: SocketAddr, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    let len = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len}\r\n{headers}\r\n"
    )
    .unwrap();
    // It may have heard enough.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

const JSON: &str = "Content-Type: application/json\r\n";
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";

fn json(id: u8, scope: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"scope":{{"name":"{scope}"}},"spans":[
            {{"traceId":"{}","spanId":"{}","name":"s{id}"}}]}}]}}]}}"#,
        "0a".repeat(16),
        format!("{id:02x}").repeat(8),
    )
}

fn names(receiver: &Receiver) -> Vec<String> {
    let mut names = Vec::new();
    receiver.spans(|span| names.push(span.name));
    names
}

/// Keeps what it is given, of which it takes so many.
struct Kept {
    room: usize,
    requests: Mutex<Vec<(Signal, u32, Vec<u8>)>>,
}

impl Kept {
    fn of(room: usize) -> Arc<Self> {
        Arc::new(Kept { room, requests: Mutex::default() })
    }
}

impl Forwarding for Kept {
    fn has_room(&self, _: usize) -> bool {
        self.requests.lock().unwrap().len() < self.room
    }

    fn push(&self, signal: Signal, records: u32, request: &[u8]) -> bool {
        let has_room = self.has_room(0);
        if has_room {
            self.requests.lock().unwrap().push((signal, records, request.to_vec()));
        }
        has_room
    }

    fn count(&self, counts: &mut OtlpCounts) {
        counts.forwarded = self.requests.lock().unwrap().len() as u64;
    }
}

#[test]
fn a_span_arrives_and_only_once() {
    let (receiver, to) = start(None);
    for _ in 0..2 {
        let (status, answer) = post(to, "/v1/traces", JSON, json(1, "lib").as_bytes());
        assert!(status == 200 && answer.ends_with("\r\n\r\n{}"), "{answer}");
    }
    assert_eq!(names(&receiver), ["s1"]);
    let counts = receiver.counts();
    assert_eq!((counts.received_spans, counts.seen_before, counts.forwards), (2, 1, false));
}

#[test]
fn what_is_not_understood_is_said_and_the_rest_taken() {
    let (receiver, to) = start(None);
    let text =
        json(1, "lib").replace("\"spans\":[", "\"spans\":[{\"traceId\":\"zz\"},{\"name\":\"no ids\"},");
    let (status, answer) = post(to, "/v1/traces", JSON, text.as_bytes());
    assert_eq!(status, 200);
    assert!(
        answer.contains(r#""rejectedSpans":"2""#) && answer.contains("traceId: an id in hexadecimal"),
        "{answer}"
    );
    assert_eq!(names(&receiver), ["s1"]);
    assert_eq!((receiver.counts().received_spans, receiver.counts().rejected), (1, 2));
}

#[test]
fn each_wrong_request_has_its_answer() {
    let (receiver, to) = start(None);
    let gzip = "Content-Encoding: gzip\r\n";
    for (path, headers, body, expected) in [
        ("/v1/traces", JSON.to_owned(), b"{".to_vec(), 400),
        ("/v1/traces", PROTOBUF.to_owned(), b"\xff\xff".to_vec(), 400),
        ("/v1/traces", format!("{PROTOBUF}{gzip}"), b"not gzip".to_vec(), 400),
        ("/v1/traces", "Content-Type: text/plain\r\n".to_owned(), b"{}".to_vec(), 415),
        ("/v1/traces", String::new(), b"{}".to_vec(), 415),
        ("/v1/nothing", JSON.to_owned(), b"{}".to_vec(), 404),
        ("/v1/traces", PROTOBUF.to_owned(), vec![0x0a; body::MAX_BODY + 1], 413),
        ("/v1/logs", JSON.to_owned(), b"{}".to_vec(), 200),
        ("/v1/metrics", PROTOBUF.to_owned(), Vec::new(), 200),
    ] {
        let (status, answer) = post(to, path, &headers, &body);
        assert_eq!(status, expected, "{path} {headers}: {answer}");
        assert!(!answer.contains("Retry-After"), "{answer}");
    }
    assert_eq!(receiver.counts(), OtlpCounts::default());
}

#[test]
fn what_there_is_no_room_for_is_to_be_sent_again_and_is_new_then() {
    let kept = Kept::of(1);
    let (receiver, to) = start(Some(kept.clone()));
    assert_eq!(post(to, "/v1/traces", JSON, json(1, "lib").as_bytes()).0, 200);
    let (status, answer) = post(to, "/v1/traces", JSON, json(2, "lib").as_bytes());
    assert!(status == 503 && answer.to_lowercase().contains("retry-after: 1\r\n"), "{answer}");
    kept.requests.lock().unwrap().clear();
    assert_eq!(post(to, "/v1/traces", JSON, json(2, "lib").as_bytes()).0, 200);
    assert_eq!(names(&receiver), ["s1", "s2"]);
    let counts = receiver.counts();
    assert_eq!((counts.received_spans, counts.refused_requests, counts.seen_before), (2, 1, 0));
}

#[test]
fn own_spans_and_those_seen_before_go_nowhere() {
    let kept = Kept::of(9);
    let (receiver, to) = start(Some(kept.clone()));
    for (id, scope) in [(1, "lib"), (1, "lib"), (2, "observer"), (3, "lib")] {
        assert_eq!(post(to, "/v1/traces", JSON, json(id, scope).as_bytes()).0, 200);
    }
    assert_eq!(names(&receiver), ["s1", "s3"]);
    assert_eq!(kept.requests.lock().unwrap().len(), 2);
    let counts = receiver.counts();
    assert_eq!((counts.received_spans, counts.own, counts.seen_before), (4, 1, 1));
}

#[test]
fn logs_and_metrics_go_on_and_a_loop_of_them_ends() {
    let kept = Kept::of(9);
    let (receiver, to) = start(Some(kept.clone()));
    let log = |time: u64| {
        format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":{time},"body":{{"stringValue":"x"}}}}]}}]}}]}}"#
        )
    };
    // Without a time the same may well be said twice.
    for text in [log(5), log(5), log(0), log(0)] {
        assert_eq!(post(to, "/v1/logs", JSON, text.as_bytes()).0, 200);
    }
    let signals: Vec<Signal> = kept.requests.lock().unwrap().iter().map(|(signal, ..)| *signal).collect();
    assert_eq!(signals, [Signal::Logs; 3]);
    assert_eq!((receiver.counts().received_logs, receiver.counts().seen_before), (4, 1));
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let (receiver, to) = start(None);
    let silent: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(to).unwrap()).collect();
    assert_eq!(post(to, "/v1/traces", JSON, json(1, "lib").as_bytes()).0, 200);
    let began = Instant::now();
    while receiver.counts().silent_connections < 200 {
        assert!(began.elapsed() < HANG, "{:?}", receiver.counts());
        thread::sleep(Duration::from_millis(10));
    }
    for stream in &silent {
        // Many of them are closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
    assert_eq!(names(&receiver), ["s1"]);
}

#[test]
fn grpc_is_answered_as_clients_of_others_expect() {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
        trace::v1::{ResourceSpans, ScopeSpans, Span as Otlp},
    };
    let kept = Kept::of(1);
    let (receiver, to) = start(Some(kept));
    let request = |id: u8, trace: u8| {
        let span = Otlp {
            trace_id: vec![trace; 16],
            span_id: vec![id; 8],
            name: format!("g{id}"),
            ..Otlp::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        }
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = TraceServiceClient::connect(format!("http://{to}")).await.unwrap();
        let partial = client.export(request(1, 0)).await.unwrap().into_inner().partial_success.unwrap();
        assert_eq!((partial.rejected_spans, partial.error_message.contains("trace id")), (1, true));
        assert!(client.export(request(1, 1)).await.unwrap().into_inner().partial_success.is_none());
        let busy = client.export(request(2, 1)).await.unwrap_err();
        assert_eq!(busy.code(), tonic::Code::Unavailable);
        let details = String::from_utf8_lossy(busy.details()).into_owned();
        assert!(details.contains("google.rpc.RetryInfo"), "{details}");
    });
    assert_eq!(names(&receiver), ["g1"]);
}

#[test]
fn other_machines_are_not_listened_to_just_so_and_a_taken_port_is_named() {
    let error = |grpc: &str| {
        ReceiverSettings::resolve(Some(grpc), None, GuardFiles::default()).unwrap_err().to_string()
    };
    for other in ["0.0.0.0:4317", "[::]:4317", "10.0.0.1:4317"] {
        assert!(error(other).contains("neither encrypted nor asked for its name"), "{}", error(other));
    }
    for wrong in ["4317", "localhost:4317", ":4317"] {
        assert!(error(wrong).contains("write it as 127.0.0.1:4317"), "{}", error(wrong));
    }
    let (_receiver, to) = start(None);
    let settings =
        ReceiverSettings::resolve(None, Some(&to.to_string()), GuardFiles::default()).unwrap().unwrap();
    let taken = Receiver::start(&settings, None, || Time(0), |_| {}).err().unwrap().to_string();
    assert!(taken.starts_with(&format!("--otlp-listen-http {to}: ")) && taken.contains("in use"), "{taken}");
}
