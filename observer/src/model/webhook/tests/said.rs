//! What a TLS library says of a call, told with what the packets say of it; and calls without any packets.

use super::*;
use crate::{
    output::CallSeen,
    probes::tls::{self, Connection as Secured, Library, Request as Asked, Response, Socket},
};

const TGID: u32 = 77;

fn secured(cookie: Option<u64>, is_client: bool) -> Secured {
    let (client, server) = ("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:8443".parse().unwrap());
    let (local, remote) = if is_client { (client, server) } else { (server, client) };
    Secured {
        address: 1,
        socket: Some(Socket { cookie, local, remote }),
        tunnel: None,
        library: Library::Go,
        is_client,
        start: Time(9),
        comm: "k3s".to_owned(),
        stream: None,
    }
}

fn on_socket() -> Secured {
    secured(Some(COOKIE), true)
}

impl Line {
    fn said(&mut self, ms: u64, event: tls::Event) {
        let event = probes::Event::Tls(event);
        let record =
            Record { time: Time(ms * MS), tgid: TGID, tid: TGID, unreadable: false, late: false, event };
        self.step(&Input::Record(record));
    }

    fn says(&mut self, ms: u64, path: &str, connection: Secured) {
        self.said(
            ms,
            tls::Event::Request(Asked {
                connection,
                began: Time(ms * MS),
                method: Some("POST".to_owned()),
                path: Some(path.to_owned()),
                host: Some("hook.ns.svc".to_owned()),
                deadline_ns: Some(2_000 * MS),
                is_admission: true,
                is_review: true,
                uid: None,
                length: Some(400),
                parent: None,
                is_unresolved: false,
            }),
        );
    }

    fn hears(&mut self, ms: u64, allowed: bool, connection: Secured) {
        self.hears_status(ms, 200, allowed, connection);
    }

    fn hears_status(&mut self, ms: u64, status: u16, allowed: bool, connection: Secured) {
        self.said(
            ms,
            tls::Event::Response(Response {
                connection,
                began: Time(ms * MS),
                status: Some(status),
                is_review: true,
                uid: None,
                allowed: Some(allowed),
                message: (!allowed).then(|| "no".to_owned()),
                code: None,
                length: Some(100),
                is_cut: false,
            }),
        );
    }
}

#[test]
fn a_verdict_is_told_with_its_connection_and_once() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    line.says(3, "/v", on_socket());
    line.asks(3, 500);
    // One record: a ticket, or a short answer. The library knows.
    line.answers(&[(10, 300)]);
    line.hears(11, false, on_socket());
    let (call, _) = line.one(400);
    assert_eq!(
        (call.outcome, call.seen, call.allowed),
        (CallOutcome::Denied, CallSeen::TlsLibrary, Some(false))
    );
    assert_eq!(
        (call.path.as_deref(), call.message.as_deref(), call.status),
        (Some("/v"), Some("no"), Some(200))
    );
    assert_eq!(call.deadline_ns, Some(2_000 * MS), "its own, not what was configured");
    assert_eq!(call.phases.server_ns, Some(8 * MS));
    line.nothing(90_000);
}

#[test]
fn the_next_call_is_not_told_with_the_one_before() {
    let mut line = Line::new(TARGET);
    line.fresh(Offers::Http1);
    // The first one is no webhook call, so the library says nothing of it.
    line.asks(3, 500);
    line.answers(&[(4, 250), (4, 250), (10, 300)]);
    line.says(100, "/second", on_socket());
    line.asks(101, 500);
    line.answers(&[(110, 300)]);
    line.hears(111, true, on_socket());
    let told: Vec<_> = line.calls(500).into_iter().map(|(call, _)| (call.path, call.seen)).collect();
    let second = (Some("/second".to_owned()), CallSeen::TlsLibrary);
    assert_eq!(told, [(None, CallSeen::Socket), second]);
}

#[test]
fn its_own_deadline_decides_and_an_old_offer_of_http2_does_not() {
    let mut line = Line::new("10.0.0.2:8443");
    line.fresh(Offers::Http2);
    line.says(3, "/v", on_socket());
    line.asks(3, 500);
    line.nothing(20);
    line.moved(2_000, what::FIN_CLIENT);
    let (call, _) = line.one(2_020);
    assert_eq!((call.outcome, call.path.as_deref()), (CallOutcome::Timeout, Some("/v")));
    let mut silent = Line::new("10.0.0.2:8443");
    silent.fresh(Offers::Http2);
    silent.asks(3, 500);
    silent.moved(2_000, what::FIN_CLIENT);
    assert_eq!(silent.one(2_020).0.outcome, CallOutcome::Unknown);
}

#[test]
fn what_the_server_s_library_says_is_told_of_the_client_s_socket() {
    let mut line = Line::new(TARGET);
    line.asks(3, 500);
    // The same connection by its other end.
    let client = std::mem::replace(&mut line.now, connection(known::TLS));
    line.now.flags &= !known::CLIENT;
    std::mem::swap(&mut line.now.local, &mut line.now.remote);
    line.cookie = COOKIE + 1;
    line.asks(3, 500);
    line.says(4, "/v", secured(Some(COOKIE + 1), false));
    line.hears(9, true, secured(Some(COOKIE + 1), false));
    line.answers(&[(10, 300)]);
    (line.cookie, line.now) = (COOKIE, client);
    line.answers(&[(10, 300)]);
    let (call, _) = line.one(400);
    assert_eq!((call.side, call.allowed, call.path.as_deref()), (Side::Client, Some(true), Some("/v")));
    line.nothing(90_000);
}

#[test]
fn a_call_whose_connection_nobody_watches_is_told_by_itself() {
    for socket in [Some("10.0.0.3:443"), None] {
        let mut line = Line::new(TARGET);
        let mut other = on_socket();
        other.socket =
            socket.map(|remote| Socket { remote: remote.parse().unwrap(), ..other.socket.unwrap() });
        other.tunnel = socket.is_none().then(|| "10.0.0.3:443".to_owned());
        line.says(3, "/v", other.clone());
        line.hears(13, false, other);
        line.nothing(900);
        let (call, why) = line.one(1_200);
        assert_eq!((call.outcome, call.latency_ns), (CallOutcome::Denied, Some(10 * MS)));
        assert_eq!((call.name.as_str(), call.server.host.as_deref()), ("hook.ns.svc", Some("hook.ns.svc")));
        assert_eq!(
            (call.server.address.map(|at| at.to_string()), call.server.port),
            (Some("10.0.0.3".to_owned()), Some(443))
        );
        assert_eq!(call.client.address.is_some(), socket.is_some());
        assert!(why.contains("was not watched"), "{why}");
        line.nothing(90_000);
    }
}

#[test]
fn without_an_answer_it_is_told_after_its_deadline() {
    let mut line = Line::new("10.0.0.9:1");
    line.says(3, "/v", on_socket());
    line.nothing(2_900);
    let (call, _) = line.one(3_100);
    assert_eq!((call.outcome, call.latency_ns, call.status), (CallOutcome::Timeout, None, None));
    // The answer comes too late for anyone.
    line.hears(3_200, true, on_socket());
    line.nothing(90_000);
}

#[test]
fn an_error_of_http_is_told_as_one_and_what_is_said_elsewhere_is_not() {
    let mut line = Line::new(TARGET);
    line.asks(3, 500);
    line.says(3, "/v", on_socket());
    let elsewhere = Secured { address: 2, ..secured(Some(99), true) };
    line.says(3, "/other", elsewhere.clone());
    line.answers(&[(10, 300)]);
    line.hears_status(11, 500, true, on_socket());
    line.hears(11, false, elsewhere);
    let (call, _) = line.one(400);
    assert_eq!(
        (call.outcome, call.status, call.path.as_deref()),
        (CallOutcome::HttpError, Some(500), Some("/v"))
    );
    line.asks(1_000, 500);
    line.answers(&[(1_010, 300)]);
    let (call, _) = line.one(1_400);
    assert_eq!((call.outcome, call.status, call.seen), (CallOutcome::Answered, None, CallSeen::Socket));
}
