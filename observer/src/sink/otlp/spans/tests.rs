use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::*;
use crate::output::{Container, Instance, Milestones, Ready, T0};
use crate::time::Time;

fn phase(name: PhaseName, start_ns: u64, duration_ns: u64) -> Phase {
    Phase { name, layer: Layer::L3, start_ns, duration_ns, process: None, detail: None }
}

fn start(phases: Vec<Phase>) -> ColdStart {
    ColdStart {
        time: Wall(1_000),
        container: Container {
            id: "c".into(),
            instance: Some(Instance { init: 7, start: Time(8) }),
            ..Container::default()
        },
        t0: T0::Runtime,
        total_ns: 100,
        ready: Ready::Exec,
        milestones: Milestones { exec_ns: Some(90), first_output_ns: Some(95), ..Milestones::default() },
        cold: None,
        phases,
        unattributed_ns: 0,
        major_faults: None,
        read_bytes: None,
        lost: 0,
        failure: None,
    }
}

fn spans(start: &ColdStart) -> Vec<Span> {
    let mut made = resource_spans(start, &Host::default());
    assert_eq!(made.scope_spans.len(), 1);
    made.scope_spans.remove(0).spans
}

fn times(spans: &[Span]) -> Vec<(&str, u64, u64)> {
    spans
        .iter()
        .map(|span| (span.name.as_str(), span.start_time_unix_nano, span.end_time_unix_nano))
        .collect()
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    let pair = span.attributes.iter().find(|pair| pair.key == key)?;
    match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn children_fill_the_root_whatever_order_the_phases_come_in() {
    let start = start(vec![phase(PhaseName::Exec, 60, 30), phase(PhaseName::Rootfs, 10, 40)]);
    let spans = spans(&start);
    assert_eq!(
        times(&spans),
        [
            ("container.start", 1_000, 1_100),
            ("container.start.unattributed", 1_000, 1_010),
            ("container.start.rootfs", 1_010, 1_050),
            ("container.start.unattributed", 1_050, 1_060),
            ("container.start.exec", 1_060, 1_090),
            ("container.start.unattributed", 1_090, 1_100),
        ]
    );
    let covered: u64 =
        spans[1..].iter().map(|span| span.end_time_unix_nano - span.start_time_unix_nano).sum();
    assert_eq!(covered, start.total_ns);
    assert_eq!(count(&start), spans.len() as u64);
    assert!(spans[1..].iter().all(|span| span.parent_span_id == spans[0].span_id));
    assert!(spans[0].parent_span_id.is_empty());
}

#[test]
fn unattributed_time_in_the_list_is_the_same_as_a_gap() {
    let gap = start(vec![phase(PhaseName::Exec, 0, 80)]);
    let listed = start(vec![phase(PhaseName::Exec, 0, 80), phase(PhaseName::Unattributed, 80, 20)]);
    assert_eq!(resource_spans(&gap, &Host::default()), resource_spans(&listed, &Host::default()));
}

#[test]
fn ids_follow_from_what_the_start_is() {
    let host = |id: &str| Host { id: Some(id.into()), ..Host::default() };
    let base = start(vec![]);
    let trace = |start: &ColdStart, host: &Host| trace_id(start, host);
    let known = trace(&base, &host("a"));
    let mut later_seen = base.clone();
    later_seen.time = Wall(2_000);
    later_seen.container.pod = Some("learned later".into());
    assert_eq!(trace(&later_seen, &host("a")), known, "the clock's offset and late facts change nothing");

    let mut others = vec![trace(&base, &host("b"))];
    let mut other = base.clone();
    other.container.id = "d".into();
    others.push(trace(&other, &host("a")));
    other = base.clone();
    other.container.instance = Some(Instance { init: 7, start: Time(9) });
    others.push(trace(&other, &host("a")));
    other = base.clone();
    other.t0 = T0::Shim;
    others.push(trace(&other, &host("a")));
    // Without an instance the time tells two attempts apart.
    for time in [1, 2] {
        other = base.clone();
        other.container.instance = None;
        other.time = Wall(time);
        others.push(trace(&other, &host("a")));
    }
    others.push(known);
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 7, "all differ");
}

#[test]
fn a_failure_marks_the_root_and_the_last_phase_of_that_name() {
    let mut start = start(vec![
        phase(PhaseName::Cni, 0, 10),
        phase(PhaseName::Cni, 10, 20),
        phase(PhaseName::Exec, 30, 70),
    ]);
    let failure = |phase, errno| Failure {
        phase,
        call: None,
        errno,
        object: None,
        process: None,
        text: "gave up".into(),
    };
    start.failure = Some(failure(PhaseName::Cni, Some(1)));
    let marked = |start: &ColdStart| -> Vec<Option<String>> {
        let status = |span: &Span| span.status.clone().map(|status| (status.code, status.message));
        for span in spans(start) {
            assert_eq!(status(&span).is_some(), text(&span, "error.type").is_some());
            assert!(
                status(&span).is_none_or(|status| status == (StatusCode::Error.into(), "gave up".into()))
            );
        }
        spans(start).iter().map(|span| text(span, "error.type").map(ToOwned::to_owned)).collect()
    };
    let eperm = Some("EPERM".to_owned());
    assert_eq!(marked(&start), [eperm.clone(), None, eperm.clone(), None]);
    start.failure = Some(failure(PhaseName::Rootfs, None));
    assert_eq!(marked(&start), [Some("_OTHER".to_owned()), None, None, None], "a phase that was not reached");
}

#[test]
fn milestones_are_events_in_the_order_of_time() {
    let mut start = start(vec![]);
    start.milestones.exit_ns = Some(1);
    let root = spans(&start).remove(0);
    let events: Vec<_> =
        root.events.iter().map(|event| (event.name.as_str(), event.time_unix_nano)).collect();
    assert_eq!(
        events,
        [("observer.exit", 1_001), ("observer.exec", 1_090), ("observer.first_output", 1_095)]
    );
}

#[test]
fn hostile_starts_stay_bounded() {
    let mut start = start((0..1_000).map(|n| phase(PhaseName::Init, n, 1)).collect());
    start.total_ns = u64::MAX;
    start.time = Wall(i64::MAX);
    for phase in &mut start.phases {
        phase.duration_ns = u64::MAX;
        phase.detail = Some("x".repeat(5_000));
    }
    start.container.id = "y\0\u{1b}".repeat(5_000);
    start.failure = Some(Failure {
        phase: PhaseName::Init,
        call: Some("z".repeat(5_000)),
        errno: Some(i32::MIN),
        object: None,
        process: None,
        text: "é".repeat(5_000),
    });
    let spans = spans(&start);
    assert_eq!((spans.len(), count(&start)), (1 + MAX_CHILDREN, 1 + MAX_CHILDREN as u64));
    let size = prost::Message::encoded_len(&resource_spans(&start, &Host::default()));
    assert!(size < 512 * 1024, "{size} bytes");
    assert!(spans[0].attributes.iter().any(|pair| pair.key == "observer.phases_left_out"));
    start.time = Wall(-5);
    assert_eq!(self::spans(&start)[0].start_time_unix_nano, 0);
}
