//! Evidence and spans that could belong together, and which do.

use std::net::SocketAddr;

use super::*;
use crate::{
    output::{
        Container, Dns, DnsOutcome, DnsQuestion, DnsTransport, Event, Net, NetAction, NetOutcome, Process,
        Runtime, RuntimeAction, Since, Subject, What,
    },
    span::Kind,
    time::Wall,
};

pub(super) const S: u64 = 1_000_000_000;
/// When all of this is, on the wall clock.
pub(super) const BASE: u64 = 1_700_000_000 * S;
const SERVER: &str = "10.0.0.9:5432";
pub(super) const LOCAL: &str = "10.0.0.1:40001";

fn ip(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A client's span from `from` to `to` seconds.
pub(super) fn span(
    trace: u8,
    id: u8,
    from: u64,
    to: u64,
    attributes: &[(&str, &str)],
    resource: &[(&str, &str)],
) -> Span {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Span {
        trace: [trace; 16],
        id: [id; 8],
        kind: Kind::Client,
        start: BASE + from * S,
        end: BASE + to * S,
        attributes: pairs(attributes),
        resource: pairs(resource),
        ..Span::default()
    }
}

pub(super) fn container(id: &str) -> Container {
    Container {
        id: id.repeat(16),
        pod: Some(format!("pod-{id}")),
        namespace: Some("shop".into()),
        ..Container::default()
    }
}

pub(super) fn event(container: Option<Container>, from: u64, to: u64, what: What) -> Told {
    let process = Process { pid: 77, tid: 77, ppid: None, comm: "app".into(), exe: None, start: None };
    Told::Event(Box::new(Event {
        time: Wall((BASE + to * S) as i64),
        began: Some(Wall((BASE + from * S) as i64)),
        container,
        process: Some(process),
        since: Since::Start,
        why: None,
        what,
    }))
}

pub(super) fn net(local: Option<&str>) -> What {
    What::Net(Net {
        server: Some(ip(SERVER)),
        local: local.map(ip),
        ..Net::of(NetAction::Connect, NetOutcome::Timeout)
    })
}

pub(super) fn dns(names: &[&str]) -> What {
    let question = |name: &&str| DnsQuestion {
        name: format!("{name}."),
        qtype: "A".into(),
        outcome: DnsOutcome::Timeout,
        server: Some(ip("10.0.0.2:53")),
        backend: None,
        transport: Some(DnsTransport::Udp),
        rcode: None,
        errno: None,
        latency_ns: None,
        attempts: 1,
    };
    let questions: Vec<DnsQuestion> = names.iter().map(question).collect();
    What::Dns(Dns {
        decided: questions.last().unwrap().clone(),
        outcome: DnsOutcome::Timeout,
        latency_ns: None,
        resolver_error: None,
        drop: None,
        attempts: 1,
        questions,
        questions_left_out: 0,
    })
}

pub(super) fn exit() -> What {
    What::Runtime(Runtime { exit_code: Some(1), ..Runtime::of(RuntimeAction::Exit) })
}

/// By what, as a child or not, to which traces and which spans.
pub(super) type Ties = Vec<(Join, bool, Vec<u8>, Vec<u8>)>;

/// What is tied of this, and the counts.
fn tied(told: Told, spans: &[Span]) -> (Ties, Joined) {
    tied_by(Correlator::default(), told, spans)
}

/// The same, by a correlator that knows something already.
pub(super) fn tied_by(mut correlator: Correlator, told: Told, spans: &[Span]) -> (Ties, Joined) {
    correlator.told(Time(0), told);
    spans.iter().for_each(|span| correlator.span(span));
    let mut all = Vec::new();
    let mut keep = |evidence: Evidence| {
        let traces = evidence.targets.iter().map(|target| target.trace[0]).collect();
        let ids = evidence.targets.iter().map(|target| target.span[0]).collect();
        all.push((evidence.join, evidence.is_child, traces, ids));
    };
    correlator.tick(Time(S), &mut keep);
    correlator.tick(Time(11 * S), &mut keep);
    correlator.end(&mut keep);
    (all, correlator.joined)
}

const PEER: [(&str, &str); 2] = [("network.peer.address", "10.0.0.9"), ("network.peer.port", "5432")];
pub(super) const ENDS: [(&str, &str); 4] = [
    ("network.peer.address", "10.0.0.9"),
    ("network.peer.port", "5432"),
    ("network.local.address", "10.0.0.1"),
    ("network.local.port", "40001"),
];

fn from(id: &str) -> [(&'static str, String); 1] {
    [("container.id", id.repeat(16))]
}

pub(super) fn sent_by(mut span: Span, id: &str) -> Span {
    span.resource.extend(from(id).map(|(key, value)| (key.to_owned(), value)));
    span
}

#[test]
fn both_ends_of_a_connection_are_one_span_s() {
    let mut other = span(2, 2, 0, 9, &ENDS, &[]);
    other.attributes[3].1 = "40002".into();
    let spans = [span(1, 1, 0, 9, &ENDS, &[]), other];
    let (all, joined) = tied(event(Some(container("aaaa")), 1, 3, net(Some(LOCAL))), &spans);
    assert_eq!(all, [(Join::Socket, true, vec![1], vec![1])]);
    assert_eq!(joined.socket, 1);
    // The server's span names them the other way round.
    let mut server = span(3, 3, 2, 4, &[("client.address", "10.0.0.1"), ("client.port", "40001")], &[]);
    server.kind = Kind::Server;
    server
        .attributes
        .extend([("server.address", "10.0.0.9"), ("server.port", "5432")].map(|(k, v)| (k.into(), v.into())));
    let (all, _) = tied(event(None, 1, 3, net(Some(LOCAL))), &[server]);
    assert_eq!(all, [(Join::Socket, true, vec![3], vec![3])]);
}

#[test]
fn an_address_and_its_port_may_be_one_text() {
    // As Traefik names its own end, and Envoy whom it asks.
    let server = |own: &str| {
        let attributes =
            [("network.peer.address", "10.0.0.1"), ("network.peer.port", "40001"), ("server.address", own)];
        Span { kind: Kind::Server, ..span(1, 1, 2, 4, &attributes, &[]) }
    };
    let evidence = || event(Some(container("aaaa")), 1, 3, net(Some(LOCAL)));
    assert_eq!(tied(evidence(), &[server(SERVER)]).0, [(Join::Socket, true, vec![1], vec![1])]);
    let client = |peer: &str| sent_by(span(2, 2, 0, 9, &[("peer.address", peer)], &[]), "aaaa");
    assert_eq!(tied(evidence(), &[client(SERVER)]).0, [(Join::Address, true, vec![2], vec![2])]);
    // Another port; none; a name, of which it is not known whose it is.
    for other in ["10.0.0.9:5433", "10.0.0.9", "10.0.0.9:0", "db.shop:5432", ""] {
        assert!(tied(evidence(), &[server(other), client(other)]).0.is_empty(), "{other}");
    }
}

#[test]
fn the_same_ends_at_another_time_are_another_connection() {
    let (all, joined) = tied(event(None, 20, 21, net(Some(LOCAL))), &[span(1, 1, 0, 9, &ENDS, &[])]);
    assert!(all.is_empty() && joined.unmatched == 1, "{all:?}");
}

#[test]
fn one_end_is_only_enough_together_with_who_asked() {
    let evidence = || event(Some(container("aaaa")), 1, 3, net(Some(LOCAL)));
    let foreign = sent_by(span(1, 1, 0, 9, &PEER, &[]), "bbbb");
    let nobodys = span(2, 2, 0, 9, &PEER, &[]);
    assert!(tied(evidence(), &[foreign.clone(), nobodys.clone()]).0.is_empty());
    let own = sent_by(span(3, 3, 0, 9, &PEER, &[]), "aaaa");
    let (all, _) = tied(evidence(), &[foreign.clone(), own.clone(), nobodys]);
    assert_eq!(all, [(Join::Address, true, vec![3], vec![3])]);
    // Two requests at once asked for it: it may be either's.
    let second = sent_by(span(4, 4, 0, 9, &PEER, &[]), "aaaa");
    let (all, joined) = tied(evidence(), &[own, second, foreign]);
    assert!(all.is_empty() && joined.ambiguous == 1, "{all:?}");
}

#[test]
fn a_look_up_belongs_to_who_asked_for_the_name() {
    let evidence = || event(Some(container("aaaa")), 1, 3, dns(&["Db.shop", "db.shop.svc.local"]));
    let asks =
        |trace, id, name: &str, who| sent_by(span(trace, id, 0, 9, &[("server.address", name)], &[]), who);
    let spans = [asks(1, 1, "db.shop", "bbbb"), asks(2, 2, "other", "aaaa"), asks(3, 3, "db.SHOP", "aaaa")];
    assert_eq!(tied(evidence(), &spans).0, [(Join::Address, true, vec![3], vec![3])]);
    assert!(tied(evidence(), &spans[..2]).0.is_empty());
    let url = sent_by(span(4, 4, 0, 9, &[("url.full", "db.shop:8080")], &[]), "aaaa");
    assert_eq!(tied(evidence(), &[url]).0.len(), 1);
}

#[test]
fn what_happens_to_a_container_happens_to_all_that_it_does() {
    let evidence = || event(Some(container("aaaa")), 1, 3, exit());
    let one = sent_by(span(1, 1, 0, 9, &[], &[]), "aaaa");
    let inner = sent_by(span(1, 2, 0, 4, &[], &[]), "aaaa");
    let foreign = sent_by(span(2, 3, 0, 9, &[], &[]), "bbbb");
    let later = sent_by(span(3, 4, 5, 9, &[], &[]), "aaaa");
    let (all, _) = tied(evidence(), &[one.clone(), inner.clone(), foreign.clone(), later]);
    assert_eq!(all, [(Join::Container, true, vec![1], vec![2])], "the innermost span of the one trace");
    let other = sent_by(span(4, 5, 0, 9, &[], &[]), "aaaa");
    let (all, _) = tied(evidence(), &[one, inner, foreign, other]);
    assert_eq!(all, [(Join::Container, false, vec![1, 4], vec![2, 5])]);
    let pod = span(5, 6, 0, 9, &[], &[("k8s.namespace.name", "shop"), ("k8s.pod.name", "pod-aaaa")]);
    assert_eq!(tied(evidence(), &[pod]).0, [(Join::Container, true, vec![5], vec![6])]);
}

#[test]
fn a_pid_is_one_only_outside_of_containers_and_of_that_program() {
    let of = |pairs: &[(&str, &str)]| span(1, 1, 0, 9, &[], pairs);
    let evidence = || event(None, 1, 3, exit());
    let right = of(&[("process.pid", "77"), ("process.executable.name", "app")]);
    assert_eq!(tied(evidence(), std::slice::from_ref(&right)).0, [(Join::Pid, true, vec![1], vec![1])]);
    for wrong in [
        of(&[("process.pid", "78")]),
        of(&[("process.pid", "77"), ("process.executable.name", "java")]),
        of(&[("process.pid", "77"), ("container.id", "aaaa")]),
    ] {
        assert!(tied(evidence(), &[wrong]).0.is_empty());
    }
    assert!(tied(event(Some(container("aaaa")), 1, 3, exit()), &[right]).0.is_empty());
}

#[test]
fn evidence_waits_for_a_span_that_comes_when_it_has_ended() {
    let mut correlator = Correlator::default();
    correlator.told(Time(0), event(None, 1, 3, net(Some(LOCAL))));
    let mut count = 0;
    correlator.tick(Time(31 * S), &mut |_| count += 1);
    correlator.span(&Span { time: Time(35 * S), ..span(1, 1, 0, 34, &ENDS, &[]) });
    correlator.tick(Time(42 * S), &mut |_| count += 1);
    correlator.tick(Time(99 * S), &mut |_| count += 1);
    assert_eq!((count, correlator.joined.unmatched), (1, 0));
}

#[test]
fn spans_that_were_not_sampled_get_nothing() {
    let unsampled = Span { flags: 0x102, ..span(1, 1, 0, 9, &ENDS, &[]) };
    assert!(tied(event(None, 1, 3, net(Some(LOCAL))), &[unsampled]).0.is_empty());
}

#[test]
fn what_waits_and_what_is_kept_is_bounded() {
    let mut correlator = Correlator::default();
    for _ in 0..MAX_WAITING + 5 {
        correlator.told(Time(0), event(None, 1, 3, net(Some(LOCAL))));
    }
    assert_eq!((correlator.waiting.len(), correlator.joined.given_up), (MAX_WAITING, 5));
    for number in 0..33_000u32 {
        let mut span = span(1, 1, 0, 9, &ENDS, &[]);
        span.attributes[1].1 = (number % 60_000 + 1).to_string();
        correlator.span(&span);
    }
    assert_eq!(correlator.joined.given_up, 5 + 33_000 - 32_768);
}

/// About a container, seen from `from` to `to` seconds.
fn finding(subject: Subject, from: u64, to: u64) -> Box<Finding> {
    let at = |seconds: u64| Wall((BASE + seconds * S) as i64);
    let (first_seen, last_seen) = (at(from), at(to));
    Box::new(Finding { subject, first_seen, last_seen, ..Finding::of_nobody("f") })
}

/// The traces that a finding turns out to explain, once it is known.
fn explained(spans: &[Span], finding: Box<Finding>) -> Vec<u8> {
    let mut correlator = Correlator::default();
    let waits = finding.subject.container.is_some();
    correlator.found(Time(0), finding);
    spans.iter().for_each(|span| correlator.span(span));
    let nothing = &mut |tied| panic!("a finding is no evidence: {tied:?}");
    correlator.tick(Time(WAIT_NS - 1), nothing);
    let mut settled = correlator.settled();
    assert_eq!(settled.is_empty(), waits, "its spans may still come");
    correlator.end(nothing);
    settled.extend(correlator.settled());
    let [settled] = &settled[..] else { panic!("each is told once") };
    settled.targets.iter().map(|target| target.trace[0]).collect()
}

#[test]
fn a_finding_explains_the_spans_of_its_container_meanwhile_and_no_others() {
    let of = |id: &str| Subject { container: Some(container(id)), ..Subject::default() };
    let whose = |id: &str| [("container.id", id.repeat(16))];
    let sent = |trace: u8, id: &str, from: u64| {
        let resource = whose(id);
        let resource: Vec<(&str, &str)> = resource.iter().map(|(key, id)| (*key, id.as_str())).collect();
        span(trace, 1, from, from + 1, &[], &resource)
    };
    let spans = [sent(1, "aa", 5), sent(2, "bb", 5), sent(3, "aa", 50), sent(4, "aa", 6)];
    assert_eq!(explained(&spans, finding(of("aa"), 4, 8)), [1, 4]);
    assert_eq!(explained(&spans, finding(of("cc"), 4, 8)), [0; 0]);
    // About the node: time alone ties nothing.
    assert_eq!(explained(&spans, finding(Subject::default(), 4, 8)), [0; 0]);
    let many: Vec<Span> = (1..=40).map(|trace| sent(trace, "aa", 5)).collect();
    assert_eq!(explained(&many, finding(of("aa"), 4, 8)).len(), MAX_TARGETS);
}

#[test]
fn a_finding_about_a_server_explains_what_was_asked_of_that_server() {
    let of = |object: &str| Subject {
        container: Some(container("aa")),
        object: Some(object.to_owned()),
        ..Subject::default()
    };
    let whose = "aa".repeat(16);
    let asks = |trace: u8, port: &str| {
        let peer = [("network.peer.address", "10.0.0.9"), ("network.peer.port", port)];
        span(trace, 1, 5, 6, &peer, &[("container.id", &whose)])
    };
    let spans = [asks(1, "5432"), asks(2, "7777")];
    assert_eq!(explained(&spans, finding(of(SERVER), 4, 8)), [1]);
    assert_eq!(explained(&spans, finding(of("an image"), 4, 8)), [1, 2]);
}
