//! Look-ups as resolvers really make them.

mod backends;
mod outcomes;

use std::net::SocketAddr;

use super::*;
use crate::{
    input::{FactKind, Input, LifeFact},
    output::{Backend, Dns, DnsOutcome as Outcome, DnsTransport},
    probes::{
        dns::{Failed, Message, Question, RecordType},
        packet::{Flow, Owner, Transport},
        process::CgroupIds,
    },
    time::ClockOffset,
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const A: RecordType = RecordType::A;
const AAAA: RecordType = RecordType::AAAA;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A message and how it travels; `Default` is process 7 asking 10.0.0.10 by socket 1.
#[derive(Clone, Copy)]
struct Ask<'a> {
    at: u64,
    cookie: u64,
    id: u16,
    name: &'a str,
    qtype: RecordType,
    server: &'a str,
    /// Where it really goes.
    backend: Option<&'a str>,
    connected: bool,
    transport: Transport,
    tgid: u32,
}

const ASK: Ask = Ask {
    at: SECOND,
    cookie: 1,
    id: 100,
    name: "db.test",
    qtype: A,
    server: "10.0.0.10:53",
    backend: None,
    connected: true,
    transport: Transport::Udp,
    tgid: 7,
};

struct Watched {
    model: Model,
    told: Vec<Event>,
}

impl Watched {
    fn new() -> Self {
        let mut watched = Watched { model: Model::new(0, true), told: Vec::new() };
        watched.fact(FactKind::Clock(ClockOffset { wall_minus_boot_ns: 0, error_ns: 0 }));
        watched
    }

    fn step(&mut self, input: &Input) {
        let told = &mut self.told;
        self.model.step(input, &mut |made| {
            if let Made::Event(event) = made {
                told.push(*event);
            }
        });
    }

    fn fact(&mut self, what: FactKind) {
        self.step(&Input::Fact(crate::input::Fact { time: Time(0), what }));
    }

    fn record(&mut self, at: u64, tgid: u32, event: dns::Event) {
        let event = crate::probes::Event::Dns(event);
        let record = Record { time: Time(at), tgid, tid: tgid, unreadable: false, late: false, event };
        self.step(&Input::Record(record));
    }

    fn message(&mut self, ask: Ask, sent: bool, message: Message) {
        let packet = packet(ask, sent, message);
        self.record(ask.at, ask.tgid, dns::Event::Packet(packet));
    }

    fn query(&mut self, ask: Ask) {
        self.message(ask, true, plain(ask));
    }

    /// An answer with this code and so many records of the type.
    fn answer(&mut self, ask: Ask, rcode: u8, answers: u16) {
        let message = Message { is_reply: true, rcode, answers, matching: Some(answers), ..plain(ask) };
        self.message(ask, false, message);
    }

    /// Everything told by this time.
    fn at(&mut self, time: u64) -> Vec<Dns> {
        self.step(&Input::Tick(Time(time)));
        std::mem::take(&mut self.told).into_iter().map(lookup).collect()
    }

    fn one_at(&mut self, time: u64) -> Dns {
        let told = self.at(time);
        let [one] = <[Dns; 1]>::try_from(told).unwrap_or_else(|told| panic!("{told:#?}"));
        one
    }
}

fn lookup(event: Event) -> Dns {
    let What::Dns(dns) = event.what else { panic!("{event:?}") };
    dns
}

fn plain(ask: Ask) -> Message {
    Message {
        id: ask.id,
        is_reply: false,
        opcode: 0,
        rcode: 0,
        is_truncated: false,
        question: Some(Question { name: ask.name.to_owned(), qtype: ask.qtype }),
        answers: 0,
        matching: Some(0),
    }
}

fn packet(ask: Ask, sent: bool, message: Message) -> dns::Packet {
    let server = address(ask.server);
    let flow = Flow {
        cookie: ask.cookie,
        transport: ask.transport,
        local: address("10.0.0.2:4000"),
        // What comes in has had its addresses translated back.
        remote: ask.backend.filter(|_| sent).map_or(server, address),
        peer: ask.connected.then_some(server),
    };
    dns::Packet { flow, sent, owner: owner(ask.tgid), messages: vec![message], garbage: 0 }
}

fn owner(tgid: u32) -> Option<Owner> {
    (tgid != 0).then(|| Owner {
        tgid,
        tid: tgid + 1,
        start: Time(5),
        init: None,
        role: 0,
        cgroup: CgroupIds { memory: 71, unified: 1 },
        comm: "asker".to_owned(),
    })
}

#[test]
fn both_addresses_are_one_look_up() {
    let mut watched = Watched::new();
    let six = Ask { id: 101, qtype: AAAA, ..ASK };
    watched.query(ASK);
    watched.query(Ask { at: ASK.at + 1, ..six });
    watched.answer(Ask { at: SECOND + 3 * MS, ..ASK }, 0, 2);
    watched.answer(Ask { at: SECOND + 4 * MS, ..six }, 0, 0);
    assert_eq!(watched.at(SECOND + 10 * MS), [], "another type may still be asked for");
    let told = watched.one_at(SECOND + 100 * MS);
    assert_eq!((told.outcome, told.attempts, told.latency_ns), (Outcome::Answered, 2, Some(4 * MS)));
    assert_eq!((told.decided.name.as_str(), told.decided.qtype.as_str()), ("db.test", "A"));
    assert_eq!(told.decided.latency_ns, Some(3 * MS));
    let outcomes: Vec<Outcome> = told.questions.iter().map(|question| question.outcome).collect();
    assert_eq!(outcomes, [Outcome::Answered, Outcome::Nodata]);
}

#[test]
fn a_missing_name_on_the_way_to_an_answer_is_an_attempt() {
    let mut watched = Watched::new();
    let names =
        ["db.shop.svc.cluster.local", "db.svc.cluster.local", "db.cluster.local", "db.ec2.internal", "db"];
    for (n, name) in names.into_iter().enumerate() {
        let step = Ask { at: SECOND + n as u64 * 10 * MS, id: 100 + n as u16, name, ..ASK };
        watched.query(step);
        let (rcode, answers) = if name == "db" { (0, 1) } else { (3, 0) };
        watched.answer(Ask { at: step.at + MS, ..step }, rcode, answers);
    }
    let told = watched.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.attempts, told.questions.len()), (Outcome::Answered, 5, 5));
    assert_eq!((told.decided.name.as_str(), told.latency_ns), ("db", Some(41 * MS)));
}

#[test]
fn when_all_names_are_missing_the_last_decides() {
    let mut watched = Watched::new();
    for (n, name) in ["no.svc.cluster.local", "no.cluster.local", "no"].into_iter().enumerate() {
        let step = Ask { at: SECOND + n as u64 * 10 * MS, id: 100 + n as u16, name, ..ASK };
        watched.query(step);
        watched.answer(Ask { at: step.at + MS, ..step }, 3, 0);
    }
    let told = watched.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.decided.name.as_str()), (Outcome::Nxdomain, "no"));
}

#[test]
fn other_names_of_the_same_process_are_other_look_ups() {
    let mut watched = Watched::new();
    for (n, name) in ["www.a.test", "www.b.test"].into_iter().enumerate() {
        let step = Ask { at: SECOND + n as u64 * 10 * MS, id: 100 + n as u16, name, ..ASK };
        watched.query(step);
        watched.answer(Ask { at: step.at + MS, ..step }, 3, 0);
    }
    assert_eq!(watched.at(2 * SECOND).len(), 2);
}

#[test]
fn the_same_name_asked_by_two_processes_is_two_look_ups() {
    let mut watched = Watched::new();
    watched.query(ASK);
    watched.query(Ask { cookie: 2, tgid: 8, ..ASK });
    watched.answer(Ask { at: SECOND + MS, cookie: 2, tgid: 8, ..ASK }, 0, 1);
    watched.answer(Ask { at: SECOND + MS, ..ASK }, 5, 0);
    let told = watched.at(2 * SECOND);
    let outcomes: Vec<Outcome> = told.iter().map(|dns| dns.outcome).collect();
    assert_eq!(outcomes, [Outcome::Answered, Outcome::Refused]);
}

#[test]
fn the_same_name_once_more_is_another_look_up() {
    let mut watched = Watched::new();
    for n in 0..3 {
        let again = Ask { at: SECOND + n * 5 * MS, cookie: 1 + n, id: 100 + n as u16, ..ASK };
        watched.query(again);
        watched.answer(Ask { at: again.at + MS, ..again }, 0, 1);
    }
    let told = watched.at(2 * SECOND);
    assert_eq!(told.iter().map(|dns| dns.attempts).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn the_same_message_once_more_is_no_other_look_up() {
    let mut watched = Watched::new();
    // glibc throws all answers away when one of them is garbage, or too long.
    for (n, transport) in [Transport::Udp, Transport::Udp, Transport::Tcp].into_iter().enumerate() {
        let again = Ask { at: SECOND + n as u64 * MS, cookie: 1 + n as u64, transport, ..ASK };
        watched.query(again);
        watched.answer(Ask { at: again.at + 10, ..again }, 0, 1);
    }
    let told = watched.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.attempts), (Outcome::Answered, 3));
}

#[test]
fn several_servers_asked_at_once_by_one_socket() {
    let mut watched = Watched::new();
    let musl = Ask { connected: false, ..ASK };
    watched.query(musl);
    watched.query(Ask { at: musl.at + 1, server: "10.0.0.11:53", ..musl });
    watched.answer(Ask { at: SECOND + MS, server: "10.0.0.11:53", ..musl }, 0, 1);
    watched.answer(Ask { at: SECOND + 2 * MS, ..musl }, 3, 0);
    let told = watched.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.attempts), (Outcome::Answered, 2));
    assert_eq!(told.decided.server, Some(address("10.0.0.11:53")), "the first that answered");
}

#[test]
fn behind_a_service_address_both_are_told() {
    for connected in [true, false] {
        let mut watched = Watched::new();
        let ask = Ask { server: "10.96.0.10:53", backend: Some("10.1.0.5:5353"), connected, ..ASK };
        watched.query(ask);
        watched.answer(Ask { at: SECOND + MS, ..ask }, 2, 0);
        let told = watched.one_at(2 * SECOND);
        assert_eq!(told.outcome, Outcome::Servfail);
        assert_eq!(told.decided.server, Some(address("10.96.0.10:53")));
        assert_eq!(told.decided.backend, Some(Backend::at(address("10.1.0.5:5353"))));
    }
}

#[test]
fn servers_and_strangers_are_not_told() {
    let mut watched = Watched::new();
    // A server between two ports 53: what it is asked comes in, what it answers goes out.
    watched.message(ASK, false, plain(ASK));
    watched.message(ASK, true, Message { is_reply: true, ..plain(ASK) });
    // An answer that nobody asked for.
    watched.answer(Ask { id: 9, ..ASK }, 0, 1);
    // An update is no look-up.
    watched.message(ASK, true, Message { opcode: 5, ..plain(ASK) });
    assert_eq!(watched.at(60 * SECOND), []);
}

#[test]
fn an_answer_to_another_question_is_none() {
    let mut watched = Watched::new();
    watched.query(ASK);
    watched.answer(Ask { at: SECOND + MS, name: "evil.test", ..ASK }, 0, 1);
    watched.answer(Ask { at: SECOND + MS, qtype: AAAA, ..ASK }, 0, 1);
    watched.answer(Ask { at: SECOND + 2 * MS, name: "DB.Test", ..ASK }, 0, 1);
    let told = watched.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.latency_ns), (Outcome::Answered, Some(2 * MS)), "cases do not matter");
}

#[test]
fn who_asked_may_be_unknown_or_in_no_container() {
    let mut watched = Watched::new();
    watched.query(Ask { tgid: 0, ..ASK });
    watched.answer(Ask { at: SECOND + MS, tgid: 0, ..ASK }, 0, 1);
    watched.query(Ask { cookie: 2, ..ASK });
    watched.answer(Ask { at: SECOND + MS, cookie: 2, ..ASK }, 0, 1);
    watched.step(&Input::Tick(Time(2 * SECOND)));
    let [nobody, host] = &watched.told[..] else { panic!("{:#?}", watched.told) };
    assert_eq!((&nobody.process, nobody.why.as_deref()), (&None, Some(NOBODY)));
    assert_eq!((&host.container, host.why.as_deref()), (&None, None));
    let process = host.process.as_ref().unwrap();
    assert_eq!((process.pid, process.tid, process.comm.as_str()), (7, 8, "asker"));
}

#[test]
fn what_joined_a_container_is_told_with_it() {
    let mut watched = Watched::new();
    for (init, cgroup_id) in [(40, 1), (41, 71)] {
        let id = format!("c{init}");
        let life = LifeFact { init, id, cgroup_id: Some(cgroup_id), ..LifeFact::default() };
        watched.fact(FactKind::Life(Box::new(life)));
    }
    watched.told.clear();
    watched.query(ASK);
    watched.step(&Input::Tick(Time(60 * SECOND)));
    // The node does not say where it sent it.
    watched.step(&Input::Tick(Time(63 * SECOND)));
    let container = watched.told[0].container.as_ref().map(|container| container.id.as_str());
    assert_eq!(container, Some("c41"), "by its control group, which is not the root of all");
}

#[test]
fn a_run_that_ends_says_what_it_does_not_know() {
    let mut watched = Watched::new();
    watched.query(ASK);
    let told = &mut Vec::new();
    watched.model.finish(Time(2 * SECOND), &mut |made| {
        if let Made::Event(event) = made {
            told.push(*event);
        }
    });
    assert_eq!(told[0].why.as_deref(), Some(CUT));
    let told = lookup(told.remove(0));
    assert_eq!((told.outcome, told.latency_ns), (Outcome::Unknown, None));
}

#[test]
fn a_part_of_a_recording_knows_what_was_under_way() {
    let mut watched = Watched::new();
    watched.query(ASK);
    let mut later = Watched::new();
    for input in watched.model.open_inputs(Time(SECOND + MS)) {
        later.step(&input);
    }
    later.answer(Ask { at: SECOND + 3 * MS, ..ASK }, 0, 1);
    let told = later.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.latency_ns), (Outcome::Answered, Some(3 * MS)));
}

#[test]
fn look_ups_are_bounded() {
    let mut watched = Watched::new();
    for n in 0..9_000 {
        watched.query(Ask { at: SECOND + n, cookie: n, tgid: n as u32 + 1, ..ASK });
    }
    assert_eq!(watched.model.lookups_given_up(), 9_000 - 8_192);
    assert_eq!(watched.at(60 * SECOND).len(), 8_192);
    // One that never stops asking is cut into look-ups, and forgotten with them.
    for n in 0..1_000 {
        let at = (60 + n) * SECOND;
        watched.query(Ask { at, id: n as u16, ..ASK });
    }
    let told = watched.at(2_000 * SECOND);
    assert!((80..=90).contains(&told.len()), "{}", told.len());
    assert_eq!(told.iter().map(|dns| dns.attempts).sum::<u64>(), 1_000);
}
