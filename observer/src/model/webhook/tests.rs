//! Connections as the kernel side tells of them, and what is told of their calls.

use observer_ebpf::wire::webhook::{known, what};

use super::super::{Made, Model};
use crate::{
    input::{Fact, FactKind, Input, Record},
    output::{CallOutcome, Event as Told, Side, Webhook, What},
    probes::{
        self,
        packet::Owner,
        process::CgroupIds,
        webhook::{
            Connection, Event, Flow, Moved, TlsRecord,
            head::{Head, Hello, Offers, Request},
        },
    },
    time::Time,
};

mod said;

const MS: u64 = 1_000_000;
const COOKIE: u64 = 7;

pub(super) fn connection(flags: u32) -> Connection {
    Connection {
        local: "10.0.0.1:40000".parse().unwrap(),
        remote: "10.0.0.2:8443".parse().unwrap(),
        peer: None,
        endpoint: 1,
        flags: flags | known::CLIENT,
        syns: 0,
        syn: None,
        established: None,
        hello: None,
        secured: None,
        ticket_len: None,
        request: Flow::default(),
        answer: Flow::default(),
    }
}

/// A connection, changed step by step, and all that is told of it.
struct Line {
    model: Model,
    cookie: u64,
    now: Connection,
    told: Vec<Told>,
}

impl Line {
    fn new(target: &str) -> Line {
        let model = Model::new(0, true).with_webhooks(vec![target.parse().unwrap()]);
        Line { model, cookie: COOKIE, now: connection(known::TLS), told: Vec::new() }
    }

    fn step(&mut self, input: &Input) {
        let told = &mut self.told;
        self.model.step(input, &mut |made| {
            if let Made::Event(event) = made {
                told.push(*event);
            }
        });
    }

    fn event(&mut self, ms: u64, event: Event) {
        let event = probes::Event::Webhook(event);
        let record = Record { time: Time(ms * MS), tgid: 0, tid: 0, unreadable: false, late: false, event };
        self.step(&Input::Record(record));
    }

    fn moved(&mut self, ms: u64, what: u32) {
        let connection = self.now.clone();
        let moved = Moved { cookie: self.cookie, what, candidate: None, owner: None, connection };
        self.event(ms, Event::Moved(Box::new(moved)));
    }

    fn head(&mut self, ms: u64, head: Head) {
        self.event(ms, Event::Head { cookie: self.cookie, head });
    }

    fn tick(&mut self, ms: u64) {
        self.step(&Input::Tick(Time(ms * MS)));
    }

    /// A handshake of TLS 1.3, from 0 to 3 ms.
    fn fresh(&mut self, offers: Offers) {
        self.now.syn = Some(Time(1));
        self.now.syns = 1;
        self.moved(0, what::SYN);
        self.now.established = Some(Time(MS));
        self.moved(1, what::ESTABLISHED);
        self.now.hello = Some(Time(MS));
        self.moved(1, what::HELLO);
        self.head(1, Head::Hello(Hello { server_name: Some("svc".into()), offers }));
        self.now.flags |= known::HANDSHAKE | known::ENCRYPTED_HANDSHAKE | known::SECURED;
        self.now.secured = Some(Time(3 * MS));
    }

    fn asks(&mut self, ms: u64, bytes: u64) {
        let time = Some(Time(ms * MS));
        self.now.request =
            Flow { first: time, last: time, bytes, unacknowledged: Some(0), ..Flow::default() };
        self.moved(ms, what::REQUEST);
    }

    fn answers(&mut self, records: &[(u64, u16)]) {
        let time = |n: usize| Time(records[n].0 * MS);
        let records: Vec<TlsRecord> =
            (0..records.len()).map(|n| TlsRecord { time: time(n), len: records[n].1 }).collect();
        let count = records.len() as u32;
        let (first, last) = (records.first().unwrap().time, records.last().unwrap().time);
        self.now.answer = Flow {
            first: Some(first),
            last: Some(last),
            seen: Some(last),
            records: count,
            first_records: records,
            ..Flow::default()
        };
        self.moved(first.0 / MS, what::ANSWER);
        if count > 1 {
            self.moved(last.0 / MS, what::MORE);
        }
    }

    /// What is told by `ms`.
    fn calls(&mut self, ms: u64) -> Vec<(Webhook, Option<String>)> {
        self.tick(ms);
        let told = std::mem::take(&mut self.told).into_iter();
        told.map(|event| match event.what {
            What::Webhook(call) => (*call, event.why),
            other => panic!("{other:?}"),
        })
        .collect()
    }

    fn one(&mut self, ms: u64) -> (Webhook, String) {
        let mut calls = self.calls(ms);
        assert_eq!(calls.len(), 1, "{calls:#?}");
        let (call, why) = calls.remove(0);
        (call, why.unwrap_or_default())
    }

    fn nothing(&mut self, ms: u64) {
        let calls = self.calls(ms);
        assert!(calls.is_empty(), "{calls:#?}");
    }
}

const TARGET: &str = "10.0.0.2:8443,timeout=3s,name=gk";

#[test]
fn the_first_call_and_the_next() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.asks(3, 500);
    line.answers(&[(4, 250), (4, 250), (10, 300)]);
    line.nothing(200);
    let (call, _) = line.one(300);
    assert_eq!((call.outcome, call.name.as_str(), call.side), (CallOutcome::Answered, "gk", Side::Client));
    assert_eq!(call.server.host.as_deref(), Some("svc"));
    assert_eq!(call.deadline_ns, Some(3_000 * MS));
    let phases = call.phases;
    assert_eq!((phases.connect_ns, phases.tls_ns), (Some(MS - 1), Some(2 * MS)));
    assert_eq!((phases.send_ns, phases.server_ns, phases.receive_ns), (Some(0), Some(7 * MS), Some(0)));
    assert_eq!(call.latency_ns, Some(10 * MS - 1));
    line.asks(1_000, 500);
    line.answers(&[(1_005, 250), (1_006, 250)]);
    let (call, _) = line.one(1_400);
    assert_eq!((call.phases.connect_ns, call.phases.tls_ns), (None, None));
    assert_eq!((call.phases.server_ns, call.latency_ns), (Some(5 * MS), Some(6 * MS)));
    assert_eq!(call.connection_age_ns, Some(1_000 * MS - 1));
    // Closed when nothing is under way: nothing more to say.
    line.moved(5_000, what::FIN_CLIENT);
    line.nothing(9_000);
}

#[test]
fn a_request_that_goes_on_after_tickets_is_one() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.asks(3, 500);
    line.answers(&[(4, 250), (4, 250)]);
    line.asks(5, 9_000);
    line.answers(&[(50, 300)]);
    let (call, _) = line.one(400);
    assert_eq!((call.outcome, call.phases.send_ns), (CallOutcome::Answered, Some(2 * MS)));
    assert_eq!(call.phases.server_ns, Some(45 * MS));
}

#[test]
fn a_request_that_goes_on_after_a_lone_ticket_is_one() {
    let knowing = || {
        let mut line = Line::new(TARGET);
        // Of another connection to the same server.
        line.now.ticket_len = Some(250);
        line.moved(0, what::SYN);
        line.now.ticket_len = None;
        line.fresh(Offers::Http1);
        line
    };
    let mut line = knowing();
    line.asks(3, 200);
    line.answers(&[(4, 250)]);
    line.asks(5, 9_000);
    line.answers(&[(50, 300)]);
    let (call, _) = line.one(400);
    assert_eq!((call.outcome, call.phases.server_ns), (CallOutcome::Answered, Some(45 * MS)));
    // What comes later is another call; and what is no ticket is an answer.
    for (answer, again) in [(250, 2_000), (251, 5)] {
        let mut line = knowing();
        line.asks(3, 500);
        line.answers(&[(4, answer)]);
        line.asks(again, 500);
        assert_eq!(line.one(again + 1).0.outcome, CallOutcome::Answered);
    }
}

#[test]
fn a_client_that_gives_up_at_its_deadline() {
    for tickets in [false, true] {
        let mut line = Line::new(TARGET);
        line.fresh(Offers::Http1);
        line.asks(3, 500);
        if tickets {
            line.answers(&[(4, 250), (4, 250)]);
        }
        line.nothing(2_999);
        line.moved(3_000, what::ALERT_CLIENT | what::FIN_CLIENT);
        let (call, _) = line.one(3_020);
        assert_eq!((call.outcome, call.phases.server_ns), (CallOutcome::Timeout, None));
        assert_eq!(call.latency_ns, Some(3_000 * MS - 1));
    }
}

#[test]
fn slow_but_answered_is_no_timeout() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.asks(3, 500);
    line.answers(&[(4, 250), (4, 250), (2_900, 300)]);
    let (call, _) = line.one(3_200);
    assert_eq!((call.outcome, call.phases.server_ns), (CallOutcome::Answered, Some(2_897 * MS)));
}

#[test]
fn giving_up_without_a_known_deadline_is_not_called_a_timeout() {
    let mut line = Line::new("10.0.0.2:8443");
    line.asks(3, 500);
    line.moved(10_000, what::FIN_CLIENT);
    let (call, why) = line.one(10_020);
    assert_eq!((call.outcome, call.connection_age_ns), (CallOutcome::Unknown, None));
    assert!(why.contains("gave up after 9997 ms") && why.contains("deadline is not known"), "{why}");
}

#[test]
fn a_lone_record_is_an_answer_if_the_client_goes_on() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.asks(3, 500);
    line.answers(&[(10, 300)]);
    // It may be a ticket.
    line.nothing(2_000);
    line.moved(2_001, what::FIN_CLIENT);
    let (call, _) = line.one(2_020);
    assert_eq!((call.outcome, call.phases.server_ns), (CallOutcome::Answered, Some(7 * MS)));
    // The same until the deadline: it was one.
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.asks(3, 500);
    line.answers(&[(10, 300)]);
    line.moved(3_000, what::FIN_CLIENT);
    assert_eq!(line.one(3_020).0.outcome, CallOutcome::Timeout);
}

#[test]
fn nobody_listens_or_nobody_answers_at_all() {
    let mut line = Line::new(TARGET);
    line.now.syn = Some(Time(1));
    line.now.syns = 1;
    line.moved(0, what::SYN);
    line.moved(1, what::RST_SERVER);
    assert_eq!(line.one(20).0.outcome, CallOutcome::Refused);
    line.nothing(9_000);
    let mut line = Line::new(TARGET);
    line.now.syn = Some(Time(1));
    for (ms, syns) in [(0, 1), (1_000, 2), (3_000, 3)] {
        line.now.syns = syns;
        line.moved(ms, what::SYN);
    }
    line.nothing(3_900);
    let (call, why) = line.one(4_010);
    assert_eq!((call.outcome, call.connects), (CallOutcome::Timeout, 3));
    assert!(why.contains("asked for the connection 3 times"), "{why}");
    line.nothing(9_000);
}

#[test]
fn a_connection_that_is_only_made_and_closed_is_no_call() {
    let mut line = Line::new(TARGET);
    line.now.syn = Some(Time(1));
    line.moved(0, what::SYN);
    line.now.established = Some(Time(MS));
    line.moved(1, what::ESTABLISHED);
    line.moved(2, what::FIN_CLIENT);
    line.moved(2, what::FIN_SERVER);
    line.nothing(9_000);
    // With a handshake, too.
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.moved(4, what::ALERT_CLIENT | what::FIN_CLIENT);
    line.moved(4, what::FIN_SERVER);
    line.nothing(9_000);
}

#[test]
fn a_handshake_that_is_broken_off() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.now.flags &= !known::SECURED;
    line.moved(2, what::ALERT_CLIENT | what::FIN_CLIENT);
    line.moved(2, what::FIN_SERVER);
    let (call, why) = line.one(20);
    assert_eq!(call.outcome, CallOutcome::TlsFailed);
    assert!(why.contains("after an alert of the client"), "{why}");
}

#[test]
fn a_server_that_ends_the_connection_in_place_of_an_answer() {
    for (what, how) in [(what::RST_SERVER, "reset"), (what::FIN_SERVER, "closed")] {
        let mut line = Line::new(TARGET);
        line.asks(3, 500);
        line.moved(100, what);
        let (call, why) = line.one(120);
        assert_eq!((call.outcome, call.latency_ns), (CallOutcome::Reset, Some(97 * MS)));
        assert!(why.contains(how), "{why}");
    }
}

#[test]
fn a_backend_that_has_gone_away_under_a_kept_connection() {
    let mut line = Line::new(TARGET);
    line.asks(1_000, 500);
    line.answers(&[(1_005, 250)]);
    assert_eq!(line.one(1_400).0.outcome, CallOutcome::Answered);
    line.asks(5_000, 500);
    line.now.request.unacknowledged = Some(500);
    for again in [1, 2, 4] {
        line.now.request.again = again;
        line.moved(5_000 + u64::from(again) * 200, what::AGAIN);
    }
    // Its end cannot be seen: nothing more is sent while nothing is acknowledged.
    line.nothing(8_900);
    let (call, why) = line.one(9_100);
    assert_eq!((call.outcome, call.retransmits), (CallOutcome::Timeout, 4));
    assert_eq!(call.unacknowledged_bytes, Some(500));
    assert!(why.contains("nothing was heard of it for 8095 ms"), "{why}");
}

#[test]
fn http2_is_told_as_a_connection_only() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http2);
    for ms in [3, 1_000, 2_000] {
        line.asks(ms, 500);
        line.answers(&[(ms + 5, 300)]);
    }
    line.nothing(3_000);
    line.moved(4_000, what::FIN_CLIENT);
    let (call, why) = line.one(4_020);
    assert_eq!((call.outcome, call.latency_ns), (CallOutcome::Unknown, None));
    assert!(why.starts_with("HTTP/2 was offered"), "{why}");
    line.nothing(9_000);
    // What is too short for HTTP/1 tells it on a connection that was there before, of a server at once,
    let mut line = Line::new(TARGET);
    line.asks(3, 500);
    line.answers(&[(5, 30), (6, 300)]);
    line.asks(20, 500);
    line.answers(&[(25, 300)]);
    line.nothing(900);
    // of a client once it says more.
    let mut line = Line::new(TARGET);
    line.asks(3, 30);
    line.answers(&[(5, 300)]);
    let _ = line.calls(10);
    line.asks(20, 500);
    line.answers(&[(25, 300)]);
    line.nothing(900);
}

#[test]
fn what_may_be_two_requests_has_no_times_of_its_own() {
    let mut line = Line::new(TARGET);
    line.asks(3, 500);
    line.now.request.last = Some(Time(900 * MS));
    line.moved(900, what::MORE);
    line.answers(&[(1_000, 300)]);
    let (call, _) = line.one(1_300);
    assert_eq!((call.outcome, call.overlapping), (CallOutcome::Answered, true));
    assert_eq!((call.latency_ns, call.phases.server_ns), (None, None));
}

fn request(method: &str, path: &str) -> Head {
    let (method, path) = (method.to_owned(), Some(path.to_owned()));
    Head::Request(Some(Request { method, path, timeout_ns: Some(10_000 * MS), is_admission: true }))
}

#[test]
fn what_is_read_says_more() {
    let mut line = Line::new("10.0.0.2:8443/v1/admit");
    line.now.flags = known::PLAIN | known::CLIENT;
    line.asks(3, 500);
    line.head(3, request("POST", "/v1/admit"));
    line.answers(&[(10, 300)]);
    line.head(10, Head::Answer(Some(500)));
    let (call, _) = line.one(300);
    assert_eq!(
        (call.outcome, call.status, call.deadline_ns),
        (CallOutcome::HttpError, Some(500), Some(10_000 * MS))
    );
    assert_eq!((call.method.as_deref(), call.path.as_deref()), (Some("POST"), Some("/v1/admit")));
    // Other paths and methods are none of its calls.
    for head in [request("GET", "/v1/admit"), request("POST", "/other"), Head::Request(None)] {
        line.asks(1_000, 500);
        line.head(1_000, head);
        line.answers(&[(1_010, 300)]);
        line.head(1_010, Head::Answer(Some(200)));
        line.nothing(1_400);
    }
}

#[test]
fn a_call_between_two_processes_of_the_node_is_told_once() {
    let mut line = Line::new(TARGET);
    let client = line.now.clone();
    let mut server = connection(known::TLS);
    server.flags &= !known::CLIENT;
    (server.local, server.remote) = (client.remote, client.local);
    line.asks(3, 500);
    let request = line.now.request.clone();
    (line.now, line.cookie) = (Connection { request, ..server }, 8);
    line.moved(3, what::REQUEST);
    let owner = Owner {
        tgid: 99,
        tid: 99,
        start: Time(1),
        init: None,
        role: 0,
        cgroup: CgroupIds::default(),
        comm: "gatekeeper".into(),
    };
    let what = FactKind::SocketOwner { cookie: 8, tgid: 99, result: Ok(owner) };
    line.step(&Input::Fact(Fact { time: Time(4 * MS), what }));
    line.answers(&[(10, 300)]);
    let answer = line.now.answer.clone();
    (line.now, line.cookie) = (Connection { answer, request: line.now.request.clone(), ..client }, COOKIE);
    line.moved(10, what::ANSWER);
    let (call, _) = line.one(400);
    assert_eq!(call.side, Side::Client);
    assert_eq!(call.server.process.map(|process| process.comm).as_deref(), Some("gatekeeper"));
    // Its ends are closed one after the other: still once.
    line.asks(1_000, 500);
    line.moved(1_100, what::RST_CLIENT);
    line.cookie = 8;
    line.now.flags &= !known::CLIENT;
    std::mem::swap(&mut line.now.local, &mut line.now.remote);
    line.asks(1_000, 500);
    line.moved(1_100, what::RST_CLIENT);
    line.one(1_200);
}
