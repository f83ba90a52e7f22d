//! What is usual: learned while nothing is wrong, and what findings check against then.

use super::*;
use crate::output::Check;
use crate::output::CheckState;

fn container() -> Container {
    let (name, image) = (Some("web".to_owned()), Some("shop:1".to_owned()));
    Container { name, image, ..Container::default() }
}

fn sees(rig: &mut Rig, second: u64, signal: Signal, value: f64, container: Option<&Container>) {
    let time = Period::seconds(second).0;
    let about = About {
        probe: "cpu",
        container,
        process: None,
        since: Since::Start,
        in_teardown: false,
        is_young: false,
    };
    let observation = Observation::new(Time(time), Wall(time as i64), signal, value, about);
    rig.engine.observe(&observation, ClockOffset::default(), &mut |said| rig.said.push(said));
}

fn normal(what: &str, who: &str, count: u64, p90: f64) -> Normal {
    Normal { what: what.to_owned(), who: who.to_owned(), count, median: p90, p90 }
}

/// What a finding about `web` checked, on a node on which this is usual.
fn checked(normals: &[Normal]) -> Vec<Check> {
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[])])]);
    rig.engine = rig.engine.knowing(normals);
    sees(&mut rig, 1, Signal::CpuThrottled, 50.0, Some(&container()));
    sees(&mut rig, 1, Signal::CpuUsed, 80.0, Some(&container()));
    sees(&mut rig, 1, Signal::IoMost, 60.0, None);
    (2..=4).for_each(|second| rig.fail(second, "a"));
    let [Said::Finding(finding)] = &rig.said[..] else { panic!("one finding") };
    finding.checked.clone()
}

fn of<'a>(checks: &'a [Check], what: &str) -> Option<&'a Check> {
    checks.iter().find(|check| check.what == what)
}

#[test]
fn without_anything_learned_the_matrix_says_what_is_normal() {
    let checks = checked(&[normal("cpu.used_percent", "shop:1", 11, 1.0)]);
    let throttling = of(&checks, "CPU throttling").unwrap();
    assert_eq!((throttling.state, throttling.basis), (CheckState::Abnormal, "matrix"));
    assert_eq!((throttling.threshold, throttling.why.as_deref()), (Some(25.0), None));
    assert!(
        of(&checks, "CPU time that it uses").is_none(),
        "of too few values, and the matrix says nothing of it"
    );
}

#[test]
fn what_was_learned_takes_its_place_and_is_said() {
    let checks = checked(&[
        normal("cpu.throttled_percent", "shop:1", 40, 40.0),
        normal("cpu.used_percent", "shop:1", 40, 20.0),
        normal("io.latency_p90_ms", "", 96, 2.5),
        normal("io.latency_p90_ms{kind=paravirtual}", "", 96, 2.5),
    ]);
    let throttling = of(&checks, "CPU throttling").unwrap();
    assert_eq!((throttling.state, throttling.basis), (CheckState::Ok, "baseline"));
    assert_eq!(throttling.threshold, Some(60.0));
    assert_eq!(throttling.why.as_deref(), Some("normal: up to 40.0 %, learned from 40 times 5 minutes"));
    let used = of(&checks, "CPU time that it uses").unwrap();
    assert_eq!((used.state, used.threshold), (CheckState::Abnormal, Some(50.0)));
    // Probe `hardware` is off here: what is usual measures nothing.
    assert_eq!(of(&checks, "waiting for block devices").unwrap().state, CheckState::NotMeasured);
}

#[test]
fn what_is_usual_of_another_says_nothing() {
    let checks = checked(&[normal("cpu.throttled_percent", "other:1", 40, 40.0)]);
    assert_eq!(of(&checks, "CPU throttling").unwrap().basis, "matrix");
}

/// Of an hour and a bit in which it uses that much CPU, and one in a hundred samples more.
fn learned(rig: &mut Rig) -> Vec<(String, String, Vec<f64>)> {
    for step in 0..1_000 {
        let value = if step % 100 == 99 { 30.0 } else { 10.0 };
        sees(rig, 5 * step, Signal::CpuUsed, value, Some(&container()));
        sees(rig, 5 * step, Signal::CpuSteal, 1.0, None);
        rig.tick(5 * step);
    }
    let usual = rig.engine.take_learned();
    usual
        .known()
        .map(|(what, who, _, values)| (what.to_owned(), who.to_owned(), values.iter().copied().collect()))
        .collect()
}

#[test]
fn every_quarter_of_an_hour_what_was_highest_of_late_is_learned() {
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[])])]);
    let learned = learned(&mut rig);
    let of = |what: &str, who: &str, values: [f64; 5]| (what.to_owned(), who.to_owned(), values.to_vec());
    let expected = [
        of("cpu.steal_percent", "", [1.0; 5]),
        of("cpu.used_percent", "shop:1", [10.0, 10.0, 30.0, 30.0, 30.0]),
    ];
    assert_eq!(learned, expected);
    assert_eq!(rig.engine.take_learned(), Usual::default(), "it is told once");
}

#[test]
fn while_something_is_wrong_nothing_is_learned_of_it() {
    let mut rig = Rig::of(vec![entry("dns", vec![cause("down", &[FAILED], &[])])]);
    for second in (0..6_000).step_by(50) {
        rig.fail(second, "a");
        sees(&mut rig, second, Signal::CpuUsed, 10.0, Some(&container()));
        sees(&mut rig, second, Signal::CpuSteal, 1.0, None);
        rig.tick(second);
    }
    assert!(rig.told().contains(&"open down proved x3".to_owned()));
    assert_eq!(rig.engine.take_learned(), Usual::default());
}
