//! Requests and answers of TLS libraries become calls, and find the connections that they were made on.

use super::*;
use crate::{
    output::CallOutcome,
    probes::{
        self,
        tls::{Ended, Library, Socket},
    },
};

const SECOND: u64 = 1_000_000_000;

fn connection(address: u64, socket: Option<Socket>, tunnel: Option<&str>) -> Connection {
    Connection {
        address,
        socket,
        tunnel: tunnel.map(str::to_owned),
        library: Library::Go,
        is_client: true,
        start: Time(1),
        comm: "k3s".to_owned(),
        stream: None,
    }
}

fn socket(cookie: Option<u64>) -> Option<Socket> {
    Some(Socket { cookie, local: ([10, 0, 0, 1], 4_000).into(), remote: ([10, 0, 0, 2], 443).into() })
}

fn wire(cookie: u64) -> Wire {
    Wire {
        cookie,
        tgid: Some(7),
        side: Side::Client,
        client: ([10, 0, 0, 1], 4_000).into(),
        server: ([10, 0, 0, 2], 443).into(),
    }
}

fn record(seconds: u64, event: Event) -> Record {
    let event = probes::Event::Tls(event);
    Record { time: Time(seconds * SECOND), tgid: 7, tid: 8, unreadable: false, late: false, event }
}

fn asks(calls: &mut Calls, seconds: u64, uid: &str, connection: Connection) {
    let event = Event::Request(Request {
        connection,
        began: Time(seconds * SECOND),
        method: Some("POST".to_owned()),
        path: Some("/v".to_owned()),
        host: Some("hook.ns.svc".to_owned()),
        deadline_ns: Some(10 * SECOND),
        is_admission: true,
        is_review: true,
        uid: Some(uid.to_owned()),
        length: Some(2),
        parent: None,
        is_unresolved: false,
    });
    calls.record(&record(seconds, event.clone()), &event);
}

fn answers(calls: &mut Calls, seconds: u64, connection: Connection) {
    let event = Event::Response(Response {
        connection,
        began: Time(seconds * SECOND),
        status: Some(200),
        is_review: true,
        uid: None,
        allowed: Some(true),
        message: None,
        code: None,
        length: None,
        is_cut: false,
    });
    calls.record(&record(seconds, event.clone()), &event);
}

/// The name of the call that is claimed.
fn claimed(calls: &mut Calls, wire: &Wire, from: u64, until: u64) -> Option<String> {
    let number = calls.claim(wire, Time(from * SECOND), Time(until * SECOND))?;
    calls.get(number)?.request.uid.clone()
}

#[test]
fn an_answer_is_that_of_the_request_before_it_on_its_connection() {
    let mut calls = Calls::default();
    asks(&mut calls, 1, "one", connection(1, socket(Some(5)), None));
    asks(&mut calls, 2, "two", connection(2, socket(Some(6)), None));
    answers(&mut calls, 3, connection(1, socket(Some(5)), None));
    answers(&mut calls, 4, connection(9, socket(Some(9)), None));
    let number = calls.claim(&wire(5), Time(SECOND), Time(9 * SECOND)).unwrap();
    let one = calls.get(number).unwrap();
    assert_eq!(one.request.uid.as_deref(), Some("one"));
    assert_eq!(one.response.as_ref().map(|response| response.began), Some(Time(3 * SECOND)));
    assert_eq!(claimed(&mut calls, &wire(5), 1, 9), None, "it is claimed already");
    let number = calls.claim(&wire(6), Time(2 * SECOND), Time(9 * SECOND)).unwrap();
    assert_eq!(calls.get(number).unwrap().response, None);
    answers(&mut calls, 5, connection(2, socket(Some(6)), None));
    assert!(calls.get(number).unwrap().response.is_some(), "a claimed one is answered, too");
    assert_eq!(claimed(&mut calls, &wire(6), 1, 9), None, "and still claimed");
    calls.forget(number);
    assert_eq!(calls.get(number), None);
}

#[test]
fn calls_of_one_connection_are_told_apart_by_time() {
    let mut calls = Calls::default();
    for (at, name) in [(10, "one"), (20, "two"), (30, "three")] {
        asks(&mut calls, at, name, connection(1, socket(Some(5)), None));
        answers(&mut calls, at + 1, connection(1, socket(Some(5)), None));
    }
    assert_eq!(claimed(&mut calls, &wire(5), 5, 9), None);
    assert_eq!(claimed(&mut calls, &wire(5), 22, 29), None);
    // Handed to the library just before the first packet of it.
    assert_eq!(claimed(&mut calls, &wire(5), 21, 29).as_deref(), Some("two"));
    assert_eq!(claimed(&mut calls, &wire(5), 30, 39).as_deref(), Some("three"));
}

#[test]
fn a_socket_without_a_number_is_known_by_its_ends() {
    let mut calls = Calls::default();
    asks(&mut calls, 1, "one", connection(1, socket(None), None));
    let other = Wire { client: ([10, 0, 0, 1], 4_001).into(), ..wire(5) };
    let server = Wire { side: Side::Server, ..wire(5) };
    let mut on = |wire: &Wire| claimed(&mut calls, wire, 1, 2);
    assert_eq!((on(&other), on(&server), on(&wire(5)).as_deref()), (None, None, Some("one")));
}

#[test]
fn a_call_in_a_tunnel_is_on_the_connection_that_the_tunnel_ends_in() {
    let mut calls = Calls::default();
    asks(&mut calls, 1, "one", connection(1, None, Some("10.0.0.2:443")));
    let mut on = |wire: &Wire| claimed(&mut calls, wire, 1, 2);
    assert_eq!(on(&Wire { tgid: Some(8), ..wire(5) }), None, "another process");
    assert_eq!(on(&Wire { server: ([10, 0, 0, 3], 443).into(), ..wire(5) }), None, "another server");
    assert_eq!(on(&wire(5)).as_deref(), Some("one"));
}

#[test]
fn where_only_the_process_is_known_it_is_known_by_time_if_it_is_the_only_one() {
    let mut calls = Calls::default();
    asks(&mut calls, 1, "one", connection(1, None, None));
    asks(&mut calls, 5, "this", connection(1, None, None));
    asks(&mut calls, 5, "or this", connection(2, None, None));
    assert_eq!(claimed(&mut calls, &Wire { tgid: Some(8), ..wire(5) }, 1, 2), None, "another process");
    assert_eq!(claimed(&mut calls, &wire(5), 2, 3), None, "another time");
    assert_eq!(claimed(&mut calls, &wire(5), 5, 9), None, "one of two");
    assert_eq!(claimed(&mut calls, &wire(5), 1, 2).as_deref(), Some("one"));
}

#[test]
fn the_oldest_call_is_given_up_and_counted() {
    let mut calls = Calls::default();
    for address in 0..=MAX_CALLS as u64 {
        asks(&mut calls, 1, "x", connection(address, None, None));
    }
    assert_eq!((calls.calls.len(), calls.open.len(), calls.given_up), (MAX_CALLS, MAX_CALLS, 1));
    assert_eq!(calls.take_over(|_, _| true).len(), MAX_CALLS);
    assert_eq!((calls.calls.len(), calls.open.len(), calls.places.len()), (0, 0, 0));
}

fn stream(number: u32, is_client: bool) -> Connection {
    let socket = socket(Some(if is_client { 5 } else { 6 })).map(|of| match is_client {
        true => of,
        false => Socket { local: of.remote, remote: of.local, ..of },
    });
    Connection { stream: Some(number), is_client, ..connection(u64::from(is_client), socket, None) }
}

/// The calls that are kept, by what they are called.
fn kept(calls: &Calls) -> Vec<&str> {
    calls.calls.values().filter_map(|call| call.request.uid.as_deref()).collect()
}

#[test]
fn streams_of_a_connection_are_told_apart_and_packets_claim_none() {
    let mut calls = Calls::default();
    asks(&mut calls, 1, "one", stream(1, true));
    asks(&mut calls, 1, "three", stream(3, true));
    answers(&mut calls, 2, stream(3, true));
    let answered: Vec<bool> = calls.calls.values().map(|call| call.response.is_some()).collect();
    assert_eq!(answered, [false, true]);
    assert_eq!(claimed(&mut calls, &wire(5), 1, 9), None);
    // Its connection is closed: what was answered stays answered.
    calls.close(&wire(5), Time(4 * SECOND), true);
    let over = Over { at: Time(4 * SECOND), how: How::Closed { by_client: true } };
    assert!(calls.calls.values().all(|call| call.over == Some(over)));
    let outcomes: Vec<_> = calls.calls.values().map(|call| say::outcome(call, None).0).collect();
    assert_eq!(outcomes, [CallOutcome::Unknown, CallOutcome::Answered]);
}

#[test]
fn a_call_that_both_ends_say_is_kept_once() {
    for ends in [[true, false], [false, true]] {
        let mut calls = Calls::default();
        for is_client in ends {
            asks(&mut calls, 1, if is_client { "client" } else { "server" }, stream(1, is_client));
        }
        assert_eq!(kept(&calls), ["client"]);
        answers(&mut calls, 2, stream(1, false));
        assert!(calls.calls.values().all(|call| call.response.is_none()), "of the other end");
        answers(&mut calls, 2, stream(1, true));
        assert_eq!(calls.take_over(|call, _| call.response.is_some()).len(), 1);
        assert_eq!((calls.streams.len(), calls.places.len(), calls.open.len()), (0, 0, 0));
    }
}

#[test]
fn the_end_that_knows_more_tells_it() {
    let mut calls = Calls::default();
    let event = |calls: &mut Calls, uid: &str, is_client| {
        asks(calls, 1, uid, stream(1, is_client));
    };
    event(&mut calls, "client", true);
    calls.calls.values_mut().for_each(|call| call.request.is_unresolved = true);
    event(&mut calls, "server", false);
    assert_eq!(kept(&calls), ["server"]);
    event(&mut calls, "client", true);
    assert_eq!(kept(&calls), ["client"], "both know all of it");
}

#[test]
fn how_a_stream_ends_is_what_came_of_its_call() {
    let by = |by_client, code| Ending::Reset { by_client, code };
    let cases = [
        (by(true, 8), 1, Some(10), CallOutcome::Unknown),
        (by(true, 8), 10, Some(10), CallOutcome::Timeout),
        (by(true, 8), 10, None, CallOutcome::Unknown),
        (by(false, 2), 1, Some(10), CallOutcome::Reset),
        (by(false, 7), 1, Some(10), CallOutcome::Refused),
        (Ending::GoneAway { code: 0 }, 1, Some(10), CallOutcome::Refused),
        (Ending::Missed, 20, Some(10), CallOutcome::Unknown),
    ];
    for (how, at, deadline, expected) in cases {
        let mut calls = Calls::default();
        asks(&mut calls, 0, "one", stream(1, true));
        let ended = Ended { connection: stream(1, true), at: Time(at * SECOND), how };
        let event = Event::Several(vec![Event::Ended(ended)]);
        calls.record(&record(at, event.clone()), &event);
        let call = calls.calls.values().next().expect("a call");
        let (outcome, why) = say::outcome(call, deadline.map(|seconds: u64| seconds * SECOND));
        assert_eq!(outcome, expected, "{how:?}: {why}");
    }
}
