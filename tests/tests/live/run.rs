//! `observer run` on real containers: their lives as events, their starts, counts; and its recording.

use std::{path::Path, process::Command};

use observer_tests::rig::{
    Bundle, Stage, program,
    run::Run,
    stage,
    watch::{Seen, observer},
};
use serde_json::Value;

/// Runs a container to its end, whatever that is.
fn live(stage: &Stage, name: &str, args: &[&str]) -> String {
    let id = format!("{name}-{}", stage.id());
    let bundle = Bundle::new(args).write(stage, &id).expect("bundle");
    stage.runtime(program("crun")).run(&bundle).expect("crun");
    id
}

/// What happened to a container: action, exit code and signal.
fn told<'a>(seen: &'a Seen, id: &str) -> Vec<(&'a str, Option<i64>, Option<i64>)> {
    seen.of_type("event")
        .filter(|event| event["probe"] == "runtime" && event["container"]["id"] == id)
        .map(|event| {
            (event["action"].as_str().expect("a name"), event["exit_code"].as_i64(), event["signal"].as_i64())
        })
        .collect()
}

fn replay(recording: &Path, more: &[&str]) -> String {
    let replayed = Command::new(observer())
        .arg("replay")
        .arg(recording)
        .args(["-o", "json"])
        .args(more)
        .output()
        .expect("observer");
    String::from_utf8(replayed.stdout).expect("text")
}

#[test]
fn lives_are_told_and_replay_to_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("run.rec");
    let stage = stage();
    let watch = Run::of(&["run", "--ready-wait", "1s", "--record", recording.to_str().expect("a path")]);
    let fine = live(&stage, "fine", &["/bin/echo", "hello"]);
    let failing = live(&stage, "failing", &["/bin/sh", "-c", "exit 3"]);
    let killed = live(&stage, "killed", &["/bin/sh", "-c", "sh -c 'kill -9 1' & sleep 5"]);
    let nothing = live(&stage, "nothing", &["/bin/nothing"]);
    let seen = watch.end();
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);

    assert_eq!(told(&seen, &fine), [("create", None, None), ("start", None, None), ("exit", Some(0), None)]);
    assert_eq!(told(&seen, &failing).last(), Some(&("exit", Some(3), None)));
    assert_eq!(told(&seen, &nothing).iter().filter(|(action, ..)| *action == "start").count(), 0);
    // The first process of a pid namespace takes no signal from inside, not even this one.
    assert_eq!(told(&seen, &killed).last(), Some(&("exit", Some(0), None)));
    for id in [&fine, &failing, &killed, &nothing] {
        assert_eq!(seen.starts_of(id).len(), 1, "{id}");
    }
    let summary = seen.last("summary");
    assert!(summary["containers"].as_u64() >= Some(4), "{summary}");
    assert!(summary["events"]["runtime"].as_u64() >= Some(11), "{summary}");
    let counted: u64 = seen
        .of_type("stats")
        .filter(|stats| stats["probe"] == "coldstart")
        .filter_map(|stats| stats["count"].as_u64())
        .sum();
    assert_eq!(Some(counted), summary["starts"].as_u64(), "every start is counted in one interval");

    assert_eq!(replay(&recording, &[]), seen.stdout);
    let few = replay(&recording, &["--show", "runtime", "-c", &fine]);
    let kinds: Vec<Value> = few.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(kinds.iter().all(|object| object["type"] == "event" || object["type"] == "summary"), "{few}");
    assert_eq!(kinds.len(), 4, "{few}");
}

#[test]
fn what_is_shown_is_what_was_asked_for_and_the_recording_remembers() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("run.rec");
    let stage = stage();
    let path = recording.to_str().expect("a path");
    let watch = Run::of(&["run", "--show", "runtime", "--record", path, "--ready-wait", "1s"]);
    let id = live(&stage, "shown", &["/bin/true"]);
    let seen = watch.end();
    assert_eq!(seen.events_of("runtime", &id).count(), 3, "{}", seen.stdout);
    assert_eq!(seen.of_type("coldstart").count() + seen.of_type("health").count(), 0, "{}", seen.stdout);
    assert_eq!(replay(&recording, &[]), seen.stdout);
    assert!(replay(&recording, &["--show", "coldstart"]).contains(r#""type":"coldstart""#));
}

#[test]
fn a_filter_without_a_match_is_told_by_the_exit_code_of_a_run_with_an_end() {
    let run = |more: &[&str]| {
        let mut command = Command::new(observer());
        command.args(["run", "-n", "no-such-namespace", "-o", "json"]).args(more);
        command.output().expect("observer").status.code()
    };
    assert_eq!(run(&["--for", "200ms"]), Some(4));
    let endless = Run::of(&["run", "-n", "no-such-namespace"]).end();
    assert_eq!(endless.code, Some(0), "it might yet have matched");
    assert_eq!(run(&["--show", "nothing-such"]), Some(2));
    assert_eq!(run(&["--probes", "nothing-such"]), Some(2));
}
