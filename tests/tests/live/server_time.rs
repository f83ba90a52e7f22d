//! What a webhook's server did while a request was with it, held against what the kernel counts of its control group;
//! and how long tasks of the node wait for CPUs.

use observer_tests::rig::{Stage, group::Group, program, run::Run, stage, webhook::server};
use serde_json::Value;

const LOOPBACK: &str = "127.0.0.1";
const SIGHT: &str = "process,cgroup,mount,output,webhook,cpu";
/// A twentieth of a CPU, less than a busy machine leaves it, in periods of 100 ms.
const QUOTA_US: u32 = 5_000;
const PERIOD_MS: f64 = 100.0;

/// Posts to one path, on a connection of its own.
fn post(stage: &Stage, port: u16, path: &str) {
    let mut curl = stage.command(program("curl"));
    curl.args(["-sS", "-o", "/dev/null", "-d", "{}"]).arg(format!("http://{LOOPBACK}:{port}{path}"));
    let ran = stage.run(&mut curl).expect("curl");
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
}

fn call(watch: &Run, stage: &Stage, port: u16, path: &str) -> Value {
    post(stage, port, path);
    watch.wait_for(path, |object| object["probe"] == "webhook" && object["path"] == path)
}

fn spent(call: &Value, doing: &str) -> f64 {
    call["server_time_ms"][doing].as_f64().unwrap_or_else(|| panic!("no {doing}: {call:#}"))
}

/// All of the server's part is one of the four.
fn adds_up(call: &Value) {
    let sum: f64 =
        ["on_cpu", "runnable", "throttled", "blocked"].iter().map(|doing| spent(call, doing)).sum();
    let server = call["phases_ms"]["server"].as_f64().expect("the server's part");
    // The two are seen at the two ends of a connection of this node.
    assert!((sum - server).abs() < 1.0_f64.max(server / 100.0), "{sum} of {server}: {call:#}");
}

#[test]
fn a_server_that_spins_one_that_sleeps_and_one_that_is_throttled() {
    // Made first, dropped last: a group with a process in it stays, and those of the stage end with it.
    let group = Group::limited("observer-server-time", QUOTA_US);
    let stage = stage();
    let (limited, _free) =
        (server(&stage, (LOOPBACK, 8461), None, &[]), server(&stage, (LOOPBACK, 8462), None, &[]));
    group.takes(&limited);
    let named = ["--webhook", "127.0.0.1:8461,name=limited", "--webhook", "127.0.0.1:8462,name=free"];
    let watch = Run::of(&[&["run", "--probes", SIGHT][..], &named].concat());

    // Whose the sockets are is known after the first call.
    for port in [8461, 8462] {
        let first = call(&watch, &stage, port, &format!("/first{port}"));
        assert!(first["server_time_ms"].is_null(), "{first:#}");
    }

    let spins = call(&watch, &stage, 8462, "/spin/300");
    // Interrupts that a thread is charged with may be handled before it is switched to.
    assert!((270.0..=330.0).contains(&spent(&spins, "on_cpu")), "{spins:#}");
    assert_eq!(spent(&spins, "throttled"), 0.0, "{spins:#}");
    let sleeps = call(&watch, &stage, 8462, "/slow/400");
    assert!(spent(&sleeps, "blocked") >= 395.0, "{sleeps:#}");
    assert_eq!(spent(&sleeps, "throttled"), 0.0, "{sleeps:#}");

    let before = group.throttled_ms();
    let throttled = call(&watch, &stage, 8461, "/spin/60");
    let counted = group.throttled_ms() - before;
    assert!(counted > 3.0 * PERIOD_MS, "the limit has not worked: {counted}");
    // On several CPUs at once the kernel counts each; this process has one busy thread. What is left of the period in
    // which it answers comes later.
    let told = spent(&throttled, "throttled");
    assert!((told - counted).abs() <= PERIOD_MS, "{told} of {counted}: {throttled:#}");
    assert!((55.0..=90.0).contains(&spent(&throttled, "on_cpu")), "{throttled:#}");

    let idle = call(&watch, &stage, 8461, "/slow/200");
    assert!(spent(&idle, "blocked") >= 195.0 - PERIOD_MS, "{idle:#}");
    for call in [&spins, &sleeps, &throttled, &idle] {
        adds_up(call);
    }
    let seen = watch.end();
    assert_eq!(seen.lost(), 0);
}

#[test]
fn waits_for_cpus_and_stolen_time_are_counted() {
    let watch = Run::of(&["run", "--probes", "cpu", "--interval", "2s"]);
    let stats = watch.wait_for("the node", |object| object["type"] == "stats" && object["probe"] == "node");
    let number = |field: &str| stats[field].as_f64().unwrap_or_else(|| panic!("no {field}: {stats:#}"));
    assert!(number("run_queue_waits") > 0.0 && number("run_queue_p99_ms") >= number("run_queue_p50_ms"));
    assert!((0.0..=100.0).contains(&number("steal_percent")), "{stats:#}");
    let seen = watch.end();
    let health = seen.of_type("health").last().expect("health");
    let cpu = health["probes"].as_array().expect("probes").iter().find(|probe| probe["name"] == "cpu");
    assert_eq!(cpu.expect("cpu")["status"], "attached");
}
