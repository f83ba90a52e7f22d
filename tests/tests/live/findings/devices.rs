//! What is concluded of block devices that are slow, have too much to do or do nothing at all, and of components that
//! wait for them; and nothing about a device that only its users' limits keep from being asked.

use std::{fs, path::PathBuf};

use observer_tests::rig::{
    Stage,
    disk::{Disk, Limit},
    engines::skip,
    stage,
    verdict::{Verdicts, only, quiet},
    watch::Seen,
    workload,
};
use serde_json::Value;

/// What others on this machine do is of no interest here.
const PROBES: &str = "process,stdio,hardware";

const NO_LIMITS: &str = "this machine has no control groups that limit requests to devices (v1)";

/// What keeps the cluster's state, by the name of its process, and what is concluded of it. STAND-IN: a program of that name.
const ETCD: (&str, &str) = ("etcd", "etcd-unreachable/slow-disk proved");
const K3S: (&str, &str) = ("k3s-server", "control-plane-overloaded/datastore proved");
const ROWS: [&str; 2] = ["etcd-unreachable", "control-plane-overloaded"];

/// The workload.
fn program(stage: &Stage) -> PathBuf {
    workload::static_program("disk", &stage.path(""))
}

/// The same by another name.
fn named(stage: &Stage, (name, _): (&str, &str)) -> PathBuf {
    let copy = stage.path(name);
    fs::copy(stage.path("disk"), &copy).expect("a copy");
    copy
}

fn at(device: &str) -> String {
    format!("/dev/{device}")
}

/// What is concluded of such a process.
fn of(seen: &Seen, process: (&str, &str)) -> Vec<String> {
    let told = seen.of_type("finding").filter(|finding| is_of(finding, process));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    told.filter(|finding| finding["status"] == "open")
        .map(|finding| {
            format!("{}/{} {}", text(finding, "id"), text(finding, "cause"), text(finding, "grade"))
        })
        .collect()
}

fn is_of(object: &Value, (process, _): (&str, &str)) -> bool {
    object["type"] == "finding" && object["subject"]["process"]["comm"] == process
}

#[test]
fn devices_that_keep_their_users_waiting() {
    const TEST: &str = "devices_that_keep_their_users_waiting";
    let stage = stage();
    let program = program(&stage);
    let Some(mut slow) = Disk::slow("slow", Limit::Requests(5)) else { return skip(TEST, NO_LIMITS) };
    let mut busy = Disk::slow("busy", Limit::Requests(50)).expect("another one");
    let mut stuck = Disk::slow("stuck", Limit::Byte).expect("a third one");
    let verdicts = Verdicts::begin_of(&stage, "storage-slow", &ROWS, &["--probes", PROBES]);

    for keeper in [ETCD, K3S] {
        slow.runs(&named(&stage, keeper), &["sync", &at(&slow.upper)]);
    }
    busy.runs(&program, &["read", &at(&busy.upper), "16"]);
    stuck.runs(&program, &["read", &at(&stuck.upper), "1"]);
    for disk in [&slow, &busy, &stuck] {
        verdicts.awaits("storage-slow", &disk.upper);
    }
    for keeper in [ETCD, K3S] {
        verdicts.run.wait_for("a slow disk of who keeps the state", |object| is_of(object, keeper));
    }
    let seen = verdicts.end();

    only(&seen, &slow.upper, "storage-slow/device-slow proved");
    only(&seen, &busy.upper, "storage-slow/saturated proved");
    only(&seen, &stuck.upper, "storage-slow/stuck proved");
    for keeper in [ETCD, K3S] {
        assert_eq!(of(&seen, keeper), [keeper.1]);
    }
    let waits = |device: &str| {
        let is_of_it = |event: &&Value| event["probe"] == "io" && event["device"] == device;
        seen.of_type("event").filter(is_of_it).collect::<Vec<_>>()
    };
    assert!(!waits(&slow.upper).is_empty(), "each request is held back for 200 ms");
    assert!(waits(&slow.upper).iter().all(|wait| wait["latency_ms"].as_f64() >= Some(100.0)));
    // What they are made of is as fast as ever.
    assert_eq!(waits(&slow.lower), [&Value::Null; 0]);
    [&slow, &busy, &stuck].iter().for_each(|disk| quiet(&seen, &disk.lower));
}

#[test]
fn a_device_whose_users_are_limited_is_not_slow() {
    const TEST: &str = "a_device_whose_users_are_limited_is_not_slow";
    let stage = stage();
    let program = program(&stage);
    let Some(mut disk) = Disk::slow("limited", Limit::Requests(20)) else { return skip(TEST, NO_LIMITS) };
    let verdicts = Verdicts::begin_of(
        &stage,
        "storage-slow-not-limited",
        &ROWS,
        &["--probes", PROBES, "--interval", "6s"],
    );
    disk.runs(&program, &["read", &at(&disk.lower), "8"]);
    // In memory: there is nothing to wait for.
    for keeper in [ETCD, K3S] {
        disk.runs(&named(&stage, keeper), &["sync", "/dev/shm/not-on-any-disk"]);
    }
    let mut times = 0;
    verdicts.run.wait_for("requests to it, for some time", |object| {
        let block = object["block_devices"].as_array();
        let was_asked = |of: &Value| of["device"] == disk.lower.as_str() && of["waited"].as_u64() >= Some(50);
        times += u32::from(block.is_some_and(|all| all.iter().any(was_asked)));
        times == 3
    });
    let seen = verdicts.end();
    let _ = fs::remove_file("/dev/shm/not-on-any-disk");
    quiet(&seen, &disk.lower);
    for keeper in [ETCD, K3S] {
        assert_eq!(of(&seen, keeper), [""; 0]);
    }
}
