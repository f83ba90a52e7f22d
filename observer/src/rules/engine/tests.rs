mod usual;

use observer_ebpf::Family;

use super::*;
use crate::{
    health::{Report, Status},
    output::{FindingStatus, Since},
    rules::catalogue::{About as Of, Cause, Class, Detect, Entry, Grade as Best, Period, Severity, Symptom},
    signals::{About, Label, Signal},
    time::Wall,
};

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn cause(id: &str, when: &[&str], unless: &[&str]) -> Cause {
    Cause {
        id: id.to_owned(),
        title: id.to_owned(),
        title_zh: String::new(),
        layer: "L-3".to_owned(),
        grade: Best::Proved,
        about: Of::Service,
        object: Some("server".to_owned()),
        by: texts(&["container", "server"]),
        when: texts(when),
        unless: texts(unless),
        settle: None,
        scenarios: Vec::new(),
        warm_up: None,
        teardown: None,
        explained_by: Vec::new(),
        detect: None,
        why_not: None,
        severity: None,
        slice: None,
        fix_type: None,
        remedy: None,
        remedy_zh: None,
        verify: None,
    }
}

fn entry(id: &str, causes: Vec<Cause>) -> Entry {
    Entry {
        id: id.to_owned(),
        section: "06".to_owned(),
        title: id.to_owned(),
        title_zh: String::new(),
        class: Class::Network,
        severity: Severity::P2,
        respond_within: "4h".to_owned(),
        fix_type: "network".to_owned(),
        expected_minutes: None,
        slice: None,
        components: Vec::new(),
        scenarios: Vec::new(),
        symptoms: Vec::new(),
        cases: Vec::new(),
        detect: Detect::Node,
        why_not: None,
        symptom: "it fails".to_owned(),
        symptom_zh: String::new(),
        remedy: None,
        remedy_zh: None,
        verify: "look".to_owned(),
        warm_up: Some(Period(0)),
        stays_open: None,
        seen: None,
        causes,
        recorded: Vec::new(),
    }
}

const FAILED: &str = "dns.lookup_failed_count{outcome=timeout} >= 3 over 300s";

struct Rig {
    engine: Engine,
    said: Vec<Said>,
}

impl Rig {
    fn of(entries: Vec<Entry>) -> Rig {
        let mut engine = Engine::new(Rules::compile(entries, None).unwrap());
        engine.began(Time(0));
        let what =
            Report::Status { family: Family::Dns as u8, status: Status::Attached, hook: None, why: None };
        engine.report(&ProbeReport { time: Time(0), what }, &mut |_| {});
        Rig { engine, said: Vec::new() }
    }

    fn see(&mut self, second: u64, signal: Signal, labels: &[(Label, &str)]) {
        self.see_as(second, (signal, 1.0), labels, false);
    }

    fn see_as(
        &mut self,
        second: u64,
        (signal, value): (Signal, f64),
        labels: &[(Label, &str)],
        in_teardown: bool,
    ) {
        let time = Period::seconds(second).0;
        let about = About {
            probe: "dns",
            container: None,
            process: None,
            since: Since::Start,
            in_teardown,
            is_young: false,
        };
        let mut observation =
            Observation::new(Time(time), Wall(time as i64), signal, value, about).saying("it failed");
        labels.iter().for_each(|(label, value)| observation.set(*label, *value));
        self.engine.observe(&observation, ClockOffset::default(), &mut |said| self.said.push(said));
    }

    fn fails_at(&mut self, second: u64, kind: &str, filesystem: &str) {
        self.see(second, Signal::FilesystemFree, &[(Label::Kind, kind), (Label::Filesystem, filesystem)]);
    }

    fn fail(&mut self, second: u64, server: &str) {
        self.see(second, Signal::DnsFailed, &failure(server));
    }

    fn answer(&mut self, second: u64, server: &str) {
        self.see(second, Signal::DnsAnswered, &[(Label::Container, "web"), (Label::Server, server)]);
    }

    fn tick(&mut self, second: u64) {
        let time = Time(Period::seconds(second).0);
        self.engine.tick(time, ClockOffset::default(), &mut |said| self.said.push(said));
    }

    fn takes(&mut self, second: u64, ms: f64) {
        let labels = [(Label::Container, "web"), (Label::Server, "a")];
        self.see_as(second, (Signal::DnsLatency, ms), &labels, false);
    }

    /// Of findings status, cause, grade and count; of symptoms their entry.
    fn told(&mut self) -> Vec<String> {
        let told = |said| match said {
            Said::Finding(finding) => format!(
                "{} {} {} x{}",
                finding.status.name(),
                finding.cause,
                finding.grade.name(),
                finding.count
            ),
            Said::Unproven(unproven) => format!("unproven {} x{}", unproven.id, unproven.count),
        };
        std::mem::take(&mut self.said).into_iter().map(told).collect()
    }
}

fn failure(server: &str) -> [(Label, &str); 3] {
    [(Label::Container, "web"), (Label::Server, server), (Label::Outcome, "timeout")]
}

#[test]
fn one_cause_is_one_finding_however_often_it_shows() {
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[])])]);
    for second in 1..=2 {
        rig.fail(second, "a");
    }
    assert_eq!(rig.told(), [""; 0]);
    rig.fail(3, "a");
    assert_eq!(rig.told(), ["open down proved x3"]);
    for second in 4..=40 {
        rig.fail(second, "a");
    }
    assert_eq!(rig.told(), ["updated down proved x30"]);
    rig.tick(341);
    assert_eq!(rig.told(), ["resolved down proved x40"]);
}

#[test]
fn servers_are_told_apart_and_one_may_be_well() {
    let others = "dns.lookup_answered_count >= 1 over 300s at other server";
    let one = cause("one-down", &[FAILED, others], &[]);
    let mut rig = Rig::of(vec![entry("dns", vec![one, cause("down", &[FAILED], &[])])]);
    for second in [1, 2, 3] {
        rig.fail(second, "a");
    }
    assert_eq!(rig.told(), ["open down proved x3"]);
    rig.answer(4, "b");
    rig.fail(5, "a");
    // Better is known: the other cause is withdrawn.
    assert_eq!(rig.told(), ["resolved down proved x3", "open one-down proved x4"]);
}

#[test]
fn what_works_in_between_begins_the_count_anew() {
    let since = "dns.lookup_failed_count >= 3 over 300s since dns.lookup_answered_count";
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[since], &[])])]);
    rig.fail(1, "a");
    rig.fail(2, "a");
    rig.answer(3, "a");
    rig.fail(4, "a");
    assert_eq!(rig.told(), [""; 0]);
    rig.fail(5, "a");
    rig.fail(6, "a");
    // A success before the last of them may be known later than that.
    rig.answer(6, "a");
    rig.tick(7);
    assert_eq!(rig.told(), [""; 0]);
    (8..=10).for_each(|second| rig.fail(second, "a"));
    assert_eq!(rig.told(), [""; 0]);
    rig.tick(11);
    assert_eq!(rig.told(), ["open down proved x3"]);
}

#[test]
fn what_relies_on_a_probe_that_was_given_up_says_so_and_is_not_over_for_that() {
    let answered = "dns.lookup_answered_count >= 1 over 60s at other server";
    let shed = |rig: &mut Rig, second: u64, status: Status| {
        let what = Report::Status { family: Family::Dns as u8, status, hook: None, why: None };
        let report = ProbeReport { time: Time(Period::seconds(second).0), what };
        rig.engine.report(&report, &mut |said| rig.said.push(said));
    };
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[answered])])]);
    (1..=3).for_each(|second| rig.fail(second, "a"));
    assert_eq!(rig.told(), ["open down proved x3"]);
    shed(&mut rig, 10, Status::Shed);
    let Some(Said::Finding(doubted)) = rig.said.first() else { panic!("it is told with its doubt") };
    assert!(doubted.confidence_note.as_ref().is_some_and(|note| note.contains("probe dns was given up")));
    assert_eq!(rig.told(), ["updated down proved x3"]);
    // Nobody looks: that nothing is seen means nothing.
    rig.tick(1_000);
    assert_eq!(rig.told(), [""; 0]);
    shed(&mut rig, 1_001, Status::Attached);
    rig.tick(1_200);
    assert_eq!(rig.told(), [""; 0]);
    rig.tick(1_302);
    assert_eq!(rig.told(), ["resolved down proved x3"]);
    // What was given up in the time that a rule looks back at makes it less sure.
    shed(&mut rig, 1_310, Status::Shed);
    shed(&mut rig, 1_320, Status::Attached);
    (1_321..=1_323).for_each(|second| rig.fail(second, "b"));
    assert_eq!(rig.told(), ["open down likely x3"]);
}

#[test]
fn other_rules_begin_anew_and_what_was_open_is_closed() {
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[])])]);
    (1..=3).for_each(|second| rig.fail(second, "a"));
    assert_eq!(rig.told(), ["open down proved x3"]);
    let now = Time(Period::seconds(4).0);
    let rules = Rules::compile(vec![entry("dns", vec![cause("other", &[FAILED], &[])])], None).unwrap();
    rig.engine.leave("why", |_| true, now, ClockOffset::default(), &mut |said| rig.said.push(said));
    rig.engine.replace(rules, now);
    assert_eq!(rig.told(), ["resolved down proved x3"]);
    rig.fail(5, "a");
    assert_eq!(rig.told(), [""; 0], "what others have counted does not count");
    (6..=7).for_each(|second| rig.fail(second, "a"));
    assert_eq!(rig.told(), ["open other proved x3"]);
}

#[test]
fn three_at_once_are_not_three_over_a_while() {
    let spread = "dns.lookup_failed_count >= 3 over 300s spanning 30s";
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[spread], &[])])]);
    (1..=5).for_each(|second| rig.fail(second, "a"));
    assert_eq!(rig.told(), [""; 0]);
    rig.fail(31, "a");
    assert_eq!(rig.told(), ["open down proved x6"]);
}

#[test]
fn nothing_is_concluded_while_warming_up_or_from_a_container_that_is_stopped() {
    let mut warm = cause("down", &[FAILED], &[]);
    warm.warm_up = Some(Period::seconds(60));
    let mut rig = Rig::of(vec![entry("dns", vec![warm])]);
    (1..=50).for_each(|second| rig.fail(second, "a"));
    (61..=70).for_each(|second| rig.see_as(second, (Signal::DnsFailed, 1.0), &failure("a"), true));
    assert_eq!(rig.told(), [""; 0]);
    (71..=73).for_each(|second| rig.fail(second, "a"));
    assert_eq!(rig.told(), ["open down proved x3"]);
}

#[test]
fn loss_and_absent_probes_lower_the_grade_and_say_so() {
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[])])]);
    rig.engine.lost(Family::Dns as u8, 7, Time(1));
    (1..=3).for_each(|second| rig.fail(second, "a"));
    let Some(Said::Finding(finding)) = rig.said.first() else { panic!("{:?}", rig.said) };
    assert_eq!(finding.grade, Grade::Likely);
    assert_eq!(finding.confidence_note.as_deref(), Some("7 records of probe dns were lost meanwhile"));
    let refuted = cause("down", &[FAILED], &["webhook.call_answered_count >= 1 over 60s"]);
    let mut rig = Rig::of(vec![entry("dns", vec![refuted])]);
    (1..=3).for_each(|second| rig.fail(second, "a"));
    let Some(Said::Finding(finding)) = rig.said.first() else { panic!("{:?}", rig.said) };
    assert_eq!(finding.confidence_note.as_deref(), Some("probe webhook is off"));
}

#[test]
fn a_finding_that_waits_is_told_only_if_nothing_refutes_it() {
    let refuted = || {
        let mut cause = cause("denied", &[FAILED], &["dns.lookup_answered_count >= 1 over 60s"]);
        cause.settle = Some(Period::seconds(60));
        vec![entry("dns", vec![cause])]
    };
    let mut rig = Rig::of(refuted());
    (1..=3).for_each(|second| rig.fail(second, "a"));
    rig.tick(50);
    assert_eq!(rig.told(), [""; 0]);
    rig.tick(64);
    assert_eq!(rig.told(), ["open denied proved x3"]);
    let mut rig = Rig::of(refuted());
    (1..=3).for_each(|second| rig.fail(second, "a"));
    rig.answer(20, "a");
    rig.tick(64);
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn what_goes_on_failing_does_not_put_off_what_is_said_of_it() {
    let mut cause = cause("denied", &[FAILED], &["dns.lookup_answered_count >= 1 over 60s"]);
    cause.settle = Some(Period::seconds(60));
    let mut rig = Rig::of(vec![entry("dns", vec![cause])]);
    (1..=70).for_each(|second| {
        rig.fail(second, "a");
        rig.tick(second);
    });
    assert_eq!(rig.told().first().map(String::as_str), Some("open denied proved x63"));
}

#[test]
fn what_is_withdrawn_is_not_counted() {
    let others = "dns.lookup_answered_count >= 1 over 300s at other server";
    let one = cause("one-down", &[FAILED, others], &[]);
    let mut rig = Rig::of(vec![entry("dns", vec![one, cause("down", &[FAILED], &[])])]);
    [1, 2, 3].into_iter().for_each(|second| rig.fail(second, "a"));
    rig.answer(4, "b");
    rig.fail(5, "a");
    assert_eq!(rig.told().len(), 3, "told, withdrawn, and better told");
    let found = rig.engine.outcome();
    assert_eq!((found.proved, found.likely), (1, 0));
}

#[test]
fn a_symptom_without_a_cause_is_not_proven_and_what_explains_it_takes_it_in() {
    let when = texts(&["dns.lookup_failed_count >= 3 over 300s"]);
    let symptom = Symptom { by: texts(&["container"]), when, unless: Vec::new() };
    let refused = cause("refused", &["dns.lookup_failed_count{outcome=refused} >= 3 over 300s"], &[]);
    let mut dns = entry("dns", vec![refused]);
    dns.seen = Some(symptom);
    let mut rig = Rig::of(vec![dns.clone()]);
    (1..=3).for_each(|second| rig.fail(second, "a"));
    rig.tick(4);
    assert_eq!(rig.told(), [""; 0]);
    rig.tick(7);
    let Some(Said::Unproven(unproven)) = rig.said.first() else { panic!("{:?}", rig.said) };
    assert!(unproven.missing[0].why.contains("not seen: dns.lookup_failed_count{outcome=refused}"));
    rig.tick(8);
    assert_eq!(rig.told(), ["unproven dns x3"]);

    dns.causes.push(Cause { explained_by: texts(&["other"]), ..cause("slow", &[FAILED], &[]) });
    let other = entry("other", vec![cause("root", &["dns.lookup_failed_count >= 2 over 300s"], &[])]);
    let mut rig = Rig::of(vec![dns, other]);
    (1..=3).for_each(|second| rig.fail(second, "a"));
    rig.tick(10);
    assert_eq!(rig.told(), ["open root proved x2"]);
}

#[test]
fn findings_are_stable_from_run_to_run() {
    let print = || {
        let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[])])]);
        (1..=3).for_each(|second| rig.fail(second, "a"));
        match rig.said.remove(0) {
            Said::Finding(finding) => (finding.fingerprint, finding.status),
            Said::Unproven(_) => panic!("a finding"),
        }
    };
    assert_eq!(print(), print());
    assert_eq!(print().1, FindingStatus::Open);
}

#[test]
fn what_is_full_says_nothing_of_another_file_system() {
    let full = |id: &str, kind: &str| Cause {
        by: texts(&["filesystem"]),
        object: Some("filesystem".to_owned()),
        ..cause(id, &[&format!("max(node.filesystem_free_percent{{kind={kind}}}) < 10 over 60s")], &[])
    };
    let mut rig = Rig::of(vec![entry("disk-full", vec![full("node", "nodefs"), full("images", "imagefs")])]);
    rig.fails_at(1, "nodefs", "/dev/sda1");
    assert_eq!(rig.told(), ["open node proved x1"]);
    rig.fails_at(2, "imagefs", "/dev/sdb1");
    assert_eq!(rig.told(), ["open images proved x1"]);
    rig.fails_at(3, "imagefs", "/dev/sda1");
    assert_eq!(rig.told(), [""; 0], "the better cause has told it");
}

#[test]
fn what_is_within_its_bound_is_no_evidence_and_keeps_nothing_open() {
    let slow = cause("slow", &["dns.latency_ms > 100 over 60s"], &[]);
    let mut rig = Rig::of(vec![entry("dns", vec![slow])]);
    rig.takes(1, 40.0);
    rig.takes(2, 250.0);
    let Some(Said::Finding(finding)) = rig.said.first() else { panic!("{:?}", rig.said) };
    let values: Vec<f64> = finding.evidence.iter().map(|evidence| evidence.value).collect();
    assert_eq!((values, finding.first_seen), (vec![250.0], Wall(Period::seconds(2).0 as i64)));
    rig.takes(40, 50.0);
    rig.tick(63);
    assert_eq!(rig.told(), ["open slow proved x1", "resolved slow proved x1"]);
}

#[test]
fn of_what_is_within_its_bound_others_may_ask() {
    let slow = cause("slow", &["dns.latency_ms > 100 over 60s"], &[]);
    let usual = cause("usual", &["median(dns.latency_ms) > 30 over 60s"], &[]);
    let mut rig = Rig::of(vec![entry("dns", vec![slow, usual])]);
    rig.takes(1, 40.0);
    assert_eq!(rig.told(), ["open usual proved x1"]);
}
