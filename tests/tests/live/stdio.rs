//! What containers say to their standard streams, and where it goes: real containers by crun, each beside one that
//! looks like it and must be told apart.

mod attach;
mod readers;
mod rigs;
mod writers;

use std::{thread, time::Duration};

use observer_tests::rig::{
    Stage, program,
    run::Run,
    stage,
    stdio::{Cat, Container, Streams, delivered, drain, expect, writer},
    verdict::findings,
};
use serde_json::{Value, json};

/// Longer than what the observer calls a long life, in ms.
const LONG: u64 = 6_000;

/// Runs one with a pipe for its standard output that is read at once; its id.
fn said(stage: &Stage, run: &Run, name: &str, words: &str, bytes: u64) -> String {
    let (streams, out) = Streams::piped();
    let reader = drain(out, 65_536, Duration::ZERO);
    let mut container = Container::begin(stage, name, words, streams);
    assert_eq!(container.ends(), 0, "{name}");
    assert_eq!(reader.join().expect("a reader"), bytes, "{name}");
    run.stream_ends(&container.id, 1);
    container.id
}

#[test]
fn all_is_delivered_to_whoever_reads() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let (streams, out, err) = Streams::pipes();
    let (mut out, mut err) = (Cat::begin(&stage, "out", out), Cat::begin(&stage, "err", err));
    let words = "write:1000x7 fd:2 write:300x5 mark:/said wait:/go fd:1 write:13";
    let mut healthy = Container::begin(&stage, "healthy", words, streams);
    healthy.reaches("said");
    run.catches_up(&stage);
    healthy.release("go");
    assert_eq!(healthy.ends(), 0);
    assert_eq!((out.ends(), err.ends()), (7_013, 1_500));
    let id = &healthy.id;
    for fd in [1, 2] {
        run.stream_ends(id, fd);
    }
    let seen = run.end();
    for (fd, bytes, reader) in [(1, 7_013, &out), (2, 1_500, &err)] {
        let event = seen.stream(id, fd, &[]);
        delivered(event, bytes);
        expect(event, &[("since", json!("start")), ("shared_with_fd", Value::Null)]);
        expect(&event["reader"], &[("pid", json!(reader.pid())), ("comm", json!("cat"))]);
        expect(&event["container"], &[("runtime", json!("crun"))]);
    }
    seen.nothing_was_lost();
}

/// The first process of a container ignores SIGTERM unless it asks for it.
#[test]
fn killed_before_it_had_written_all() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let crun = stage.runtime(program("crun"));
    let cases = [
        ("blocks", "print:100x50", &["TERM", "KILL"][..], 4_096, json!("likely")),
        ("silent", "print:100", &["TERM", "KILL"], 0, json!("possible")),
        // Look like the first: it was not asked to end, or wrote what is no block, or is no worse for it.
        ("unasked", "print:100x50", &["KILL"], 4_096, Value::Null),
        ("lines", "write:100x50", &["TERM", "KILL"], 5_000, Value::Null),
    ];
    let ids = cases.clone().map(|(name, words, signals, bytes, _)| {
        let (streams, out) = Streams::piped();
        let reader = drain(out, 65_536, Duration::ZERO);
        let words = format!("{words} mark:/said wait:/never");
        let mut container = Container::begin(&stage, name, &words, streams);
        container.reaches("said");
        for signal in signals {
            let kill = stage.run(crun.command("kill").args([&container.id, *signal]));
            kill.expect("crun").success().expect("kill");
        }
        assert_eq!(container.ends(), 137, "{name}");
        assert_eq!(reader.join().expect("a reader"), bytes, "{name}");
        run.stream_ends(&container.id, 1);
        container.id
    });
    let seen = run.end();
    for (id, (_, _, _, bytes, unflushed)) in ids.iter().zip(cases) {
        let fields = [("written_bytes", json!(bytes)), ("unflushed", unflushed)];
        expect(seen.stream(id, 1, &[]), &fields);
        assert_eq!(findings(&seen, id), [""; 0]);
    }
    seen.nothing_was_lost();
}

#[test]
fn redirected_by_the_payload() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let cases = [
        ("null", "open:/dev/null:1 write:100", 0, "redirected", json!("null")),
        ("file", "open:/tmp/log:1 write:100", 0, "redirected", json!("file")),
        ("closed", "close:1 sleep:50", 0, "redirected", json!("closed")),
        // Looks like it: to a file as well, or only after something was said.
        ("both", "open:/tmp/log:5 fd:5 write:100 fd:1 write:40", 40, "delivered", Value::Null),
        ("late", "write:40 open:/tmp/log:1 write:100", 40, "delivered", json!("file")),
    ];
    let ids = cases.clone().map(|(name, words, said, ..)| {
        let (streams, out) = Streams::piped();
        let reader = drain(out, 4096, Duration::ZERO);
        let mut container = Container::begin(&stage, name, words, streams);
        assert_eq!(container.ends(), 0, "{name}");
        assert_eq!(reader.join().expect("a reader"), said, "{name}");
        if ["file", "both", "late"].contains(&name) {
            assert_eq!(container.file("tmp/log").len(), 100, "{name}");
        }
        run.stream_ends(&container.id, 1);
        container.id.clone()
    });
    let seen = run.end();
    for (id, (_, _, said, outcome, now)) in ids.iter().zip(cases) {
        expect(
            seen.stream(id, 1, &[]),
            &[
                ("target", json!("pipe")),
                ("target_now", now),
                ("outcome", json!(outcome)),
                ("written_bytes", json!(said)),
                ("delivered_bytes", json!(said)),
                (
                    "why",
                    if said == 0 {
                        json!("it wrote nothing here and now refers to something else")
                    } else {
                        Value::Null
                    },
                ),
            ],
        );
        // Standard error was given /dev/null by whoever ran it.
        expect(seen.stream(id, 2, &[]), &[("target", json!("null")), ("outcome", json!("redirected"))]);
    }
    seen.nothing_was_lost();
}

#[test]
fn silent_and_a_single_byte() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let silent = said(&stage, &run, "silent", "sleep:100", 0);
    let hardly = said(&stage, &run, "hardly", "sleep:100 write:1", 1);
    let seen = run.end();
    expect(
        seen.stream(&silent, 1, &[]),
        &[
            ("outcome", json!("silent")),
            ("target_now", Value::Null),
            ("written_bytes", json!(0)),
            ("delivered_bytes", json!(0)),
        ],
    );
    delivered(seen.stream(&hardly, 1, &[]), 1);
    seen.nothing_was_lost();
}

#[test]
fn held_until_exit_and_told_in_between() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let cases = [
        ("held", format!("sleep:{LONG} write:3000")),
        ("between", format!("sleep:{} write:1 sleep:{} write:2999", LONG / 2, LONG / 2)),
        ("brief", "sleep:300 write:3000".to_owned()),
    ];
    writer(&stage); // once, not in each thread
    let (stage, run_of) = (&stage, &run);
    let ids = thread::scope(|scope| {
        let begin = |(name, words)| scope.spawn(move || said(stage, run_of, name, words, 3_000));
        let running = cases.each_ref().map(|(name, words)| begin((*name, words.as_str())));
        running.map(|run| run.join().expect("a container"))
    });
    let seen = run.end();
    let [held, between, brief] = ids.map(|id| seen.stream(&id, 1, &[]).clone());
    let all = [("written_bytes", json!(3_000)), ("delivered_bytes", json!(3_000))];
    expect(&held, &[&[("outcome", json!("held-until-exit"))], &all[..]].concat());
    delivered(&between, 3_000);
    delivered(&brief, 3_000);
    seen.nothing_was_lost();
}

#[test]
fn whoever_writes_to_the_pipe_is_counted() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let reopened = said(&stage, &run, "reopened", "open:/dev/stdout:5 fd:5 write:700 fd:1 write:1", 701);
    let nested = said(&stage, &run, "nested", "write:10 child:500 child:40 write:3", 553);
    // Descriptor 1 is gone when it ends, and still all was written to what it was at first.
    let moved = said(&stage, &run, "moved", "dup:1:7 close:1 fd:7 write:900", 900);
    let other = said(&stage, &run, "other", "open:/tmp/log:5 fd:5 write:700 fd:1 write:1", 1);

    let (streams, out) = Streams::merged();
    let reader = drain(out, 65_536, Duration::ZERO);
    let mut merged = Container::begin(&stage, "merged", "write:100 fd:2 write:20 child:3", streams);
    assert_eq!((merged.ends(), reader.join().expect("a reader")), (0, 123));
    run.stream_ends(&merged.id, 1);
    let seen = run.end();
    delivered(seen.stream(&reopened, 1, &[]), 701);
    delivered(seen.stream(&nested, 1, &[]), 553);
    delivered(seen.stream(&other, 1, &[]), 1);
    let moved = seen.stream(&moved, 1, &[]);
    expect(moved, &[("outcome", json!("delivered")), ("written_bytes", json!(900))]);
    expect(moved, &[("target_now", json!("closed")), ("delivered_bytes", json!(900))]);
    let of_both = seen.stream(&merged.id, 1, &[]);
    delivered(of_both, 123);
    expect(of_both, &[("shared_with_fd", json!(2))]);
    assert!(seen.of_stream(&merged.id, 2).is_empty(), "what both are is told once");
    seen.nothing_was_lost();
}
