//! Containers older than the observer: their state is told from what is found, and nothing is made up of what was
//! before.

use std::{fs, time::Duration};

use observer_tests::rig::{
    Stage,
    run::Run,
    stage,
    stdio::{Cat, Container, Streams, drain, expect, is_stream, take},
    watch::Seen,
};
use serde_json::{Value, json};

/// More than a pipe holds.
const MORE_THAN_A_PIPE: u64 = 200_000;

/// All that was said of it was of one that was there before.
fn since_attach(seen: &Seen, id: &str) {
    for event in seen.of_stream(id, 1) {
        expect(event, &[("since", json!("attach"))]);
    }
    let first = seen.of_stream(id, 1)[0];
    expect(first, &[("outcome", json!("unknown")), ("ended", json!(false))]);
    assert!(first["why"].as_str().is_some_and(|why| why.contains("before")), "{first:#}");
}

/// Milliseconds from the beginning of the run to an event.
fn after_ms(seen: &Seen, event: &Value) -> i64 {
    let time = |text: &Value| -> jiff::Timestamp { text.as_str().expect("a time").parse().expect("a time") };
    let from = time(&seen.last("summary")["from"]);
    time(&event["time"]).duration_since(from).as_millis() as i64
}

fn healthy(stage: &Stage) -> (Container, Cat) {
    let (streams, out) = Streams::piped();
    let cat = Cat::begin(stage, "well", out);
    let words = "deaf write:100 mark:/said wait:/go write:50 mark:/more wait:/end";
    let well = Container::begin(stage, "well", words, streams);
    well.reaches("said");
    cat.has_taken(100);
    (well, cat)
}

#[test]
fn the_reader_had_gone_before() {
    let stage = stage();
    let (streams, mut out) = Streams::piped();
    let words = "deaf write:1000 mark:/said wait:/go broken:50x3 mark:/lost wait:/end exit:0";
    let mut gone = Container::begin(&stage, "gone", words, streams);
    gone.reaches("said");
    take(&mut out, 1_000);
    drop(out);
    let (mut well, mut cat) = healthy(&stage);
    let run = Run::attached(&[]);
    // It does nothing: this is found, not seen happening.
    let found = run.stream_is(&gone.id, 1, "reader-gone");
    gone.release("go");
    gone.reaches("lost");
    gone.release("end");
    well.release("go");
    well.reaches("more");
    well.release("end");
    assert_eq!((gone.ends(), well.ends(), cat.ends()), (0, 0, 150));
    for id in [&gone.id, &well.id] {
        run.stream_ends(id, 1);
    }
    let seen = run.end();
    eprintln!("reader-gone was told {} ms after the start", after_ms(&seen, &found));
    expect(&found, &[("pipe_bytes", json!(0)), ("ended", json!(false)), ("reader", Value::Null)]);
    let last = seen.stream(&gone.id, 1, &["unknown", "reader-gone"]);
    expect(last, &[("outcome", json!("reader-gone")), ("broken_pipe_writes", json!(3))]);
    expect(last, &[("written_bytes", json!(0))]);
    since_attach(&seen, &gone.id);
    let last = seen.stream(&well.id, 1, &["unknown"]);
    let all = [("outcome", json!("delivered")), ("written_bytes", json!(50)), ("delivered_bytes", json!(50))];
    expect(last, &all);
    expect(&last["reader"], &[("pid", json!(cat.pid())), ("comm", json!("cat"))]);
    since_attach(&seen, &well.id);
    seen.nothing_was_lost();
}

#[test]
fn the_writer_was_blocked_before() {
    let stage = stage();
    let (streams, out) = Streams::piped();
    let words = format!("mark:/begun write:{MORE_THAN_A_PIPE} write:5");
    let mut blocked = Container::begin(&stage, "blocked", &words, streams);
    blocked.reaches("begun");
    let (mut well, mut cat) = healthy(&stage);
    let run = Run::attached(&[]);
    let found = run.stream_is(&blocked.id, 1, "blocked");
    expect(&found, &[("pipe_bytes", json!(65_536)), ("ended", json!(false))]);
    let reader = drain(out, 65_536, Duration::ZERO);
    assert_eq!((blocked.ends(), reader.join().expect("a reader")), (0, MORE_THAN_A_PIPE + 5));
    well.release("go");
    well.release("end");
    assert_eq!((well.ends(), cat.ends()), (0, 150));
    for id in [&blocked.id, &well.id] {
        run.stream_ends(id, 1);
    }
    let seen = run.end();
    eprintln!("blocked was told {} ms after the start", after_ms(&seen, &found));
    let outcomes = seen.outcomes(&blocked.id, 1);
    let times = |outcome: &str| outcomes.iter().filter(|seen| **seen == outcome).count();
    assert_eq!((times("blocked"), times("delivered")), (1, 1), "{outcomes:?}");
    assert_eq!(outcomes.last(), Some(&"delivered"), "{outcomes:?}");
    since_attach(&seen, &blocked.id);
    seen.stream(&well.id, 1, &["unknown"]);
    since_attach(&seen, &well.id);
    seen.nothing_was_lost();
}

#[test]
fn silence_since_attach_is_not_silence() {
    let stage = stage();
    let (mut well, mut cat) = healthy(&stage);
    let run = Run::attached(&[]);
    run.wait_for("it", |object| is_stream(object, &well.id, 1));
    // It goes on without a word.
    let root = stage.path(format!("bundle-{}", well.id)).join("rootfs");
    assert!(!root.join("go").exists());
    stage
        .runtime(observer_tests::rig::program("crun"))
        .kill(&well.id)
        .expect("crun")
        .success()
        .expect("crun");
    assert_eq!((well.ends(), cat.ends()), (137, 100));
    run.stream_ends(&well.id, 1);
    let seen = run.end();
    let last = seen.stream(&well.id, 1, &["unknown"]);
    expect(last, &[("outcome", json!("unknown")), ("written_bytes", json!(0))]);
    assert!(last["why"].as_str().is_some_and(|why| why.contains("since attach")), "{last:#}");
    seen.nothing_was_lost();
}

/// Whether a process holds a pipe, as `/proc` shows it.
fn holds(pid: u32, pipe: &str) -> bool {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("a living process");
    fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).any(|link| link.to_str() == Some(pipe))
}

#[test]
fn whoever_watches_a_pipe_does_not_read_it() {
    let stage = stage();
    let (streams, out) = Streams::piped();
    let mut cat = Cat::begin(&stage, "watched", out);
    let words = "deaf write:100 mark:/said wait:/go broken:50x3 mark:/lost wait:/end exit:0";
    let mut watched = Container::begin(&stage, "watched", words, streams);
    watched.reaches("said");
    cat.has_taken(100);
    let link = fs::read_link(format!("/proc/{}/fd/0", cat.pid())).expect("cat's pipe");
    let pipe = link.to_str().expect("a name").to_owned();
    let run = Run::attached(&[]);
    run.wait_for("the watched pipe", |object| is_stream(object, &watched.id, 1));
    assert!(holds(cat.pid(), &pipe), "this test reads /proc right");
    assert!(!holds(run.pid(), &pipe), "the observer has opened what it watches");
    cat.kill();
    watched.release("go");
    // Three times EPIPE: one more reader, and the payload would have failed.
    watched.reaches("lost");
    run.stream_is(&watched.id, 1, "reader-gone");
    watched.release("end");
    assert_eq!(watched.ends(), 0);
    run.stream_ends(&watched.id, 1);
    let seen = run.end();
    let last = seen.stream(&watched.id, 1, &["unknown", "reader-gone"]);
    expect(last, &[("outcome", json!("reader-gone")), ("broken_pipe_writes", json!(3))]);
    seen.nothing_was_lost();
}
