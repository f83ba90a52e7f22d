//! Containers that a limit keeps from CPU time, and those that only look like it.

use std::{fs, thread};

use observer_tests::rig::{Bundle, program, run::Run, stage};
use serde_json::Value;

/// A twentieth of a CPU: less than a busy machine leaves it.
const QUOTA_US: i64 = 5_000;
const PERIOD_US: u64 = 100_000;
const SPIN: &str = "/bin/busybox timeout 8 /bin/sh -c 'while :; do :; done'; sleep 13";

fn counted(cgroup: &str, name: &str) -> f64 {
    let stat = fs::read_to_string(format!("/sys/fs/cgroup/cpu{cgroup}/cpu.stat")).expect("cpu.stat");
    let of_it = stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    of_it.unwrap_or_else(|| panic!("no {name}: {stat}"))
}

fn sum(stats: &[&Value], field: &str) -> f64 {
    stats.iter().filter_map(|stats| stats[field].as_f64()).sum()
}

#[test]
fn throttling_is_told_while_it_lasts_and_counted_as_the_kernel_counts_it() {
    let stage = stage();
    let watch = Run::of(&["run", "--show", "runtime,cpu,stats", "--interval", "3s"]);
    let limited = Bundle::new(&["/bin/sh", "-c", SPIN]).cpu_limit(QUOTA_US, PERIOD_US);
    let bundles = [
        ("throttled", limited),
        ("free", Bundle::new(&["/bin/sh", "-c", SPIN])),
        ("idle", Bundle::new(&["/bin/sleep", "21"]).cpu_limit(QUOTA_US, PERIOD_US)),
    ];
    let ids = bundles.each_ref().map(|(name, _)| format!("{name}-{}", stage.id()));
    let (in_periods, throttled_ns) = thread::scope(|scope| {
        for ((_, bundle), id) in bundles.into_iter().zip(&ids) {
            let bundle = bundle.write(&stage, id).expect("bundle");
            let crun = stage.runtime(program("crun"));
            scope.spawn(move || crun.run(&bundle).expect("crun").success().expect("crun"));
        }
        let cgroup = format!("/{}/{}", stage.id(), ids[0]);
        // It is told to be throttled no more once its counts stand still.
        watch.wait_for("the end of throttling", |object| {
            object["container"]["id"] == *ids[0] && object["outcome"] == "unthrottled"
        });
        (counted(&cgroup, "nr_throttled"), counted(&cgroup, "throttled_time"))
    });
    for id in &ids {
        watch.wait_for("its end", |object| object["container"]["id"] == **id && object["action"] == "exit");
    }
    let seen = watch.end();

    let told: Vec<_> = seen.events_of("cpu", &ids[0]).collect();
    let outcomes: Vec<_> = told.iter().map(|event| event["outcome"].as_str().expect("one")).collect();
    assert_eq!(outcomes, ["throttled", "unthrottled"], "{told:#?}");
    assert!(told[0]["throttled_percent"].as_f64() >= Some(25.0), "{}", told[0]);
    assert_eq!(told[0]["quota_cpus"], 0.05, "{}", told[0]);
    for twin in &ids[1..] {
        assert_eq!(seen.events_of("cpu", twin).count(), 0, "{twin}");
    }

    let stats = |id: &String| {
        let of_it = seen.of_type("stats").filter(|stats| stats["probe"] == "cpu");
        of_it.filter(|stats| stats["key"]["container"] == **id).collect::<Vec<_>>()
    };
    let [throttled, free, idle] = ids.each_ref().map(stats);
    // What came before the first sample, in the first periods of its life, is nobody's.
    let periods = sum(&throttled, "throttled_periods");
    assert!((in_periods - 3.0..=in_periods).contains(&periods), "{periods} of {in_periods}");
    let ns = sum(&throttled, "throttled_ms") * 1e6;
    let few_periods = 3.0 * PERIOD_US as f64 * 1e3;
    assert!((throttled_ns - few_periods..=throttled_ns + 1e3).contains(&ns), "{ns} of {throttled_ns}");
    assert!(throttled.iter().any(|stats| stats["failed"] == 1), "{throttled:#?}");
    assert!(free.iter().all(|stats| stats["quota_cpus"].is_null() && stats["throttled_periods"] == 0));
    assert!(idle.iter().all(|stats| stats["quota_cpus"] == 0.05), "{idle:#?}");
    // Beginning may take more than there is in a period.
    assert!(sum(&idle, "throttled_periods") <= 2.0, "{idle:#?}");
    assert!(sum(&free, "usage_percent") > sum(&idle, "usage_percent"), "{free:#?} {idle:#?}");
    assert!(!idle.is_empty(), "that nothing ran is told, too");
}
