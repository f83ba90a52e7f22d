//! Options from a file, read again while the observer runs; and what it gives up, and takes up again, to keep within its
//! budget.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use observer_tests::rig::{
    Bundle, Ran, Stage,
    run::Run,
    stage,
    stdio::{Container, Streams, drain, until},
    watch::observer,
    webhook::{Certificate, SIGHT, curl, keeps, server},
    workload,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// In this order.
const GIVEN_UP: [&str; 4] = ["text", "storage", "stdio", "dns"];
/// What an idle observer keeps well within, on a slow machine too, and an overload does not.
const BUDGET: &str = "budget = 'cpu=15%,for=600ms'\n";

struct Config(PathBuf);

impl Config {
    fn new(stage: &Stage, text: &str) -> Config {
        let config = Config(stage.path("observer.toml"));
        config.set(text);
        config
    }

    fn set(&self, text: &str) {
        fs::write(&self.0, text).expect("a file");
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path")
    }

    /// Has it read again; what is said of that.
    fn again(&self, run: &Run, text: &str, says: &str) -> String {
        self.set(text);
        run.signal(Signal::HUP);
        run.says(says, |line| line.contains(says).then(|| line.to_owned()))
    }
}

/// A container that says what a keyword is in; its id, when it has ended.
fn says(stage: &Stage, name: &str) -> String {
    let (streams, out) = Streams::piped();
    let reader = drain(out, 4_096, Duration::ZERO);
    let bundle = Bundle::new(&["/bin/sh", "-c", "echo wasm trap: out of bounds memory access; sleep 0.2"]);
    let mut container = Container::of(stage, name, bundle, streams);
    assert_eq!(container.ends(), 0);
    reader.join().expect("a reader");
    container.id
}

/// Containers that connect as often as they can: what follows connections is not given up. As many as get their share
/// of a busy machine.
fn overload(stage: &Stage) -> Vec<Container> {
    let program =
        fs::read(workload::static_program("dials", &stage.path(""))).expect("the workload just built");
    let begin = |n: u32| {
        let bundle = Bundle::new(&["/bin/dials", "/stop"]).file("bin/dials", &program).host_network();
        Container::of(stage, &format!("load{n}"), bundle, Streams::null())
    };
    (0..3).map(begin).collect()
}

/// How the probes of interest are, by an object of health.
fn statuses(health: &Value) -> Vec<(String, String)> {
    let probes = health["probes"].as_array().expect("probes");
    let of = |name: &str| probes.iter().find(|probe| probe["name"] == name).expect("a probe");
    let status = |name: &str| of(name)["status"].as_str().expect("a status").to_owned();
    GIVEN_UP.iter().map(|name| ((*name).to_owned(), status(name))).collect()
}

/// Whether so many of them are given up, and the others are there.
fn has_given_up(object: &Value, count: usize) -> bool {
    object["type"] == "health"
        && statuses(object).iter().enumerate().all(|(at, (_, status))| {
            let is_off = status == "off";
            is_off == (at < count) && (is_off || status != "failed")
        })
}

#[test]
fn an_overload_is_answered_in_order_and_what_was_given_up_comes_back() {
    let stage = stage();
    let config = Config::new(&stage, "show = 'health,runtime,stdio,text'\n");
    let run = Run::begin(&stage, &["--config", config.path()]);
    let again = "options were read again";
    let said = config.again(&run, &format!("{BUDGET}show = 'health,runtime,stdio,text'\n"), again);
    assert!(said.ends_with("options were read again: --budget"), "{said}");

    let load = overload(&stage);
    let mut seen = Vec::new();
    for count in 1..=GIVEN_UP.len() {
        let health = run.wait_for(&format!("{count} given up"), |object| has_given_up(object, count));
        seen.push(health["time"].as_str().expect("a time").to_owned());
        assert!(health["self"]["bpf_run_ns"].as_u64() > Some(0), "{health:#}");
    }
    assert!(seen.is_sorted(), "one after the other: {seen:?}");
    run.says("nothing more to give up", |line| line.contains("nothing more to give up").then_some(()));
    let unheard = says(&stage, "unheard");
    let last = run.stream_ends(&unheard, 1);
    assert_eq!((&last["outcome"], &last["written_bytes"]), (&json!("unknown"), &Value::Null), "{last:#}");

    for mut one in load {
        one.release("stop");
        assert_eq!(one.ends(), 0);
    }
    let mut back = Vec::new();
    for count in (0..GIVEN_UP.len()).rev() {
        let health = run.wait_for(&format!("{count} given up, after the load"), |object| {
            has_given_up(object, count) && object["time"].as_str() > seen.last().map(String::as_str)
        });
        back.push(health["time"].as_str().expect("a time").to_owned());
    }
    assert!(back.is_sorted(), "one after the other: {back:?}");
    run.catches_up(&stage);
    let heard = says(&stage, "heard");
    let last = run.stream_ends(&heard, 1);
    assert_eq!(last["outcome"], "delivered", "{last:#}");
    run.wait_for("its line", |object| object["probe"] == "text" && object["container"]["id"] == *heard);
    let seen = run.end();
    assert_eq!(seen.events_of("text", &unheard).count(), 0, "nobody listened");
    assert_eq!(seen.code, Some(3), "less was measured: {}", seen.stderr);
    let missed = seen.last("summary")["not_measured"].to_string();
    assert!(
        GIVEN_UP.iter().all(|name| missed.contains(&format!("probe {name} was given up for"))),
        "{missed}"
    );
}

fn replay(recording: &Path) -> String {
    let replayed = Command::new(observer())
        .arg("replay")
        .arg(recording)
        .args(["-o", "json"])
        .output()
        .expect("observer");
    String::from_utf8(replayed.stdout).expect("text")
}

#[test]
fn what_may_change_does_and_what_may_not_is_named() {
    let stage = stage();
    let recording = stage.path("run.rec");
    let before = format!("record = '{}'\nring = '4MiB'\n", recording.display());
    let config = Config::new(&stage, &before);
    let run = Run::begin(&stage, &["--config", config.path()]);
    let first = says(&stage, "first");
    run.stream_ends(&first, 1);

    let said = config.again(&run, "namspace = 'shop'\n", "options stay as they were");
    assert!(
        said.contains("observer.toml:1: there is no option \"namspace\"; the nearest is \"namespace\""),
        "{said}"
    );
    let said = config.again(&run, "catalogue = '/no/such'\n", "stay as they were: the catalogue");
    assert!(said.contains("/no/such"), "{said}");

    let only = format!("container = ['kept-{}']\n", stage.id());
    let after = format!("{}{only}", before.replace("4MiB", "8MiB"));
    let said = config.again(&run, &after, "options were read again: ");
    assert!(said.ends_with("--container"), "{said}");
    run.says("what stays", |line| line.contains("--ring stays as it was until a restart").then_some(()));
    let (other, kept) = (says(&stage, "other"), says(&stage, "kept"));
    run.stream_ends(&kept, 1);

    let all = format!("{}interval = '20s'\n", before.replace("4MiB", "8MiB"));
    config.again(&run, &all, "options were read again: --container, --interval");
    let last = says(&stage, "last");
    run.stream_ends(&last, 1);
    let seen = run.end();
    for (id, is_told) in [(&first, true), (&other, false), (&kept, true), (&last, true)] {
        assert_eq!(seen.of_stream(id, 1).is_empty(), !is_told, "{id}");
    }
    assert_eq!(replay(&recording), seen.stdout, "the same options at the same moments");
}

#[test]
fn webhooks_are_those_that_are_named_last() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _servers = [8471, 8472, 8473].map(|port| server(&stage, ("127.0.0.1", port), Some(&own), &[]));
    let recording = stage.path("run.rec");
    let named = |webhooks: &str| format!("record = '{}'\nwebhook = [{webhooks}]\n", recording.display());
    let config = Config::new(&stage, &named("'127.0.0.1:8471,name=goes', '127.0.0.1:8472,name=stays'"));
    let run = Run::attached(&["--config", config.path(), "--probes", SIGHT]);
    let (mark, go) = (stage.path("mark"), stage.path("go"));
    let steps =
        ["post:/fast".to_owned(), format!("mark:{}", mark.display()), format!("wait:{}", go.display())];
    let steps: Vec<&str> = steps.iter().map(String::as_str).chain(["post:/fast"]).collect();
    let client = keeps(&stage, ("127.0.0.1", 8471), &own, "3", &steps);
    until("a kept connection", || mark.exists().then_some(()));
    run.call("goes", "answered");

    let calls = |port| assert_eq!(curl(&stage, &own, port, &["/fast"], &[]).code(), 0, "{port}");
    config.again(
        &run,
        &named("'127.0.0.1:8472,name=stays', '127.0.0.1:8473,name=comes'"),
        "read again: --webhook",
    );
    until("the new one", || {
        calls(8473);
        run.has_said(|object| object["name"] == "comes").then_some(())
    });
    // What goes on with the one that is gone, and begins there, is nobody's affair any more.
    fs::write(go, "").expect("a file");
    let said = client.finish().and_then(Ran::success).expect("the client").stdout;
    assert_eq!(said.matches("/fast 200").count(), 2, "{said}");
    calls(8471);
    calls(8472);
    run.call("stays", "answered");
    let seen = run.end();
    assert_eq!(["goes", "stays"].map(|name| seen.calls_of(name).len()), [1, 1], "{}", seen.stdout);
    assert_eq!(replay(&recording), seen.stdout, "the same webhooks at the same moments");
}

#[test]
fn types_may_be_in_a_file_of_ones_own_if_they_are_this_kernels() {
    let stage = stage();
    let types = stage.path("vmlinux");
    fs::copy("/sys/kernel/btf/vmlinux", &types).expect("the kernel's types");
    let at = types.to_str().expect("a path");
    let run = Run::begin(&stage, &["--btf", at]);
    let id = says(&stage, "typed");
    assert_eq!(run.stream_ends(&id, 1)["outcome"], "delivered");
    run.end().nothing_was_lost();
    fs::write(&types, "no types").expect("a file");
    let refused =
        Command::new(observer()).args(["run", "--socket", "off", "--btf", at]).output().expect("observer");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("not the types of the running kernel") && said.contains("--btf"), "{said}");
}

#[test]
fn a_hangup_without_a_file_ends_it_and_a_wrong_file_is_wrong_usage() {
    let stage = stage();
    let config = Config::new(&stage, "for = 'long'\n");
    let refused =
        Command::new(observer()).args(["run", "--config", config.path()]).output().expect("observer");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("observer.toml:1: invalid value 'long' for '--for <DURATION>'"), "{said}");
    let run = Run::attached(&[]);
    run.signal(Signal::HUP);
    let gone =
        || (!Path::new(&format!("/proc/{}/exe", run.pid())).exists() || is_zombie(run.pid())).then_some(());
    until("its end", gone);
}

fn is_zombie(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}
