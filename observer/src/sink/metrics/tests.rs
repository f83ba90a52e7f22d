//! What is counted, how it is written, and that names of others cannot grow it.

use super::*;
use crate::{
    layer::Layer,
    output::{Container, Grade, Milestones, Phase, PhaseName, Ready, T0},
};

fn start(runtime: &str, total_ns: u64, phases: &[(PhaseName, u64)]) -> Output {
    let phase = |(name, duration_ns): &(PhaseName, u64)| Phase {
        name: *name,
        layer: Layer::L3,
        start_ns: 0,
        duration_ns: *duration_ns,
        process: None,
        detail: None,
    };
    Output::ColdStart(Box::new(ColdStart {
        time: Wall(0),
        container: Container { runtime: Some(runtime.to_owned()), ..Container::default() },
        t0: T0::Runtime,
        total_ns,
        ready: Ready::Exec,
        milestones: Milestones::default(),
        cold: None,
        phases: phases.iter().map(phase).collect(),
        unattributed_ns: 0,
        major_faults: None,
        read_bytes: None,
        lost: 0,
        failure: None,
    }))
}

fn finding(fingerprint: &str, id: &str, grade: Grade, status: FindingStatus) -> Output {
    let (id, cause) = (id.to_owned(), "why".to_owned());
    Output::Finding(Box::new(Finding { id, cause, grade, status, ..Finding::of_nobody(fingerprint) }))
}

fn page(metrics: &Metrics) -> String {
    exposition(&metrics.snapshot(Wall(1)))
}

#[test]
fn a_phase_that_comes_twice_is_one_and_the_whole_is_one_more() {
    let mut metrics = Metrics::default();
    let phases =
        [(PhaseName::Rootfs, 1_000_000), (PhaseName::Exec, 1_000_000), (PhaseName::Rootfs, 2_000_000)];
    metrics.take(&start("crun", 4_000_000, &phases));
    let page = page(&metrics);
    let has = |line: &str| assert!(page.lines().any(|said| said == line), "{line} in {page}");
    let of = |phase: &str| format!("{{phase=\"{phase}\",runtime=\"crun\",kind=\"oci\"");
    has(&format!("observer_start_seconds_sum{}}} 0.003", of("rootfs")));
    has(&format!("observer_start_seconds_count{}}} 1", of("total")));
    has(&format!("observer_start_seconds_bucket{},le=\"0.0025\"}} 0", of("total")));
    has(&format!("observer_start_seconds_bucket{},le=\"0.005\"}} 1", of("total")));
    has(&format!("observer_start_seconds_bucket{},le=\"+Inf\"}} 1", of("total")));
}

#[test]
fn names_that_others_choose_are_bounded_and_harmless() {
    let mut metrics = Metrics::default();
    (0..1_000).for_each(|number| metrics.take(&start(&format!("r\"{number}\n"), 1, &[])));
    let snapshot = metrics.snapshot(Wall(1));
    let counts: Vec<u64> = snapshot.metrics[0]
        .series
        .iter()
        .map(|series| match &series.value {
            Value::Histogram(of) => of.count(),
            Value::Number(_) => panic!("a number"),
        })
        .collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (17, 1_000));
    assert!(page(&metrics).contains("runtime=\"r\\\"0\\n\",kind"), "{}", page(&metrics));
}

#[test]
fn a_finding_is_open_until_it_is_resolved_and_has_one_grade() {
    let mut metrics = Metrics::default();
    let count = |metrics: &Metrics, grade: &str| {
        let line =
            format!("observer_findings{{row=\"dns\",cause=\"why\",grade=\"{grade}\",severity=\"P1\"}} ");
        page(metrics).lines().find_map(|said| Some(said.strip_prefix(&line)?.to_owned()))
    };
    metrics.take(&finding("a", "dns", Grade::Likely, FindingStatus::Open));
    metrics.take(&finding("b", "dns", Grade::Likely, FindingStatus::Open));
    assert_eq!(count(&metrics, "likely").as_deref(), Some("2"));
    metrics.take(&finding("a", "dns", Grade::Proved, FindingStatus::Updated));
    metrics.take(&finding("b", "dns", Grade::Likely, FindingStatus::Resolved));
    assert_eq!(count(&metrics, "likely").as_deref(), Some("0"));
    assert_eq!(count(&metrics, "proved").as_deref(), Some("1"));
    (0..1_000).for_each(|number| {
        let name = format!("row-{number}");
        metrics.take(&finding(&name, &name, Grade::Likely, FindingStatus::Open));
    });
    assert!(page(&metrics).contains("row=\"other\",cause=\"other\",grade=\"likely\""));
}

#[test]
fn a_port_alone_is_this_machines() {
    for text in ["9464", ":9464", "127.0.0.1:9464"] {
        assert_eq!(serve::address(text).unwrap().to_string(), "127.0.0.1:9464");
    }
    assert_eq!(serve::address("0.0.0.0:1").unwrap().to_string(), "0.0.0.0:1");
    assert!(serve::address("localhost").is_err());
}
