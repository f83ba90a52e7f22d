use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::span::SpanKind};

use super::*;
use crate::{
    output::{
        Backend, CallOutcome, CallPhases, CallSeen, Container, Dns, DnsOutcome, DnsQuestion, DnsTransport,
        FaultRegion, Instance, Peer, Process, RuntimeAction, Seen, Side, Since, StdioOutcome, Webhook,
    },
    time::{Time, Wall},
};

fn event(what: What) -> Event {
    Event {
        time: Wall(9_000),
        began: None,
        container: Some(Container {
            id: "c".into(),
            instance: Some(Instance { init: 7, start: Time(8) }),
            ..Container::default()
        }),
        process: Some(Process { pid: 7, tid: 7, comm: "app".into(), ..Process::default() }),
        since: Since::Start,
        why: None,
        what,
    }
}

fn stdio(outcome: StdioOutcome) -> Stdio {
    Stdio {
        fd: 2,
        shared_with_fd: None,
        target: StdioTarget::Pipe,
        target_now: None,
        written_bytes: Some(70_000),
        delivered_bytes: None,
        pipe_bytes: Some(65_536),
        blocked_ns: Some(2_500_000),
        waiter: None,
        broken_pipe_writes: 0,
        reader: Some(Process { pid: 5, comm: "conmon".into(), ..Process::default() }),
        log_file: None,
        outcome,
        unflushed: None,
        ended: false,
    }
}

fn only(event: &Event) -> Span {
    let made = resource_spans(event, &Host::default());
    let [scope] = &made.scope_spans[..] else { panic!("one scope") };
    let [span] = &scope.spans[..] else { panic!("one span") };
    assert_eq!(scope.scope.as_ref().map(|scope| scope.name.as_str()), Some("observer"));
    assert!(made.resource.is_some_and(|resource| !resource.attributes.is_empty()));
    span.clone()
}

fn value(span: &Span, key: &str) -> Option<String> {
    let pair = span.attributes.iter().find(|pair| pair.key == key)?;
    Some(match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        other => panic!("{key} is {other:?}"),
    })
}

#[test]
fn a_blocked_interval_is_a_span_as_long_as_it() {
    let mut event = event(What::Stdio(stdio(StdioOutcome::Blocked)));
    event.began = Some(Wall(4_000));
    let span = only(&event);
    assert_eq!((span.name.as_str(), span.kind), ("stdio.blocked", SpanKind::Internal as i32));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (4_000, 9_000));
    assert!(span.parent_span_id.is_empty());
    let told = [
        ("observer.layer", "L-3"),
        ("observer.probe", "stdio"),
        ("observer.instance", "7@8"),
        ("observer.stdio.pipe_bytes", "65536"),
        ("observer.stdio.blocked_ms", "2.5"),
        ("observer.stdio.reader.comm", "conmon"),
        ("process.pid", "7"),
        ("error.type", "blocked"),
    ];
    for (key, expected) in told {
        assert_eq!(value(&span, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(value(&span, "observer.stdio.delivered_bytes"), None, "not known is not nothing");
    let status = span.status.unwrap();
    assert_eq!(status.code, StatusCode::Error as i32);
    assert!(status.message.contains("conmon[5] takes nothing"), "{}", status.message);
}

#[test]
fn what_arrived_is_no_error() {
    let span = only(&event(What::Stdio(stdio(StdioOutcome::Delivered))));
    assert_eq!((span.name.as_str(), span.status.is_none()), ("stdio.delivered", true));
    assert_eq!(span.start_time_unix_nano, span.end_time_unix_nano);
    assert_eq!(value(&span, "error.type"), None);
}

#[test]
fn a_fault_says_what_it_was() {
    let memory = Memory {
        kind: FaultKind::Fault,
        signal: Some(11),
        code: Some(1),
        address: Some(0x10),
        wasm_address: None,
        linear_bytes: None,
        linear_max_bytes: None,
        handled: Some(false),
        region: Some(FaultRegion::Null),
        engine_code: None,
        seen: Seen::Signal,
        scope: Some(OomScope::Memcg),
        errno: None,
        asked_bytes: None,
        rss_bytes: Some(4096),
        limit_bytes: None,
        count: 1,
    };
    let span = only(&event(What::Memory(memory)));
    assert_eq!(span.name, "memory.fault");
    let read = ["error.type", "observer.memory.address", "observer.memory.region", "observer.memory.scope"];
    assert_eq!(
        read.map(|key| value(&span, key)),
        ["SIGSEGV", "0x10", "null", "memcg"].map(|text| Some(text.to_owned()))
    );
}

#[test]
fn a_look_up_says_what_was_asked_and_of_whom() {
    let decided = DnsQuestion {
        name: "db.test".into(),
        qtype: "AAAA".into(),
        outcome: DnsOutcome::Servfail,
        server: Some(([10, 96, 0, 10], 53).into()),
        backend: Some(Backend::at(([10, 1, 0, 5], 5_353).into())),
        transport: Some(DnsTransport::Tcp),
        rcode: Some(2),
        errno: None,
        latency_ns: Some(7),
        attempts: 3,
    };
    let lookup = |decided: DnsQuestion| Dns {
        outcome: decided.outcome,
        latency_ns: decided.latency_ns,
        attempts: 4,
        resolver_error: None,
        drop: None,
        questions: vec![decided.clone()],
        questions_left_out: 0,
        decided,
    };
    let mut failed = event(What::Dns(lookup(decided.clone())));
    failed.began = Some(Wall(8_000));
    let span = only(&failed);
    assert_eq!((span.name.as_str(), span.start_time_unix_nano), ("dns.lookup", 8_000));
    for (key, expected) in [
        ("dns.question.name", "db.test"),
        ("server.address", "10.96.0.10"),
        ("server.port", "53"),
        ("network.peer.address", "10.1.0.5"),
        ("network.peer.port", "5353"),
        ("network.transport", "tcp"),
        ("observer.dns.question.type", "AAAA"),
        ("observer.dns.outcome", "servfail"),
        ("observer.dns.attempts", "4"),
        ("observer.dns.rcode", "2"),
        ("error.type", "SERVFAIL"),
    ] {
        assert_eq!(value(&span, key).as_deref(), Some(expected), "{key}");
    }
    let missing = DnsQuestion { outcome: DnsOutcome::Nxdomain, rcode: Some(3), ..decided };
    let span = only(&event(What::Dns(lookup(missing))));
    assert_eq!((&span.status, value(&span, "error.type")), (&None, None), "that is an answer");
}

#[test]
fn a_call_is_the_span_of_its_client() {
    let peer = |address: &str, port| Peer {
        address: Some(address.parse().unwrap()),
        port: Some(port),
        host: Some("svc".into()),
        pod: None,
        process: None,
    };
    let call = Webhook {
        name: "gk".into(),
        client: peer("10.0.0.1", 40_000),
        server: peer("fd00::1", 8443),
        side: Side::Client,
        method: Some("POST".into()),
        path: Some("/v1/admit".into()),
        deadline_ns: Some(3_000_000_000),
        latency_ns: Some(1_500_000),
        phases: CallPhases { server_ns: Some(1_000_000), ..CallPhases::default() },
        connection_age_ns: None,
        status: Some(503),
        allowed: None,
        message: None,
        outcome: CallOutcome::HttpError,
        seen: CallSeen::Plain,
        overlapping: false,
        retransmits: 0,
        connects: 1,
        unacknowledged_bytes: None,
        parent: None,
        server_time: None,
    };
    let span = only(&event(What::Webhook(Box::new(call.clone()))));
    assert_eq!((span.name.as_str(), span.kind), ("webhook.call", SpanKind::Client as i32));
    let read = [
        "error.type",
        "server.address",
        "network.peer.address",
        "http.response.status_code",
        "url.path",
        "observer.webhook.server_ms",
        "observer.webhook.connect_ms",
    ];
    assert_eq!(
        read.map(|key| value(&span, key)),
        [Some("503"), Some("svc"), Some("fd00::1"), Some("503"), Some("/v1/admit"), Some("1"), None]
            .map(|text| text.map(str::to_owned))
    );
    let answered = Webhook { outcome: CallOutcome::Answered, side: Side::Server, ..call };
    let span = only(&event(What::Webhook(Box::new(answered))));
    assert_eq!((span.kind, span.status), (SpanKind::Server as i32, None));
}

#[test]
fn the_same_event_has_the_same_ids_and_no_other_has() {
    let exit = |code| {
        let exit_code = Some(code);
        event(What::Runtime(Runtime { exit_code, ..Runtime::of(RuntimeAction::Exit) }))
    };
    assert_eq!(only(&exit(1)), only(&exit(1)));
    assert_eq!(value(&only(&exit(1)), "error.type").as_deref(), Some("exit"));
    assert_eq!(only(&exit(0)).status, None);
    let mut later = exit(1);
    later.time = Wall(9_001);
    let mut stderr = stdio(StdioOutcome::Silent);
    let stdout = Stdio { fd: 1, ..stderr.clone() };
    stderr.ended = true;
    let others = [later, event(What::Stdio(stderr)), event(What::Stdio(stdout)), exit(1)];
    let ids: std::collections::BTreeSet<Vec<u8>> = others.iter().map(|event| only(event).trace_id).collect();
    assert_eq!(ids.len(), others.len());
}
