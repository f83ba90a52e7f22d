//! Connections that look alike: those that failed, and those that only ended.

mod backends;

use super::*;
use crate::{
    input::{Fact, FactKind, Input},
    output::{Side, TlsAlert},
    probes::{Event as Probed, packet::Transport, process::CgroupIds},
};

const SERVER: &str = "10.43.0.1:443";
const LOCAL: &str = "10.42.0.7:41000";
const MS: u64 = 1_000_000;

fn owner() -> Owner {
    Owner {
        tgid: 70,
        tid: 71,
        start: Time(5),
        init: None,
        role: 16,
        cgroup: CgroupIds { memory: 0, unified: 0 },
        comm: "client".into(),
    }
}

fn connection(state: State) -> Connection {
    Connection {
        owner: owner(),
        cookie: 9,
        local: LOCAL.parse().unwrap(),
        remote: SERVER.parse().unwrap(),
        state,
        began: Time(100 * MS),
        established: None,
        errno: None,
        retransmits: 0,
        syn_retransmits: 0,
        rtt_ns: None,
        bytes_acked: 0,
        bytes_received: 0,
        netns: 4,
        was_reset: false,
    }
}

fn dropped(source: &str, destination: &str, reason: u32) -> net::Event {
    net::Event::Dropped(net::Dropped {
        transport: Transport::Tcp,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        reason,
        netns: Some(4),
        count: 1,
    })
}

/// What is told of these, each a millisecond after the one before.
fn told(events: impl IntoIterator<Item = net::Event>) -> Vec<Net> {
    let mut model = Model::new(0, true);
    let names = FactKind::DropReasons(vec![(8, "NETFILTER_DROP".to_owned())]);
    model.step(&Input::Fact(Fact { time: Time(0), what: names }), &mut |_| {});
    let mut told = Vec::new();
    for (n, event) in events.into_iter().enumerate() {
        let time = Time((101 + n as u64) * MS);
        let record =
            Record { time, tgid: 70, tid: 71, unreadable: false, late: false, event: Probed::Net(event) };
        model.step(&Input::Record(record), &mut |made| {
            if let Made::Event(event) = made
                && let What::Net(net) = event.what
            {
                assert_eq!(event.process.map(|process| (process.pid, process.tid)), Some((70, 71)));
                told.push(net);
            }
        });
    }
    told
}

fn only(events: impl IntoIterator<Item = net::Event>) -> Net {
    let told = told(events);
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_iter().next().unwrap()
}

#[test]
fn a_refusal_is_an_answer() {
    let refused = Connection { errno: Some(ECONNREFUSED), ..connection(State::Failed) };
    let net = only([net::Event::Connection(refused)]);
    assert_eq!((net.outcome, net.latency_ns), (NetOutcome::Refused, Some(MS)));
}

#[test]
fn nobody_answered_is_told_from_given_up_at_once() {
    let failed = |errno, syn_retransmits| {
        let seen =
            Connection { errno, syn_retransmits, retransmits: syn_retransmits, ..connection(State::Failed) };
        let net = only([net::Event::Connection(seen)]);
        assert_eq!(net.latency_ns, None, "nothing answered");
        net.outcome
    };
    assert_eq!(failed(Some(ETIMEDOUT), 6), NetOutcome::Timeout);
    assert_eq!(failed(None, 2), NetOutcome::Timeout);
    assert_eq!(failed(None, 0), NetOutcome::Abandoned);
    assert_eq!(failed(Some(EHOSTUNREACH), 0), NetOutcome::Unreachable);
}

#[test]
fn a_connection_that_ended_as_it_should_is_nothing() {
    let closed =
        Connection { established: Some(Time(100 * MS)), bytes_received: 7, ..connection(State::Closed) };
    assert!(told([net::Event::Connection(closed.clone())]).is_empty());
    let again = Connection { retransmits: 3, syn_retransmits: 3, ..closed.clone() };
    assert!(told([net::Event::Connection(again)]).is_empty(), "told when it was established");
    let lossy = Connection { retransmits: 4, syn_retransmits: 3, ..closed.clone() };
    assert_eq!(only([net::Event::Connection(lossy)]).outcome, NetOutcome::Closed);
    let reset = Connection { was_reset: true, errno: Some(ECONNRESET), ..closed };
    assert_eq!(only([net::Event::Connection(reset)]).outcome, NetOutcome::Reset);
}

#[test]
fn a_drop_is_joined_by_the_address_and_only_while_the_connection_was_there() {
    let failed = || net::Event::Connection(Connection { syn_retransmits: 1, ..connection(State::Failed) });
    let drop = |event| only([event, failed()]).drop;
    let way_there = drop(dropped(LOCAL, SERVER, 8)).expect("joined");
    assert_eq!(
        (way_there.reason.as_str(), way_there.netns, way_there.of_answer),
        ("NETFILTER_DROP", Some(4), false)
    );
    assert!(drop(dropped(SERVER, LOCAL, 8)).expect("joined").of_answer);
    assert_eq!(drop(dropped(LOCAL, SERVER, 77)).expect("joined").reason, "77", "no name for it");
    assert_eq!(drop(dropped(LOCAL, "10.43.0.1:80", 8)), None, "another port");
    let later = Connection { syn_retransmits: 1, began: Time(102 * MS), ..connection(State::Failed) };
    assert_eq!(
        only([dropped(LOCAL, SERVER, 8), net::Event::Connection(later)]).drop,
        None,
        "before it began"
    );
}

#[test]
fn a_call_that_failed_is_told_once() {
    let refused =
        |errno| net::Event::Refused { owner: owner(), remote: Some(SERVER.parse().unwrap()), errno };
    assert_eq!(only([refused(ENETUNREACH)]).outcome, NetOutcome::Unreachable);
    let failed = Connection { errno: Some(EHOSTUNREACH), ..connection(State::Failed) };
    let both = [net::Event::Connection(failed), refused(EHOSTUNREACH)];
    assert_eq!(only(both).outcome, NetOutcome::Unreachable);
}

#[test]
fn a_handshake_ends_with_what_a_side_said() {
    let shaken = |end| {
        only([net::Event::Handshake(net::Handshake {
            owner: owner(),
            cookie: 9,
            local: LOCAL.parse().unwrap(),
            remote: SERVER.parse().unwrap(),
            began: Time(100 * MS),
            end,
        })])
    };
    let failed = shaken(net::HandshakeEnd::Alert { of_client: true, level: 2, description: 48 });
    assert_eq!((failed.action, failed.outcome), (NetAction::Handshake, NetOutcome::TlsFailed));
    assert_eq!(failed.alert, Some(TlsAlert { by: Side::Client, description: Some(48) }));
    let hidden = shaken(net::HandshakeEnd::HiddenAlert { of_client: false });
    assert_eq!(hidden.alert, Some(TlsAlert { by: Side::Server, description: None }));
    let done = shaken(net::HandshakeEnd::Done);
    assert_eq!((done.outcome, done.alert, done.age_ns), (NetOutcome::Connected, None, Some(MS)));
}
