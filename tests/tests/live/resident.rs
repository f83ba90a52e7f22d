//! How much memory containers hold, and limits that are reached without a kill.

use std::{thread::sleep, time::Duration};

use observer_tests::rig::{Bundle, program, run::Run, stage};

#[test]
fn a_container_that_fills_its_limit_with_page_cache_reaches_it_and_is_not_killed() {
    let stage = stage();
    let watch = Run::of(&["run", "--show", "memory,stats", "--interval", "3s"]);
    let run = |name: &str, script: &str| {
        let id = format!("{name}-{}", stage.id());
        let bundle = Bundle::new(&["/bin/sh", "-c", script]).memory_limit(64 << 20);
        let bundle = bundle.write(&stage, &id).expect("bundle");
        stage.runtime(program("crun")).run(&bundle).expect("crun").success().expect("crun");
        id
    };
    let fills = run("fills", "sleep 0.5; dd if=/dev/zero of=/file bs=1M count=200; sleep 6; rm /file");
    let little = run("little", "sleep 6");
    sleep(Duration::from_millis(300));
    let seen = watch.end();

    let limits: Vec<_> = seen.events_of("memory", &fills).collect();
    let limit = *limits.first().unwrap_or_else(|| panic!("no limit: {}", seen.stdout));
    assert_eq!((&limit["kind"], &limit["limit_bytes"]), (&"limit".into(), &(64_u64 << 20).into()), "{limit}");
    assert!(limit["rss_bytes"].as_u64() > Some(32 << 20), "{limit}");
    assert!(limits.iter().all(|event| event["kind"] == "limit"), "{limits:?}");
    assert_eq!(seen.events_of("memory", &little).count(), 0);

    let stats = |id: &str| {
        let of_it = seen.of_type("stats").filter(|stats| stats["probe"] == "memory");
        of_it.filter(|stats| stats["key"]["container"] == id).last().unwrap_or_else(|| panic!("no {id}"))
    };
    let (full, idle) = (stats(&fills), stats(&little));
    assert!(full["rss_peak_bytes"].as_u64() > Some(60 << 20), "{full}");
    assert!(full["rss_growth_bytes"].as_i64() > Some(32 << 20), "{full}");
    assert!(idle["rss_peak_bytes"].as_u64() < Some(16 << 20), "{idle}");
    assert_eq!(idle["count"], 0, "{idle}");
}
