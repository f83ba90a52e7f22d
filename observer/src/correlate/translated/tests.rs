//! Connections to a service, of which the server knows another end than the client.

use super::{
    super::{
        Correlator,
        tests::{ENDS, S, Ties, container, event, net, span},
    },
    *,
};
use crate::{
    output::{Evidence, Join},
    span::{Kind, Span},
};

/// Whom the client's side names in what was seen, and who is there.
const SERVICE: &str = "10.0.0.9:5432";
const BACKEND: &str = "10.0.0.77:8080";
const CLIENT: &str = "10.0.0.1:40001";

fn way(from: &str, to: &str) -> Route {
    route((from.parse().unwrap(), to.parse().unwrap()))
}

/// A server's span of trace `trace`, with these ends.
fn served(trace: u8, client: &str, server: &str) -> Span {
    let mut span = span(trace, trace, 0, 9, &[], &[]);
    span.kind = Kind::Server;
    for (end, of) in [("client", client), ("server", server)] {
        let (address, port) = of.rsplit_once(':').unwrap();
        span.attributes.push((format!("{end}.address"), address.to_owned()));
        span.attributes.push((format!("{end}.port"), port.to_owned()));
    }
    span
}

/// What is asked when a connection to the service was seen and these spans have come, and what the answer ties.
fn asked_and_tied(spans: &[Span], answer: &[Translated]) -> (Option<Want>, Ties) {
    let mut correlator = Correlator::default();
    correlator.told(Time(0), event(Some(container("aaaa")), 1, 3, net(Some(CLIENT))));
    spans.iter().for_each(|span| correlator.span(span));
    let mut all = Ties::new();
    let mut keep = |evidence: Evidence| {
        let traces = evidence.targets.iter().map(|target| target.trace[0]).collect();
        let ids = evidence.targets.iter().map(|target| target.span[0]).collect();
        all.push((evidence.join, evidence.is_child, traces, ids));
    };
    correlator.tick(Time(S), &mut keep);
    let want = correlator.wanted();
    correlator.tick(Time(11 * S), &mut keep);
    assert_eq!(correlator.wanted(), None, "each is asked about once");
    correlator.translated(&Ok(answer.to_vec()));
    correlator.tick(Time(22 * S), &mut keep);
    correlator.tick(Time(99 * S), &mut keep);
    (want, all)
}

fn of_service() -> Translated {
    Translated { sent: way(CLIENT, SERVICE), arrives: way(CLIENT, BACKEND) }
}

#[test]
fn what_the_node_sends_elsewhere_is_the_server_s_span_there() {
    let spans = [served(1, CLIENT, BACKEND), served(2, CLIENT, "10.0.0.78:8080")];
    let (want, tied) = asked_and_tied(&spans, &[of_service()]);
    assert_eq!(want, Some(Want::Translated { routes: vec![way(CLIENT, SERVICE)] }));
    assert_eq!(tied, [(Join::Socket, true, vec![1], vec![1])]);
    // Seen at the server's end, and named as its client knows it.
    let seen_there = Translated { sent: way(CLIENT, BACKEND), arrives: way(CLIENT, SERVICE) };
    assert_eq!(asked_and_tied(&spans[..1], &[seen_there]).1, [(Join::Socket, true, vec![1], vec![1])]);
}

#[test]
fn the_same_client_s_connection_to_the_backend_itself_is_another() {
    // What the client has to itself makes the node give the other one another port.
    let moved = Translated { arrives: way("10.0.0.1:50505", BACKEND), ..of_service() };
    let direct = served(1, CLIENT, BACKEND);
    assert_eq!(asked_and_tied(std::slice::from_ref(&direct), &[moved]).1, []);
    let spans = [direct, served(2, "10.0.0.1:50505", BACKEND)];
    assert_eq!(asked_and_tied(&spans, &[moved]).1, [(Join::Socket, true, vec![2], vec![2])]);
}

#[test]
fn without_an_answer_or_with_two_nothing_is_tied() {
    let spans = [served(1, CLIENT, BACKEND), served(2, CLIENT, "10.0.0.78:8080")];
    assert_eq!(asked_and_tied(&spans, &[]).1, []);
    let second = Translated { sent: way(CLIENT, "10.0.0.78:8080"), arrives: way(CLIENT, SERVICE) };
    assert_eq!(asked_and_tied(&spans, &[of_service(), second]).1, []);
}

#[test]
fn nothing_is_asked_where_no_span_could_be_of_it() {
    let same = span(1, 1, 0, 9, &ENDS, &[]);
    let other_port = served(2, "10.0.0.1:40002", BACKEND);
    let later = Span { start: same.end + 60 * S, end: same.end + 61 * S, ..served(3, CLIENT, BACKEND) };
    for spans in [vec![], vec![same, served(4, CLIENT, BACKEND)], vec![other_port], vec![later]] {
        assert_eq!(asked_and_tied(&spans, &[]).0, None, "{spans:?}");
    }
}

#[test]
fn what_is_asked_at_once_is_bounded_and_the_rest_is_asked_later() {
    let mut correlator = Correlator::default();
    for port in 0..MAX_ASKED + 5 {
        let client = format!("10.0.0.1:{}", 1000 + port);
        correlator.told(Time(0), event(None, 1, 3, net(Some(&client))));
        correlator.span(&served(1, &client, BACKEND));
    }
    let mut asked = |at: u64| {
        correlator.tick(Time(at * S), &mut |_| {});
        let asked = correlator.wanted();
        let Some(Want::Translated { routes }) = asked else { return 0 };
        routes.len()
    };
    assert_eq!((asked(1), asked(7)), (MAX_ASKED, 0), "an answer is to come");
    correlator.translated(&Err(LookupError { what: "a table".into(), why: "gone".into() }));
    let mut asked = |at: u64| {
        correlator.tick(Time(at * S), &mut |_| {});
        match correlator.wanted() {
            Some(Want::Translated { routes }) => routes.len(),
            _ => 0,
        }
    };
    assert_eq!((asked(8), asked(9)), (5, 0));
}
