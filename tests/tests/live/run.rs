//! `observer run` on real containers: their lives as events, their starts, counts; and its recording.

use std::{path::Path, process::Command};

use observer_tests::rig::{
    Bundle, Stage, program,
    run::Run,
    stage,
    watch::{Seen, observer},
};
use serde_json::{Value, json};

/// Runs a container to its end, whatever that is.
fn live(stage: &Stage, name: &str, args: &[&str]) -> String {
    let id = format!("{name}-{}", stage.id());
    let bundle = Bundle::new(args).write(stage, &id).expect("bundle");
    stage.runtime(program("crun")).run(&bundle).expect("crun");
    id
}

/// What happened to a container, besides the parts of its start: action, exit code and signal.
fn told<'a>(seen: &'a Seen, id: &'a str) -> Vec<(&'a str, Option<i64>, Option<i64>)> {
    seen.events_of("runtime", id)
        .filter(|event| event["action"] != "phase")
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
    let of_start = seen.start(&fine)["phases"].as_array().map_or(0, Vec::len);
    assert_eq!(kinds.len(), of_start + 4, "{few}");
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
    assert_eq!(told(&seen, &id).len(), 3, "{}", seen.stdout);
    assert_eq!(seen.of_type("coldstart").count() + seen.of_type("health").count(), 0, "{}", seen.stdout);
    assert_eq!(replay(&recording, &[]), seen.stdout);
    assert!(replay(&recording, &["--show", "coldstart"]).contains(r#""type":"coldstart""#));
}

#[test]
fn how_containers_are_made_and_taken_away() {
    let stage = stage();
    let run = Run::of(&["run", "--ready-wait", "1s"]);
    let fine = live(&stage, "made", &["/bin/echo", "hello"]);
    let id = format!("unmade-{}", stage.id());
    let unmade = Bundle::new(&["/bin/broken"]).file("bin/broken", b"#!/no/such/shell\n");
    let unmade = unmade.write(&stage, &id).expect("bundle");
    let crun = stage.runtime(program("crun"));
    crun.run(&unmade).expect("crun");
    let deleted = Bundle::new(&["/bin/true"]).write(&stage, &format!("deleted-{}", stage.id()));
    let deleted = deleted.expect("bundle");
    crun.create(&deleted).expect("crun").success().expect("create");
    crun.start(&deleted.id).expect("crun").success().expect("start");
    run.wait_for("its end", |told| told["container"]["id"] == *deleted.id && told["action"] == "exit");
    crun.delete(&deleted.id).expect("crun").success().expect("delete");
    run.wait_for("its deletion", |told| told["container"]["id"] == *deleted.id && told["action"] == "delete");
    let seen = run.end();

    let phases = |id| seen.events_of("runtime", id).filter(|event| event["action"] == "phase");
    for id in [&fine, &unmade.id] {
        let names: Vec<&Value> = phases(id).map(|event| &event["phase"]).collect();
        let parts = seen.start(id)["phases"].as_array().expect("a list");
        assert_eq!(names, parts.iter().map(|part| &part["name"]).collect::<Vec<_>>(), "{id}");
    }
    let failed = |id| phases(id).filter(|event| !event["errno"].is_null()).collect::<Vec<_>>();
    assert_eq!(failed(&fine), [&Value::Null; 0]);
    let [blamed] = failed(&unmade.id)[..] else { panic!("{}", seen.stdout) };
    assert_eq!((&blamed["phase"], &blamed["errno_name"]), (&json!("exec"), &json!("ENOENT")));

    let executed = |id| seen.events_of("exec", id).map(|event| (&event["exe"], &event["errno_name"]));
    assert_eq!(executed(&fine).collect::<Vec<_>>(), [(&json!("/bin/echo"), &Value::Null)]);
    assert_eq!(executed(&unmade.id).collect::<Vec<_>>(), [(&json!("/bin/broken"), &json!("ENOENT"))]);
    let gone = |id| told(&seen, id).iter().filter(|(action, ..)| *action == "delete").count();
    assert_eq!((gone(&deleted.id), gone(&fine)), (1, 0), "{}", seen.stdout);
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
