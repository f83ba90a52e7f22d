//! Readers of containers' output that go, stop or are slow: told while it lasts, and told from those that only look
//! like it.

use std::{fs, thread, time::Duration};

use observer_tests::rig::{
    Stage,
    run::Run,
    stage,
    stdio::{Cat, Container, Streams, delivered, drain, expect, take},
};
use rustix::{
    pipe::{SpliceFlags, splice},
    process::Signal,
};
use serde_json::{Value, json};

/// More than a pipe holds.
const MORE_THAN_A_PIPE: u64 = 200_000;

fn number(event: &Value, key: &str) -> f64 {
    event[key].as_f64().unwrap_or_else(|| panic!("{key} is no number: {event:#}"))
}

/// A container whose standard output is read by a process of its own.
fn read_by_cat(stage: &Stage, name: &str, words: &str) -> (Container, Cat) {
    let (streams, out) = Streams::piped();
    let cat = Cat::begin(stage, name, out);
    (Container::begin(stage, name, words, streams), cat)
}

#[test]
fn the_reader_is_killed_and_nobody_notices() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let words = "deaf write:100x10 mark:/said wait:/go broken:50x7 mark:/lost wait:/end exit:0";
    let (mut gone, mut cat) = read_by_cat(&stage, "gone", words);
    gone.reaches("said");
    cat.has_taken(1_000);
    cat.kill();
    gone.release("go");
    gone.reaches("lost");
    // While it lives.
    let told = run.stream_is(&gone.id, 1, "reader-gone");
    expect(&told, &[("ended", json!(false)), ("written_bytes", json!(1_000)), ("pipe_bytes", json!(0))]);
    gone.release("end");
    assert_eq!(gone.ends(), 0, "the payload thinks that all went well");
    run.stream_ends(&gone.id, 1);

    let (mut well, mut cat) = read_by_cat(&stage, "well", "deaf write:100x10 mark:/said wait:/go");
    well.reaches("said");
    cat.has_taken(1_000);
    run.catches_up(&stage);
    well.release("go");
    assert_eq!((well.ends(), cat.ends()), (0, 1_000));
    run.stream_ends(&well.id, 1);
    let seen = run.end();
    expect(
        seen.stream(&gone.id, 1, &["reader-gone"]),
        &[
            ("outcome", json!("reader-gone")),
            ("broken_pipe_writes", json!(7)),
            ("written_bytes", json!(1_000)),
            ("delivered_bytes", json!(1_000)),
        ],
    );
    delivered(seen.stream(&well.id, 1, &[]), 1_000);
    seen.nothing_was_lost();
}

/// It closes its pipe itself, and does so before it takes its last breath: nothing is lost by that.
#[test]
fn the_reader_goes_after_all_was_taken() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let (streams, mut out) = Streams::piped();
    let mut early = Container::begin(&stage, "early", "deaf write:1000 mark:/said wait:/go", streams);
    early.reaches("said");
    take(&mut out, 1_000);
    drop(out);
    run.stream_is(&early.id, 1, "reader-gone");
    early.release("go");
    assert_eq!(early.ends(), 0);
    run.stream_ends(&early.id, 1);
    let seen = run.end();
    // Nobody reads it any more, which is told; but all that was said was delivered.
    delivered(seen.stream(&early.id, 1, &["reader-gone"]), 1_000);
    seen.nothing_was_lost();
}

#[test]
fn what_is_in_the_pipe_when_the_last_reader_closes() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    // While it lives.
    let (streams, mut out) = Streams::piped();
    let mut lives = Container::begin(&stage, "lives", "deaf write:5000 mark:/said wait:/go", streams);
    lives.reaches("said");
    take(&mut out, 1_234);
    drop(out);
    let told = run.stream_is(&lives.id, 1, "reader-gone");
    expect(&told, &[("pipe_bytes", json!(3_766)), ("delivered_bytes", json!(1_234))]);
    lives.release("go");
    assert_eq!(lives.ends(), 0);
    run.stream_ends(&lives.id, 1);
    // After it.
    let (streams, mut out) = Streams::piped();
    let mut after = Container::begin(&stage, "after", "write:5000", streams);
    assert_eq!(after.ends(), 0);
    take(&mut out, 1_234);
    drop(out);
    run.stream_ends(&after.id, 1);
    // Looks like it: all is taken, if only after it.
    let (streams, out) = Streams::piped();
    let mut taken = Container::begin(&stage, "taken", "write:5000", streams);
    assert_eq!(taken.ends(), 0);
    assert_eq!(drain(out, 100, Duration::from_millis(1)).join().expect("a reader"), 5_000);
    run.stream_ends(&taken.id, 1);
    let seen = run.end();
    let left = [
        ("written_bytes", json!(5_000)),
        ("delivered_bytes", json!(1_234)),
        ("pipe_bytes", json!(3_766)),
        ("broken_pipe_writes", json!(0)),
    ];
    let event = seen.stream(&lives.id, 1, &["reader-gone"]);
    expect(event, &[&[("outcome", json!("reader-gone"))], &left[..]].concat());
    let event = seen.stream(&after.id, 1, &[]);
    expect(event, &[&[("outcome", json!("undelivered"))], &left[..]].concat());
    delivered(seen.stream(&taken.id, 1, &[]), 5_000);
    seen.nothing_was_lost();
}

#[test]
fn the_reader_is_stopped_and_goes_on() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let words = format!("write:10 mark:/said wait:/go write:{MORE_THAN_A_PIPE} write:17");
    let (mut blocked, mut cat) = read_by_cat(&stage, "blocked", &words);
    blocked.reaches("said");
    cat.has_taken(10);
    run.catches_up(&stage);
    cat.stop();
    blocked.release("go");
    let told = run.stream_is(&blocked.id, 1, "blocked");
    let stopped_ms = number(&told, "blocked_ms");
    assert!(stopped_ms >= 1_000.0, "a second without anything taken: {told:#}");
    expect(&told, &[("ended", json!(false)), ("pipe_bytes", json!(65_536))]);
    expect(&told["reader"], &[("pid", json!(cat.pid())), ("comm", json!("cat"))]);
    cat.signal(Signal::CONT);
    assert_eq!((blocked.ends(), cat.ends()), (0, MORE_THAN_A_PIPE + 27));
    run.stream_ends(&blocked.id, 1);

    // Slow, but never still: waits as long for room, all in all.
    let (streams, out) = Streams::piped();
    let reader = drain(out, 4_096, Duration::from_millis(60));
    let mut slow = Container::begin(&stage, "slow", &words, streams);
    slow.release("go");
    assert_eq!((slow.ends(), reader.join().expect("a reader")), (0, MORE_THAN_A_PIPE + 27));
    run.stream_ends(&slow.id, 1);
    let seen = run.end();
    let all = seen.of_stream(&blocked.id, 1);
    assert_eq!(all[0]["outcome"], "blocked", "{all:#?}");
    let last = all[all.len() - 1];
    delivered(last, MORE_THAN_A_PIPE + 27);
    assert!(number(last, "blocked_ms") >= stopped_ms, "{last:#}");
    assert!(all[1..all.len() - 1].iter().all(|event| event["outcome"] != "blocked"), "{all:#?}");
    let slow = seen.stream(&slow.id, 1, &[]);
    delivered(slow, MORE_THAN_A_PIPE + 27);
    assert!(number(slow, "blocked_ms") >= 1_000.0, "it did wait: {slow:#}");
    seen.nothing_was_lost();
}

/// The reader takes all the time; it is the observer that does nothing for a while, as on a node without CPU time for it.
#[test]
fn an_observer_that_is_late_calls_no_one_blocked() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let (streams, mut out) = Streams::piped();
    let bytes = 2 * MORE_THAN_A_PIPE;
    let mut slow = Container::begin(&stage, "slow", &format!("write:{bytes}"), streams);
    let slowly = |out: &mut _, reads: u32| {
        for _ in 0..reads {
            take(out, 4_096);
            thread::sleep(Duration::from_millis(60));
        }
    };
    slowly(&mut out, 15);
    run.signal(Signal::STOP);
    slowly(&mut out, 40);
    run.signal(Signal::CONT);
    slowly(&mut out, 10);
    let rest = drain(out, 65_536, Duration::ZERO).join().expect("a reader");
    assert_eq!((slow.ends(), 65 * 4_096 + rest), (0, bytes));
    run.stream_ends(&slow.id, 1);
    let seen = run.end();
    delivered(seen.stream(&slow.id, 1, &[]), bytes);
    seen.nothing_was_lost();
}

/// Takes pages out of the pipe instead of copying what is in them, as proxies and log shippers do.
#[test]
fn a_reader_that_splices_is_a_reader() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let (streams, out) = Streams::piped();
    let bytes = 2 * MORE_THAN_A_PIPE;
    let mut spliced = Container::begin(&stage, "spliced", &format!("write:{bytes}"), streams);
    let null = fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    let mut sum = 0;
    loop {
        match splice(&out, None, &null, None, 4_096, SpliceFlags::empty()).expect("splice") {
            0 => break,
            moved => sum += moved as u64,
        }
        thread::sleep(Duration::from_millis(30));
    }
    drop(out);
    assert_eq!((spliced.ends(), sum), (0, bytes));
    run.stream_ends(&spliced.id, 1);
    let seen = run.end();
    delivered(seen.stream(&spliced.id, 1, &[]), bytes);
    seen.nothing_was_lost();
}
