//! Once attached, the observer has no more rights than it still needs, in all of its threads; and whatever it started
//! before that has its own.

use std::{collections::BTreeMap, fs, process::Command};

use observer::privileges::{CapabilitySet, may_attach_to_libraries};
use observer_tests::rig::{
    Bundle, program,
    run::Run,
    stage,
    stdio::until,
    watch::{Watch, observer},
};

const DAC_OVERRIDE: u64 = 1 << 1;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF.
const NEEDED: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39;

/// And CAP_SYS_ADMIN where the kernel wants it for uprobes, which are attached when their files are found.
fn needed() -> u64 {
    let without = CapabilitySet::all() - CapabilitySet::SYS_ADMIN;
    if may_attach_to_libraries(without) { NEEDED } else { NEEDED | SYS_ADMIN }
}

/// Of a thread or process: its sets by their names.
fn rights(status: &str) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(status).unwrap_or_else(|error| panic!("{status}: {error}"));
    let set = |line: &str| -> Option<(String, u64)> {
        let (name, value) = line.split_once(":\t")?;
        (name.starts_with("Cap") || name == "NoNewPrivs")
            .then(|| Some((name.to_owned(), u64::from_str_radix(value.trim(), 16).ok()?)))?
    };
    text.lines().filter_map(set).collect()
}

/// Those of each thread, by its name and number.
fn of_threads(pid: u32) -> BTreeMap<String, BTreeMap<String, u64>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten();
    let paths = tasks.map(|task| task.path().display().to_string());
    paths
        .filter_map(|path| {
            let name = fs::read_to_string(format!("{path}/comm")).ok()?;
            Some((format!("{} {path}", name.trim()), rights(&format!("{path}/status"))))
        })
        .collect()
}

fn given_up(pid: u32) {
    until("the rights to be given up", || {
        (rights(&format!("/proc/{pid}/status"))["NoNewPrivs"] == 1).then_some(())
    });
}

#[test]
fn what_is_not_needed_any_more_is_given_up_by_every_thread() {
    let stage = stage();
    let needed = needed();
    let before = rights("/proc/self/status");
    assert_ne!(before["CapEff"] & NET_ADMIN, 0, "this test is run with them");
    let recording = stage.path("recording/");
    let socket = stage.path("observer.sock");
    let run = Run::attached(&[
        "--record",
        recording.to_str().expect("a path"),
        "--socket",
        socket.to_str().expect("a path"),
        "--metrics",
        "127.0.0.1:0",
        "--otlp-listen",
        "127.0.0.1:0",
        "--otlp",
        "http://127.0.0.1:1",
    ]);
    given_up(run.pid());
    // Whoever looks something up may start a thread; a start makes some be looked up.
    let bundle =
        Bundle::new(&["/bin/echo", "hello"]).write(&stage, &format!("seen-{}", stage.id())).expect("bundle");
    stage.runtime(program("crun")).run(&bundle).expect("crun").success().expect("crun");
    let start = run.wait_for("the start", |object| {
        object["type"] == "coldstart" && object["container"]["id"] == *bundle.id
    });
    // Its runtime was asked by a program that this process started with what it had left.
    assert!(start["container"]["runtime_version"].is_string(), "{start:#}");
    let threads = of_threads(run.pid());
    // As far as the kernel keeps them: 15 letters.
    let names: Vec<&str> = threads.keys().filter_map(|name| name.split(" /").next()).collect();
    for name in ["observer", "recorder", "observer-metric", "observer-otlp", "observer-otlp-i"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    for (name, sets) in &threads {
        for set in ["CapEff", "CapPrm"] {
            let more = sets[set] & !needed;
            assert_eq!(more, 0, "{name} has {set} {more:#x} more than it needs");
        }
        assert_eq!((sets["CapInh"], sets["CapAmb"], sets["NoNewPrivs"]), (0, 0, 1), "{name}");
        if before["CapEff"] & 1 << 8 != 0 {
            assert_eq!(sets["CapBnd"] & !needed, 0, "{name}: what it executes could have more");
        }
        if name.starts_with("observer-") || name.starts_with("recorder") {
            assert_eq!(sets["CapEff"], 0, "{name} looks at nothing");
        }
    }
    let seen = run.end();
    assert!(!seen.stderr.contains("cannot be given up"), "{}", seen.stderr);
    seen.nothing_was_lost();
}

#[test]
fn where_only_a_right_lets_root_write_it_is_kept_and_used() {
    let stage = stage();
    let folder = stage.path("of-somebody-else");
    fs::create_dir(&folder).expect("a folder");
    let somebody = Some(rustix::fs::Uid::from_raw(12_345));
    rustix::fs::chown(&folder, somebody, None).expect("its owner");
    let page = folder.join("page.html");
    let watch = Watch::with(&["--ready-wait", "1s", "--html", page.to_str().expect("a path")]);
    given_up(watch.pid());
    let main = rights(&format!("/proc/{}/status", watch.pid()));
    assert_eq!(main["CapEff"], needed() | DAC_OVERRIDE);
    let ended = watch.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(fs::read_to_string(&page).expect("the page").contains("</html>"));
}

#[test]
fn a_command_has_all_the_rights_that_there_were() {
    let script = "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status >&2";
    let out = Command::new(observer())
        .args(["coldstart", "--socket", "off", "--", "/bin/sh", "-c", script])
        .output()
        .expect("observer");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let own = rights("/proc/self/status");
    assert!(said.contains(&format!("CapEff:\t{:016x}", own["CapEff"])), "{said}");
    assert!(said.contains("NoNewPrivs:\t0"), "{said}");
}
