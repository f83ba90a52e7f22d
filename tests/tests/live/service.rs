//! An observer that runs answers about the past, and nobody who asks attaches anything; killed, it loses no more than the
//! end of what it was writing, and says so.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::senders::{listens, send};
use observer_tests::rig::{Bundle, Stage, program, run::Run, stage, stdio::until, watch::observer};
use rustix::process::Signal;
use serde_json::{Value, json};

fn observed(words: &[&str]) -> Output {
    Command::new(observer()).args(words).output().expect("observer")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The answer, which is from the observer that runs: whoever asked has attached nothing.
fn described(who: &str, socket: &str) -> (Value, Option<i32>) {
    let out = observed(&["describe", who, "--socket", socket, "-o", "json"]);
    let (said, told) = (text(&out.stderr), text(&out.stdout));
    assert!(!said.contains("attached"), "{said}");
    (serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}{said}")), out.status.code())
}

struct Places {
    socket: String,
    recording: String,
}

fn places(stage: &Stage) -> Places {
    let text = |path: PathBuf| path.to_str().expect("a path").to_owned();
    Places { socket: text(stage.path("observer.sock")), recording: text(stage.path("recording")) + "/" }
}

fn serving(places: &Places) -> Run {
    serving_with(places, &[])
}

fn serving_with(places: &Places, more: &[&str]) -> Run {
    let options = ["--socket", &places.socket, "--record", &places.recording, "--record-limit", "64MiB"];
    let run = Run::attached(&[&options[..], more].concat());
    until("the socket", || Path::new(&places.socket).exists().then_some(()));
    run
}

/// A container that ends with 3, and is gone.
fn one_that_ends(stage: &Stage, run: &Run, name: &str) -> String {
    let bundle = Bundle::new(&["/bin/sh", "-c", "echo so long; exit 3"]).write(stage, name).expect("bundle");
    let ran = stage.runtime(program("crun")).run(&bundle).expect("crun");
    assert_eq!(ran.status.code(), Some(3), "{}", ran.stderr);
    run.wait_for("its end", |object| object["container"]["id"] == *bundle.id && object["action"] == "exit");
    bundle.id
}

#[test]
fn the_past_is_told_by_who_was_there() {
    let stage = stage();
    let places = places(&stage);
    let run = serving(&places);
    let id = one_that_ends(&stage, &run, &format!("gone-{}", stage.id()));
    run.wait_for("its start", |object| object["type"] == "coldstart" && object["container"]["id"] == *id);

    let (told, code) = described(&id, &places.socket);
    assert_eq!(
        (&told["known"], &told["source"], code),
        (&json!("gone"), &json!("observer"), Some(0)),
        "{told:#}"
    );
    let it = &told["containers"][0];
    assert_eq!((&it["exits"][0]["code"], &it["condition"]), (&json!(3), &json!("exited")), "{it:#}");
    assert!(it["coldstart"]["total_ms"].as_f64() > Some(0.0), "{it:#}");
    assert!(told["said"].as_str().is_some_and(|said| said.contains("exit status 3")), "{told:#}");
    let (never, code) = described("shop/never", &places.socket);
    assert_eq!((&never["known"], code), (&json!("never-seen"), Some(4)), "{never:#}");

    let report = observed(&["report", "--last", "10m", "--socket", &places.socket]);
    let page = text(&report.stdout);
    assert_eq!(report.status.code(), Some(0), "{}", text(&report.stderr));
    assert!(page.contains("ended with exit status 3"), "{page}");

    let second = observed(&["run", "--for", "1s", "--socket", &places.socket, "--standalone"]);
    let said = text(&second.stderr);
    assert!(said.contains("paid twice") && said.contains("no questions are answered"), "{said}");
    assert!(Path::new(&places.socket).exists(), "it is not the second one's to remove");
    let seen = run.end();
    assert!(!Path::new(&places.socket).exists(), "it goes with its observer");
    seen.nothing_was_lost();
}

#[test]
fn who_follows_sees_the_same_and_attaches_nothing() {
    let stage = stage();
    let places = places(&stage);
    let run = serving(&places);
    one_that_ends(&stage, &run, &format!("before-{}", stage.id()));
    let follower = Run::of(&["run", "--socket", &places.socket]);
    let id = one_that_ends(&stage, &follower, &format!("followed-{}", stage.id()));

    let bundle =
        Bundle::new(&["/bin/echo", "hello"]).write(&stage, &format!("cold-{}", stage.id())).expect("bundle");
    let crun = program("crun");
    let command = stage.runtime(crun).run_command(&bundle);
    let mut words: Vec<&str> =
        vec!["coldstart", "--socket", &places.socket, "-o", "json", "--ready-wait", "1s", "--"];
    let typed: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_str().expect("text").to_owned())
        .collect();
    words.extend(typed.iter().map(String::as_str));
    let cold = observed(&words);
    let (told, said) = (text(&cold.stdout), text(&cold.stderr));
    assert!(said.contains("nothing is attached") && !said.contains("families"), "{said}");
    let is_it = |line: &&str| line.contains("\"coldstart\"") && line.contains(&bundle.id);
    assert_eq!(told.lines().filter(is_it).count(), 1, "{told}{said}");

    let (followed, seen) = (follower.end(), run.end());
    assert!(followed.stderr.contains("nothing is attached"), "{}", followed.stderr);
    // The same of the same start, by the same records.
    assert_eq!(followed.start(&id), seen.start(&id));
    followed.nothing_was_lost();
    seen.nothing_was_lost();
}

#[test]
fn one_that_is_killed_leaves_what_it_had_written() {
    let stage = stage();
    let places = places(&stage);
    let run = serving(&places);
    let id = one_that_ends(&stage, &run, &format!("gone-{}", stage.id()));
    // On disk once a later report of it is.
    until("the recording", || {
        let report = text(&observed(&["report", &places.recording]).stdout);
        report.contains("ended with exit status 3").then_some(())
    });
    run.signal(Signal::KILL);
    drop(run);
    let replayed = observed(&["replay", &places.recording, "--show", "runtime", "-o", "json"]);
    let said = text(&replayed.stderr);
    assert!(said.contains("is cut at byte"), "{said}");
    let ended = text(&replayed.stdout).lines().any(|line| line.contains(&id) && line.contains("\"exit\""));
    assert!(ended, "{}", text(&replayed.stdout));

    // What was left behind of its socket keeps nobody from taking its place, and is never taken for an observer.
    assert!(Path::new(&places.socket).exists());
    let report = observed(&["report", "--last", "1m", "--socket", &places.socket]);
    assert_eq!(report.status.code(), Some(2), "{}", text(&report.stderr));
    let next = serving(&places);
    until("an answer", || {
        let out = observed(&["describe", "shop/never", "--socket", &places.socket, "-o", "json"]);
        (out.status.code() == Some(4) && !text(&out.stderr).contains("attached")).then_some(())
    });
    let both = observed(&["replay", &places.recording, "-o", "json"]);
    assert!(text(&both.stderr).contains("is cut at byte"), "still being written: {}", text(&both.stderr));
    next.end().nothing_was_lost();
}

/// A span of a container over the last minute.
fn span(trace: &str, container: &str) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let ended = jiff::Timestamp::now().as_nanosecond();
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "shop"), text("container.id", container)]},
        "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
            "traceId": trace, "spanId": &trace[..16], "name": format!("GET /{}", &trace[..2]), "kind": 2, "flags": 0x101,
            "startTimeUnixNano": (ended - 60_000_000_000).to_string(), "endTimeUnixNano": ended.to_string(),
        }]}],
    }]})
}

#[test]
fn a_trace_is_explained_by_who_was_there() {
    let stage = stage();
    let places = places(&stage);
    let run = serving_with(&places, &["--otlp-listen-http", "127.0.0.1:0"]);
    let to = listens(&run);
    let id = one_that_ends(&stage, &run, &format!("traced-{}", stage.id()));
    let [its, another, none] = ["1a", "2b", "3c"].map(|digits| digits.repeat(16));
    send(to, &span(&its, &id));
    send(to, &span(&another, "0123456789abcdef"));
    let explain = |trace: &str| {
        let words = ["explain", trace, "--last", "10m", "--socket", &places.socket, "-o", "json"];
        let out = observed(&words);
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    // Each once it is on disk.
    let explained = |trace: &str| -> Value {
        let told = until("the span", || Some(explain(trace)).filter(|(code, ..)| *code == Some(0)));
        assert!(!told.2.contains("attached"), "{}", told.2);
        serde_json::from_str(&told.1).unwrap_or_else(|error| panic!("{error}: {}", told.1))
    };
    let of_it = explained(&its);
    assert_eq!(of_it["hops"][0]["name"], "GET /1a", "{of_it:#}");
    let evidence = of_it["evidence"].as_array().expect("a list");
    let is_its = |told: &Value| told["join"] == "container" && told["text"] == "ended with exit status 3";
    assert!(evidence.iter().any(is_its), "{of_it:#}");
    // The same time, another container: what happened to the first one is not its.
    let of_another = explained(&another);
    assert_eq!(of_another["hops"][0]["name"], "GET /2b", "{of_another:#}");
    assert_eq!(of_another["evidence"], json!([]), "{of_another:#}");
    let (code, told, said) = explain(&none);
    assert_eq!((code, told.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("holds no span of trace"), "{said}");
    run.end().nothing_was_lost();
    let (code, _, said) = explain(&its);
    assert_eq!(code, Some(2), "nobody answers any more: {said}");
}
