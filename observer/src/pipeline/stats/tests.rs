use super::*;
use crate::output::{
    Backend, DnsOutcome, DnsQuestion, DnsTransport, Instance, Memory, Milestones, Ready, Since, StdioTarget,
    T0,
};

const CLOCK: ClockOffset = ClockOffset { wall_minus_boot_ns: 1_000, error_ns: 0 };

fn container(id: &str) -> Container {
    Container {
        id: id.to_owned(),
        instance: Some(Instance { init: 7, start: Time(1) }),
        image: Some("app:1".to_owned()),
        ..Container::default()
    }
}

fn start(id: &str, total_ns: u64) -> ColdStart {
    ColdStart {
        time: Wall(0),
        container: container(id),
        t0: T0::Runtime,
        total_ns,
        ready: Ready::FirstOutput,
        milestones: Milestones::default(),
        cold: None,
        phases: Vec::new(),
        unattributed_ns: total_ns,
        major_faults: None,
        read_bytes: None,
        lost: 0,
        failure: None,
    }
}

fn event(id: &str, what: What) -> Event {
    Event {
        time: Wall(0),
        began: None,
        container: Some(container(id)),
        process: None,
        since: Since::Start,
        why: None,
        what,
    }
}

fn ended(id: &str, outcome: StdioOutcome, blocked_ns: Option<u64>) -> Event {
    let stdio = Stdio {
        fd: 1,
        shared_with_fd: None,
        target: StdioTarget::Pipe,
        target_now: None,
        written_bytes: Some(10),
        delivered_bytes: Some(10),
        pipe_bytes: Some(0),
        blocked_ns,
        waiter: None,
        broken_pipe_writes: 0,
        reader: None,
        log_file: None,
        outcome,
        unflushed: None,
        ended: true,
    };
    event(id, What::Stdio(stdio))
}

fn fault(id: &str, kind: FaultKind, count: u64) -> Event {
    let memory = Memory {
        kind,
        signal: None,
        code: None,
        address: None,
        wasm_address: None,
        linear_bytes: None,
        linear_max_bytes: None,
        handled: None,
        region: None,
        engine_code: None,
        seen: crate::output::Seen::Signal,
        scope: None,
        errno: None,
        asked_bytes: None,
        rss_bytes: None,
        limit_bytes: None,
        count,
    };
    event(id, What::Memory(memory))
}

#[test]
fn intervals_are_counted_from_the_first_tick_and_silence_is_not_told() {
    let mut tally = Tally::new(100);
    assert_eq!(tally.tick(Time(50), CLOCK), []);
    tally.start(&start("a", 10));
    assert_eq!(tally.tick(Time(149), CLOCK), []);
    let told = tally.tick(Time(151), CLOCK);
    assert_eq!(
        told.iter().map(|stats| (stats.from, stats.to)).collect::<Vec<_>>(),
        [(Wall(1_050), Wall(1_150))]
    );
    // Nothing happened in the next interval, then ticks were far apart.
    assert_eq!(tally.tick(Time(260), CLOCK), []);
    tally.start(&start("b", 10));
    let told = tally.tick(Time(595), CLOCK);
    assert_eq!((told[0].from, told[0].to), (Wall(1_250), Wall(1_550)));
    tally.start(&start("c", 10));
    let told = tally.tell(Time(600), CLOCK);
    assert_eq!((told[0].count, told[0].from, told[0].to), (1, Wall(1_550), Wall(1_600)));
    assert_eq!(tally.tell(Time(600), CLOCK), []);
}

#[test]
fn starts_are_counted_by_image_and_failed_ones_have_no_duration() {
    let mut tally = Tally::new(100);
    tally.tick(Time(0), CLOCK);
    for (id, ns) in [("a", 30), ("b", 10), ("c", 20), ("d", 40)] {
        tally.start(&start(id, ns));
    }
    let mut failed = start("f", 1_000);
    failed.failure = Some(crate::output::Failure {
        phase: crate::output::PhaseName::Exec,
        call: None,
        errno: None,
        object: None,
        process: None,
        text: String::new(),
    });
    tally.start(&failed);
    let told = tally.tell(Time(9), CLOCK);
    let [stats] = &told[..] else { panic!("{told:?}") };
    assert_eq!(stats.key, Key::from([("image", "app:1".into()), ("t0", "runtime".into())]));
    assert_eq!((stats.probe, stats.count, stats.failed), ("coldstart", 5, 1));
    assert_eq!(stats.outcomes, BTreeMap::from([("failed", 1), ("first-output", 4)]));
    assert_eq!((stats.p50_ns, stats.p90_ns, stats.max_ns), (Some(20), Some(40), Some(40)));
    assert_eq!(stats.worst, ["d", "a", "c"]);
}

#[test]
fn streams_are_counted_when_they_end_and_faults_as_often_as_they_were() {
    let mut tally = Tally::new(100);
    tally.tick(Time(0), CLOCK);
    let mut open = ended("a", StdioOutcome::Blocked, Some(99));
    if let What::Stdio(stdio) = &mut open.what {
        stdio.ended = false;
    }
    tally.event(&open);
    tally.event(&ended("a", StdioOutcome::Delivered, Some(0)));
    tally.event(&ended("a", StdioOutcome::ReaderGone, None));
    tally.event(&fault("b", FaultKind::OomKill, 1));
    tally.event(&fault("b", FaultKind::Limit, 41));
    let told = tally.tell(Time(9), CLOCK);
    let [memory, stdio] = &told[..] else { panic!("{told:?}") };
    assert_eq!((memory.probe, memory.key["container"].as_str()), ("memory", "b"));
    assert_eq!((memory.count, memory.failed, memory.p50_ns), (42, 1, None));
    assert_eq!((stdio.probe, stdio.count, stdio.failed, stdio.max_ns), ("stdio", 2, 1, Some(0)));
    assert_eq!(stdio.outcomes, BTreeMap::from([("delivered", 1), ("reader-gone", 1)]));
    assert!(stdio.worst.is_empty(), "nobody waited");
}

#[test]
fn look_ups_are_counted_by_server_and_zone() {
    let question = |name: &str, outcome| DnsQuestion {
        name: name.to_owned(),
        qtype: "A".to_owned(),
        outcome,
        server: Some(([10, 96, 0, 10], 53).into()),
        backend: (name == "db.svc.test").then_some(Backend::at(([10, 1, 0, 5], 53).into())),
        transport: Some(DnsTransport::Udp),
        rcode: None,
        errno: None,
        latency_ns: None,
        attempts: 1,
    };
    let lookup = |name: &str, outcome, latency_ns| {
        let decided = question(name, outcome);
        let (questions, attempts, questions_left_out) = (vec![decided.clone()], 1, 0);
        event(
            "c",
            What::Dns(Dns {
                decided,
                outcome,
                latency_ns,
                attempts,
                resolver_error: None,
                drop: None,
                questions,
                questions_left_out,
            }),
        )
    };
    let mut tally = Tally::new(10);
    tally.event(&lookup("db.svc.test", DnsOutcome::Answered, Some(5)));
    tally.event(&lookup("a.shop.test", DnsOutcome::Timeout, None));
    tally.event(&lookup("b.shop.test", DnsOutcome::Nxdomain, Some(9)));
    let told = tally.tell(Time(20), CLOCK);
    let of = |stats: &Stats| {
        (stats.key["zone"].clone(), stats.key.contains_key("backend"), stats.count, stats.failed)
    };
    let told_of: Vec<_> = told.iter().map(of).collect();
    assert_eq!(told_of, [("shop.test".to_owned(), false, 2, 1), ("svc.test".to_owned(), true, 1, 0)]);
    assert!(told.iter().all(|stats| stats.key["server"] == "10.96.0.10:53" && stats.key["container"] == "c"));
    assert_eq!((told[0].max_ns, told[0].worst.as_slice()), (Some(9), &["b.shop.test".to_owned()][..]));
}

#[test]
fn keys_are_bounded_and_nothing_is_lost_of_the_rest() {
    let mut tally = Tally::new(100);
    tally.tick(Time(0), CLOCK);
    const ALL: usize = TOLD_APART + 50;
    for n in 0..ALL {
        tally.event(&ended(&format!("c{n:05}"), StdioOutcome::Undelivered, Some(n as u64)));
    }
    tally.event(&ended("c00007", StdioOutcome::Delivered, Some(1)));
    let told = tally.tell(Time(9), CLOCK);
    assert_eq!(told.len(), TOLD + 1);
    assert_eq!((told[0].key["container"].as_str(), told[0].count), ("c00007", 2), "the largest first");
    let other = told.last().unwrap();
    assert_eq!(other.key, Key::from([("container", "other".into())]));
    assert_eq!(told.iter().map(|stats| stats.count).sum::<u64>(), ALL as u64 + 1);
    assert_eq!(other.max_ns, Some(ALL as u64 - 1));
}
