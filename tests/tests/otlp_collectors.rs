//! Collectors that misbehave: they cost spans, which are counted, and nothing else.

#[path = "../peers/export.rs"]
mod export;
#[path = "../peers/servers.rs"]
mod servers;

use std::time::Duration;

use export::{HANG, failed_start, flush, pod_start, sink};

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
        let said = assert_all_dropped(servers::NOBODY, protocol);
        assert!(said.starts_with("otlp: http://127.0.0.1:"), "{said}");
        assert!(said.contains("does not take spans") && said.contains("onnection refused"), "{said}");
        assert!(said.contains("0 spans exported, 8 dropped; last error: "), "{said}");
    }
}

#[test]
fn a_collector_that_never_answers_does_not_hold_the_flush() {
    for protocol in PROTOCOLS {
        let (port, _listener) = servers::silent();
        assert_all_dropped(port, protocol);
    }
}

#[test]
fn a_server_that_is_no_collector_takes_nothing() {
    for protocol in PROTOCOLS {
        let (port, _requests) = servers::answering(vec![b"SSH-2.0-\x1b[2Jnot a collector\r\n".to_vec()]);
        let said = assert_all_dropped(port, protocol);
        assert!(said.contains("last error: ") && !said.contains('\x1b'), "{protocol}: {said:?}");
    }
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>hi</html";
    let (port, _requests) = servers::answering(vec![page.to_vec()]);
    let said = assert_all_dropped(port, "http/protobuf");
    assert!(said.contains("is this a collector?"), "{said}");
}

#[test]
fn rejected_spans_are_counted() {
    // ExportTraceServiceResponse { partial_success { rejected_spans: 3, error_message: "too old\x1b" } }
    let body = b"\x0a\x0c\x08\x03\x12\x08too old\x1b";
    let answer =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    let (port, requests) = servers::answering(vec![answer]);
    let (sink, said) = sink(&format!("http://127.0.0.1:{port}"), "http/protobuf");
    sink.send(&pod_start());
    let stats = flush(sink, HANG);
    assert_eq!((stats.exported_spans, stats.dropped_spans), (2, 3), "{stats:?}");
    assert_eq!(stats.last_error.as_deref(), Some(r"3 spans were rejected: too old\x1b"));
    assert_eq!(said.lock().unwrap().len(), 1);
    assert_eq!(requests.iter().take(1).last(), Some(1), "a partial success is not tried again");
}

#[test]
fn a_busy_collector_is_asked_again() {
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let fine = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let (port, requests) = servers::answering(vec![busy.clone(), busy, fine]);
    let (sink, said) = sink(&format!("http://127.0.0.1:{port}"), "http/protobuf");
    sink.send(&pod_start());
    let stats = flush(sink, HANG);
    assert_eq!((stats.exported_spans, stats.dropped_spans), (5, 0), "{stats:?}");
    assert_eq!(requests.iter().take(3).last(), Some(3));
    assert_eq!(said.lock().unwrap().len(), 1, "one line for two refusals");
}

#[test]
fn a_full_queue_drops_and_counts_and_never_waits() {
    const STARTS: u64 = 5_000;
    let (port, _listener) = servers::silent();
    let (sink, said) = sink(&format!("http://127.0.0.1:{port}"), "grpc");
    for _ in 0..STARTS {
        sink.send(&failed_start());
    }
    let stats = flush(sink, Duration::from_millis(100));
    assert_eq!((stats.exported_spans, stats.dropped_spans), (0, 3 * STARTS));
    let why = stats.last_error.unwrap();
    assert!(why.contains("more than 2048 starts, events and others were waiting"), "{why}");
    assert!(said.lock().unwrap().len() <= 1);
}
