//! Five hundred traces at once, of many containers that ask the same server at the same time: each connection is tied to
//! the span of its own, by its ends, or to none.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
};

use crate::senders::{listens, send};
use observer_tests::rig::{net::Cable, run::Run, stage};
use serde_json::{Value, json};

const CONTAINERS: usize = 10;
const PROCESSES: usize = 5;
const EACH: usize = 12;
const PORT: u16 = 7100;
/// Of all connections those that have spans of their own; of the others there are spans that are almost theirs.
const TRACED: usize = 500;

/// A connection as the server knows it: who said what of himself, and from where.
struct Known {
    container: usize,
    client: SocketAddr,
    server: SocketAddr,
}

/// All connections, once they are all there; they are hung up together.
fn accept_all(listener: &TcpListener) -> Vec<Known> {
    let mut held: Vec<TcpStream> = Vec::new();
    let known = (0..CONTAINERS * PROCESSES * EACH).map(|_| {
        let (stream, client) = listener.accept().expect("a client");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("who it is");
        let server = stream.local_addr().expect("an address");
        held.push(stream);
        let container = line.split(' ').next().and_then(|who| who.parse().ok()).expect("a number");
        Known { container, client, server }
    });
    known.collect()
}

fn pairs(of: &[(&str, String)]) -> Value {
    of.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}

/// A span over all of the time, by one of the ends: nothing but the connection tells it from the others.
fn span(number: usize, client: SocketAddr, server: SocketAddr, (began, ended): (i128, i128)) -> Value {
    let is_client = number.is_multiple_of(2);
    let (local, peer) = if is_client { (client, server) } else { (server, client) };
    json!({
        "traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1),
        "name": "GET", "kind": if is_client { 3 } else { 2 }, "flags": 0x101,
        "startTimeUnixNano": began.to_string(), "endTimeUnixNano": ended.to_string(),
        "attributes": pairs(&[
            ("network.local.address", local.ip().to_string()), ("network.local.port", local.port().to_string()),
            ("network.peer.address", peer.ip().to_string()), ("network.peer.port", peer.port().to_string()),
        ]),
    })
}

fn now() -> i128 {
    jiff::Timestamp::now().as_nanosecond()
}

#[test]
fn each_of_many_connections_is_tied_to_its_own_span_or_to_none() {
    let (cable, stage) = (Cable::lay(), stage());
    let run = Run::begin(&stage, &["--show", "events,evidence", "--otlp-listen", "127.0.0.1:0"]);
    let to = listens(&run);
    let listener = cable.listens(PORT);
    let began = now();
    let words = |who: usize| format!("{} {PORT} {PROCESSES} {EACH} {who}", cable.far);
    let fans: Vec<_> =
        (0..CONTAINERS).map(|who| cable.fan(&stage, &format!("fan{who}"), &words(who))).collect();
    let known = accept_all(&listener);
    drop(listener);
    let ids: Vec<String> = fans.into_iter().map(|fan| fan.ends(&run).0).collect();
    let time = (began, now());

    let (traced, others) = known.split_at(TRACED);
    let mut spans: Vec<Value> =
        traced.iter().enumerate().map(|(n, known)| span(n, known.client, known.server, time)).collect();
    // The same client to another port, and another client to the same.
    for (n, known) in others.iter().enumerate() {
        let (mut client, mut server) = (known.client, known.server);
        if n % 2 == 0 {
            server.set_port(PORT + 1);
        } else {
            client.set_ip(cable.far.into());
        }
        spans.push(span(TRACED + n, client, server, time));
    }
    let service = pairs(&[("service.name", "many".to_owned())]);
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": service}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}],
    }]});
    send(to, &request);
    let seen = run.end();

    let of_client: BTreeMap<SocketAddr, usize> =
        known.iter().enumerate().map(|(n, known)| (known.client, n)).collect();
    let mut tied = vec![0; known.len()];
    for evidence in seen.of_type("evidence") {
        let event = &evidence["evidence"];
        let end = |of: &Value| -> Option<SocketAddr> {
            format!("{}:{}", of["address"].as_str()?, of["port"]).parse().ok()
        };
        let client = end(&event["local"]).unwrap_or_else(|| panic!("{evidence:#}"));
        let number = *of_client.get(&client).unwrap_or_else(|| panic!("whose is it? {evidence:#}"));
        assert_eq!(event["container"]["id"], *ids[known[number].container], "{evidence:#}");
        assert_eq!((&evidence["join"], &evidence["relation"]), (&json!("socket"), &json!("child")));
        let targets = evidence["targets"].as_array().expect("spans");
        let ids: Vec<&Value> = targets.iter().map(|target| &target["trace_id"]).collect();
        assert_eq!(ids, [&json!(format!("{:032x}", number + 1))], "{evidence:#}");
        tied[number] += 1;
    }
    let untied: Vec<usize> = (0..TRACED).filter(|number| tied[*number] == 0).collect();
    assert_eq!(untied, Vec::<usize>::new(), "each connection was seen");
    assert!(tied[..TRACED].iter().all(|count| *count == 1), "and once: {tied:?}");
    assert!(tied[TRACED..].iter().all(|count| *count == 0), "what is almost its span is none: {tied:?}");
    let joined = &seen.last("summary")["joined"];
    assert_eq!(joined["socket"], TRACED, "{joined:#}");
    assert_eq!((&joined["address"], &joined["given_up"]), (&json!(0), &json!(0)), "{joined:#}");
    seen.nothing_was_lost();
}
