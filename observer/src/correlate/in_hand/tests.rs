//! Requests that threads had in hand, and whose they were not.

use super::super::{
    Correlator,
    tests::{BASE, ENDS, LOCAL, S, Ties, container, dns, event, net, sent_by, span, tied_by},
};
use crate::{
    output::{
        CallOutcome, CallPhases, CallSeen, Cpu, CpuOutcome, CpuUse, Instance, Join, Peer, Side, Stdio,
        StdioOutcome, StdioTarget, Thread, Told, Webhook, What,
    },
    probes::{
        context::{By, Event, Id, Parent, Read},
        packet::Owner,
    },
    span::{Kind, Span},
    time::{ClockOffset, Time},
};

/// The thread that evidence of these tests is of.
const APP: u32 = 77;

fn id(tid: u32, tenths: u64) -> Id {
    Id { tgid: APP, tid, read: Time(tenths * S / 10) }
}

/// Of this trace; the span that has sent it has the trace's number plus 100.
fn parent(trace: u8, flags: u8) -> Option<Parent> {
    Some(Parent { trace: [trace; 16], span: [trace + 100; 8], flags })
}

fn read(id: Id, context: Option<Parent>) -> Event {
    Event::Read(Read { id, init: Some(9), waits: true, context })
}

/// What was heard of requests, at these tenths of a second.
fn heard(events: &[(u64, Event)]) -> Correlator {
    let mut correlator = Correlator::default();
    correlator.clock(ClockOffset { wall_minus_boot_ns: BASE as i64, error_ns: 0 });
    for (tenths, event) in events {
        correlator.request(Time(tenths * S / 10), event);
    }
    correlator
}

/// One request of the thread, of trace 1, from 0.5 to 4 seconds.
fn one() -> Vec<(u64, Event)> {
    vec![(5, read(id(APP, 5), parent(1, 1))), (40, Event::Done(id(APP, 5), By(APP)))]
}

/// A look-up of the thread from 1 to 3 seconds.
fn look_up() -> Told {
    event(Some(container("aaaa")), 1, 3, dns(&["db.shop"]))
}

/// The span that handles a request of a trace.
fn handler(trace: u8, number: u8) -> Span {
    let mut span = span(trace, number, 0, 9, &[], &[]);
    (span.kind, span.parent) = (Kind::Server, Some([trace + 100; 8]));
    span
}

fn by(trace: u8, number: u8) -> Ties {
    vec![(Join::Context, true, vec![trace], vec![number])]
}

#[test]
fn a_look_up_belongs_to_the_request_that_its_thread_has_in_hand() {
    let spans = [handler(1, 2), handler(3, 4)];
    assert_eq!(tied_by(heard(&one()), look_up(), &spans).0, by(1, 2));
    // Also where another trace's span is one that would be meant by name.
    let other = sent_by(span(3, 5, 0, 9, &[("server.address", "db.shop")], &[]), "aaaa");
    assert_eq!(tied_by(heard(&one()), look_up(), &[handler(1, 2), other.clone()]).0, by(1, 2));
    // Below the one that handles it, the one that asks by name; unless several do.
    let below = |number| {
        let mut own = sent_by(span(1, number, 1, 3, &[("server.address", "db.shop")], &[]), "aaaa");
        own.parent = Some([2; 8]);
        own
    };
    let spans = [handler(1, 2), below(6), other.clone()];
    assert_eq!(tied_by(heard(&one()), look_up(), &spans).0, by(1, 6));
    assert_eq!(tied_by(heard(&one()), look_up(), &[handler(1, 2), below(6), below(7)]).0, by(1, 2));
    let mut beside = below(6);
    beside.parent = Some([101; 8]);
    assert_eq!(tied_by(heard(&one()), look_up(), &[handler(1, 2), beside]).0, by(1, 2));
}

#[test]
fn whose_span_has_not_come_is_told_by_who_has_sent_it() {
    let (all, joined) = tied_by(heard(&one()), look_up(), &[]);
    assert_eq!((all, joined.context), (by(1, 101), 1));
    let sender = span(1, 101, 0, 9, &[], &[]);
    assert_eq!(tied_by(heard(&one()), look_up(), &[sender]).0, by(1, 101));
    // Two say that they handle it, and neither that it is of this container.
    assert_eq!(tied_by(heard(&one()), look_up(), &[handler(1, 2), handler(1, 3)]).0, by(1, 101));
    let own = sent_by(handler(1, 3), "aaaa");
    assert_eq!(tied_by(heard(&one()), look_up(), &[handler(1, 2), own]).0, by(1, 3));
}

#[test]
fn a_connection_of_another_trace_by_both_ends_is_that_trace_s() {
    let evidence = || event(Some(container("aaaa")), 1, 3, net(Some(LOCAL)));
    let ends = span(5, 6, 0, 9, &ENDS, &[]);
    // The request's own trace has no span here: its service has begun one of its own.
    let socket = vec![(Join::Socket, true, vec![5], vec![6])];
    assert_eq!(tied_by(heard(&one()), evidence(), std::slice::from_ref(&ends)).0, socket);
    assert_eq!(tied_by(heard(&one()), evidence(), &[ends, handler(1, 2)]).0, by(1, 2));
}

#[test]
fn what_a_thread_has_not_in_hand_is_not_tied_by_it() {
    let none = |events: &[(u64, Event)]| {
        let (all, joined) = tied_by(heard(events), look_up(), &[handler(1, 2)]);
        assert!(all.is_empty() && joined.context == 0, "{all:?}: {events:?}");
    };
    let first = || (5, read(id(APP, 5), parent(1, 1)));
    let done = |tenths, by| (tenths, Event::Done(id(APP, 5), By(by)));
    none(&[(5, read(id(78, 5), parent(1, 1))), (40, Event::Done(id(78, 5), By(78)))]);
    none(&[(20, read(id(APP, 20), parent(1, 1))), (40, Event::Done(id(APP, 20), By(APP)))]);
    none(&[first(), done(9, APP)]);
    // Another thread has answered it: this one has handed it on.
    none(&[first(), done(40, 78)]);
    none(&[first(), (8, read(id(APP, 8), None)), done(40, APP)]);
    none(&[first(), (15, read(id(APP, 15), None)), done(40, APP)]);
    // A thread that never waits has many in hand.
    let many = Read { id: id(APP, 5), init: Some(9), waits: false, context: parent(1, 1) };
    none(&[(5, Event::Read(many)), done(40, APP)]);
    none(&[(5, read(id(APP, 5), None)), done(40, APP)]);
    let reader = Owner {
        tgid: APP,
        tid: 99,
        start: Time(0),
        init: Some(9),
        role: 0,
        cgroup: crate::probes::process::CgroupIds::default(),
        comm: "app".into(),
    };
    none(&[first(), (8, Event::Skipped { reader, count: 1 }), done(40, APP)]);
    let mut correlator = heard(&one());
    correlator.lost_requests(Time(10 * S));
    assert!(tied_by(correlator, look_up(), &[handler(1, 2)]).0.is_empty(), "records were lost meanwhile");
}

#[test]
fn nothing_goes_into_a_trace_that_nobody_records() {
    let unsampled = [(5, read(id(APP, 5), parent(1, 0))), (40, Event::Done(id(APP, 5), By(APP)))];
    let other = sent_by(span(3, 5, 0, 9, &[("server.address", "db.shop")], &[]), "aaaa");
    let (all, joined) = tied_by(heard(&unsampled), look_up(), &[other]);
    assert!(all.is_empty() && joined.unmatched == 1, "{all:?}");
}

#[test]
fn a_request_that_is_never_answered_is_believed_at_last() {
    let mut correlator = heard(&one()[..1]);
    correlator.told(Time(S), look_up());
    correlator.span(&handler(1, 2));
    let mut all = Vec::new();
    correlator.tick(Time(12 * S), &mut |evidence| all.push(evidence.join));
    assert_eq!(all, []);
    correlator.tick(Time(62 * S), &mut |evidence| all.push(evidence.join));
    assert_eq!(all, [Join::Context]);
}

/// Standard output that a thread cannot write to, said at 3 seconds.
fn blocked(waiter: Option<u32>) -> Told {
    event(
        Some(container("aaaa")),
        3,
        3,
        What::Stdio(Stdio {
            fd: 1,
            shared_with_fd: None,
            target: StdioTarget::Pipe,
            target_now: None,
            written_bytes: Some(1),
            delivered_bytes: Some(0),
            pipe_bytes: Some(1),
            blocked_ns: Some(S),
            waiter: waiter.map(|tid| Thread { pid: APP, tid }),
            broken_pipe_writes: 0,
            reader: None,
            log_file: None,
            outcome: StdioOutcome::Blocked,
            unflushed: None,
            ended: false,
        }),
    )
}

#[test]
fn a_blocked_stream_blocks_the_request_whose_thread_waits() {
    let heard = || {
        let mut events = one();
        events.extend([(6, read(id(78, 6), parent(3, 1))), (45, Event::Done(id(78, 6), By(78)))]);
        heard(&events)
    };
    let spans = [handler(1, 2), handler(3, 4)];
    assert_eq!(tied_by(heard(), blocked(Some(78)), &spans).0, by(3, 4));
    assert_eq!(tied_by(heard(), blocked(Some(79)), &spans).0, []);
    assert_eq!(tied_by(heard(), blocked(None), &spans).0, []);
}

#[test]
fn a_call_belongs_to_the_span_that_has_sent_it() {
    let peer = || Peer { address: None, port: None, host: None, pod: None, process: None };
    let call = |parent| {
        What::Webhook(Box::new(Webhook {
            name: "gk".into(),
            client: peer(),
            server: peer(),
            side: Side::Client,
            method: None,
            path: None,
            deadline_ns: None,
            latency_ns: None,
            phases: CallPhases::default(),
            server_time: None,
            connection_age_ns: None,
            status: None,
            allowed: None,
            message: None,
            outcome: CallOutcome::Timeout,
            seen: CallSeen::TlsLibrary,
            overlapping: false,
            retransmits: 0,
            connects: 0,
            unacknowledged_bytes: None,
            parent,
        }))
    };
    let tied = |parent, spans: &[Span]| tied_by(heard(&one()), event(None, 1, 3, call(parent)), spans).0;
    let spans = [span(4, 104, 0, 9, &[], &[]), handler(4, 5), handler(1, 2)];
    assert_eq!(tied(parent(4, 1), &spans), by(4, 104));
    assert_eq!(tied(parent(4, 1), &[]), by(4, 104));
    assert_eq!(tied(parent(4, 0), &spans), []);
    assert_eq!(tied(None, &spans), []);
}

#[test]
fn what_happens_to_a_container_happens_to_all_requests_that_it_has_in_hand() {
    let throttled = |init| {
        let mut whose = container("aaaa");
        whose.instance = Some(Instance { init, start: Time(1) });
        let cpu = Cpu { outcome: CpuOutcome::Throttled, used: CpuUse::default() };
        event(Some(whose), 1, 3, What::Cpu(cpu))
    };
    let mut events = one();
    let many = Read { id: id(80, 20), init: Some(9), waits: false, context: parent(3, 1) };
    events.extend([(20, Event::Read(many)), (25, read(id(81, 25), parent(4, 0)))]);
    events.push((35, read(id(82, 35), parent(5, 1))));
    let spans = [handler(1, 2), handler(3, 4), handler(5, 6)];
    let both = vec![(Join::Context, false, vec![1, 3], vec![2, 4])];
    assert_eq!(tied_by(heard(&events), throttled(9), &spans).0, both, "neither unsampled nor later");
    assert_eq!(tied_by(heard(&events), throttled(10), &spans).0, []);
    // Its own spans say more than its requests.
    let own = sent_by(span(7, 8, 0, 9, &[], &[]), "aaaa");
    let (all, _) = tied_by(heard(&events), throttled(9), &[own]);
    assert_eq!(all, [(Join::Container, true, vec![7], vec![8])]);
}
