//! Counts are exact whatever call writes, however much and however often; and where a writer cannot be counted, that
//! is said.

use std::{collections::BTreeSet, io::Read, time::Duration};

use observer_tests::rig::{
    Bundle, Stage,
    run::Run,
    stage,
    stdio::{Container, Streams, delivered, drain, expect, writer},
    watch::Seen,
    workload,
};
use serde_json::{Value, json};

const MB_50: u64 = 50_000_000;

/// Containers that say a line and end, one after the other and at the same time.
const IN_A_ROW: usize = 1_000;
const AT_ONCE: usize = 40;

/// Runs one with a pipe for its standard output that is read at once; its id.
fn run_with(stage: &Stage, run: &Run, name: &str, bundle: Bundle, bytes: u64) -> String {
    let (streams, out) = Streams::piped();
    let reader = drain(out, 1 << 20, Duration::ZERO);
    let mut container = Container::of(stage, name, bundle, streams);
    assert_eq!(container.ends(), 0, "{name}");
    assert_eq!(reader.join().expect("a reader"), bytes, "{name}");
    run.stream_ends(&container.id, 1);
    container.id
}

fn said(stage: &Stage, run: &Run, name: &str, words: &str, bytes: u64) -> String {
    let args: Vec<&str> = ["/bin/writer"].into_iter().chain(words.split(' ')).collect();
    run_with(stage, run, name, Bundle::new(&args).file("bin/writer", &writer(stage)), bytes)
}

#[test]
fn every_call_is_counted() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let calls = ["write", "writev", "pwritev2", "sendfile", "splice", "tee", "vmsplice"];
    let ids = calls.map(|call| {
        // To a file in between, which is not of the pipe; what moves pages knows pipes only.
        let aside = if ["splice", "tee", "vmsplice"].contains(&call) { "write" } else { call };
        let words = format!("{call}:1000x3 open:/tmp/log:5 fd:5 {aside}:77 fd:1 {call}:5");
        said(&stage, &run, call, &words, 3_005)
    });
    let seen = run.end();
    for id in &ids {
        delivered(seen.stream(id, 1, &[]), 3_005);
    }
    seen.nothing_was_lost();
}

/// Whether the kernel let its pipe functions themselves be hooked: then nothing passes the hooks by.
fn pipes_are_hooked(seen: &Seen) -> bool {
    let probes = seen.last("health")["probes"].as_array().expect("probes");
    let stdio = probes.iter().find(|probe| probe["name"] == "stdio").expect("stdio");
    stdio["hook"].as_str().expect("a hook").contains("fexit")
}

/// What nobody can have counted, and its twin that was.
fn not_counted(seen: &Seen, id: &str, twin: &str, bytes: u64) {
    let event = seen.stream(id, 1, &[]);
    if pipes_are_hooked(seen) {
        delivered(event, bytes);
    } else {
        let unknown =
            [("written_bytes", Value::Null), ("delivered_bytes", Value::Null), ("outcome", json!("unknown"))];
        expect(event, &unknown);
        let why = event["why"].as_str().expect("a reason");
        assert!(why.contains("io_uring") && why.contains("32-bit"), "{why}");
    }
    delivered(seen.stream(twin, 1, &[]), bytes);
    seen.nothing_was_lost();
}

#[test]
fn io_uring_is_not_counted_and_that_is_said() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let uring = said(&stage, &run, "uring", "write:40 uring:100", 140);
    let twin = said(&stage, &run, "twin", "write:40 write:100", 140);
    not_counted(&run.end(), &uring, &twin, 140);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_program_is_not_counted_and_that_is_said() {
    let stage = stage();
    let built = |name: &str, more: &[&str]| {
        let options = [&["-static", "-nostdlib", "-fno-pie", "-no-pie"], more].concat();
        let path = workload::compile("writer32", stage.path(name), &options);
        Bundle::new(&["/writer"]).file("writer", &std::fs::read(path).expect("the workload"))
    };
    let (narrow, wide) = (built("narrow", &["-m32"]), built("wide", &[]));
    let run = Run::begin(&stage, &[]);
    let narrow = run_with(&stage, &run, "narrow", narrow, 6);
    let wide = run_with(&stage, &run, "wide", wide, 6);
    not_counted(&run.end(), &narrow, &wide, 6);
}

#[test]
fn fifty_megabytes() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let large = said(&stage, &run, "large", "write:1000000x50", MB_50);
    let small = said(&stage, &run, "small", "write:500x20000", 10_000_000);
    let seen = run.end();
    delivered(seen.stream(&large, 1, &[]), MB_50);
    delivered(seen.stream(&small, 1, &[]), 10_000_000);
    seen.nothing_was_lost();
}

/// A container that says so many bytes, and leaves it to its caller to read them.
fn tiny(stage: &Stage, n: usize) -> (Container, std::io::PipeReader, u64) {
    let text = "x".repeat(n % 500);
    let (streams, out) = Streams::piped();
    let bundle = Bundle::new(&["/bin/echo", &text]);
    (Container::of(stage, &format!("tiny-{n}"), bundle, streams), out, text.len() as u64 + 1)
}

fn read_all(mut out: impl Read) -> u64 {
    out.read_to_end(&mut Vec::new()).expect("a pipe") as u64
}

#[test]
fn a_thousand_tiny_ones() {
    let stage = stage();
    let run = Run::begin(&stage, &[]);
    let mut expected = Vec::new();
    for n in 0..IN_A_ROW {
        let (mut container, mut out, bytes) = tiny(&stage, n);
        // Every other one is read only when it has ended.
        let early = if n % 2 == 0 { read_all(&mut out) } else { 0 };
        assert_eq!(container.ends(), 0, "{n}");
        assert_eq!(early + read_all(out), bytes, "{n}");
        expected.push((container.id, bytes));
    }
    let all_at_once: Vec<_> = (IN_A_ROW..IN_A_ROW + AT_ONCE).map(|n| tiny(&stage, n)).collect();
    for (mut container, out, bytes) in all_at_once {
        assert_eq!((container.ends(), read_all(out)), (0, bytes));
        expected.push((container.id, bytes));
    }
    let mut open: BTreeSet<&str> = expected.iter().map(|(id, _)| id.as_str()).collect();
    run.wait_for("the end of each", |object| {
        if object["probe"] == "stdio" && object["fd"] == 1 && object["ended"] == true {
            open.remove(object["container"]["id"].as_str().unwrap_or_default());
        }
        open.is_empty()
    });
    let seen = run.end();
    for (id, bytes) in &expected {
        delivered(seen.stream(id, 1, &[]), *bytes);
    }
    eprintln!("{} containers, each told once", expected.len());
    seen.nothing_was_lost();
}
