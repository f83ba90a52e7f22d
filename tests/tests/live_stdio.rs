//! What containers say to their standard streams, and where it goes: real containers by crun, each beside one that
//! looks like it and must be told apart.

use std::time::Duration;

use observer_tests::rig::{
    run::Run,
    stage,
    stdio::{Cat, Container, Streams, delivered, drain, expect},
};
use serde_json::{Value, json};

#[test]
fn all_is_delivered_to_whoever_reads() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let (streams, out, err) = Streams::pipes();
    let (mut out, mut err) = (Cat::begin(&stage, "out", out), Cat::begin(&stage, "err", err));
    let words = "write:1000x7 fd:2 write:300x5 mark:/said wait:/go fd:1 write:13";
    let mut healthy = Container::begin(&stage, "healthy", words, streams);
    healthy.reaches("said");
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
