//! What is concluded of containers that something is wrong with, by the rules of the matrix, in a hurry: exactly the
//! right cause of the right entry about the right container; and nothing about those that only look like it.

mod certificates;
mod conntrack;
mod datastore;
mod devices;
mod healthy;
mod held;
mod ingress;
mod kube;
mod loss;
mod memory;
mod net;
mod proxies;
mod runtime;
mod said;
mod services;
mod starts;
mod storage;
mod tls;
mod tools;
mod usage;
mod webhook;

use observer_tests::rig::{
    Bundle, HELLO, Stage, program, stage,
    stdio::{Cat, Container, Streams, drain, take},
    verdict::{Verdicts, only, quiet},
    wasmedge::WasmEdge,
};
use serde_json::json;

/// A container whose standard output is read by a process of its own.
fn read_by_cat(stage: &Stage, name: &str, words: &str) -> (Container, Cat) {
    let (streams, out) = Streams::piped();
    let cat = Cat::begin(stage, name, out);
    (Container::begin(stage, name, words, streams), cat)
}

/// Runs a container to its end, whatever that is.
fn run(stage: &Stage, name: &str, bundle: Bundle) -> String {
    let written = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
    stage.runtime(program("crun")).run(&written).expect("crun");
    written.id
}

#[test]
fn nobody_reads_what_a_container_says() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "kubectl-logs-empty-reader-gone", &[]);
    let words = "deaf write:100x10 mark:/said wait:/go broken:50x7 mark:/lost wait:/end exit:0";
    let (mut gone, mut cat) = read_by_cat(&stage, "gone", words);
    let (mut well, mut reader) =
        read_by_cat(&stage, "well", "deaf write:100x10 mark:/said wait:/go write:50x7");
    gone.reaches("said");
    well.reaches("said");
    cat.kill();
    // What fails after that is a change of its own.
    verdicts.run.wait_for("that nobody reads", |object| {
        object["outcome"] == "reader-gone" && object["container"]["id"] == *gone.id
    });
    gone.release("go");
    gone.reaches("lost");
    // While it lives, and so while something can be done about it.
    let finding = verdicts.awaits("kubectl-logs-empty", &gone.id);
    assert_eq!(finding["cause"], "reader-gone", "{finding:#}");
    well.release("go");
    gone.release("end");
    assert_eq!((gone.ends(), well.ends(), reader.ends()), (0, 0, 1_350));
    let seen = verdicts.end();
    let finding = only(&seen, &gone.id, "kubectl-logs-empty/reader-gone proved");
    assert_eq!(finding["layer"], "L-3");
    assert_eq!(finding["subject"]["kind"], "container");
    quiet(&seen, &well.id);
}

#[test]
fn the_reader_of_what_a_container_says_stands_still() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "kubectl-logs-empty-reader-stalled", &[]);
    let words = "mark:/here wait:/go write:200000";
    let (mut stalled, mut cat) = read_by_cat(&stage, "stalled", words);
    // Slow is not still: it is read, if late.
    let (streams, out) = Streams::piped();
    let slow = drain(out, 4_096, std::time::Duration::from_millis(100));
    let mut late = Container::begin(&stage, "late", words, streams);
    stalled.reaches("here");
    late.reaches("here");
    cat.stop();
    stalled.release("go");
    late.release("go");
    let finding = verdicts.awaits("kubectl-logs-empty", &stalled.id);
    assert_eq!(finding["cause"], "reader-stalled", "{finding:#}");
    cat.signal(rustix::process::Signal::CONT);
    assert_eq!((stalled.ends(), cat.ends(), late.ends()), (0, 200_000, 0));
    assert_eq!(slow.join().expect("a reader"), 200_000);
    let seen = verdicts.end();
    only(&seen, &stalled.id, "kubectl-logs-empty/reader-stalled proved");
    quiet(&seen, &late.id);
}

#[test]
fn what_a_container_said_is_left_in_its_pipe() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "kubectl-logs-empty-undelivered", &[]);
    let begin = |name: &str| {
        let (streams, out) = Streams::piped();
        (Container::begin(&stage, name, "deaf write:5000 mark:/said wait:/go", streams), out)
    };
    let ((mut left, mut some), (mut taken, mut all)) = (begin("left"), begin("taken"));
    left.reaches("said");
    taken.reaches("said");
    take(&mut some, 1_234);
    take(&mut all, 5_000);
    drop((some, all));
    verdicts.awaits("kubectl-logs-empty", &left.id);
    left.release("go");
    taken.release("go");
    assert_eq!((left.ends(), taken.ends()), (0, 0));
    let seen = verdicts.end();
    only(&seen, &left.id, "kubectl-logs-empty/undelivered proved");
    // Its reader has gone, too, and nothing was lost by that.
    quiet(&seen, &taken.id);
}

#[test]
fn a_container_that_says_nothing_is_nobodys_trouble() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "kubectl-logs-empty-silent", &[]);
    let silent = run(&stage, "silent", Bundle::new(&["/bin/sleep", "1"]));
    let failing = run(&stage, "failing", Bundle::new(&["/bin/sh", "-c", "exit 3"]));
    let seen = verdicts.end();
    quiet(&seen, &silent);
    quiet(&seen, &failing);
}

#[test]
fn a_module_without_anything_that_runs_it() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "runtimeclass-missing", &[]);
    let module = run(&stage, "module", Bundle::wasm(HELLO, false));
    // Called like one, and none.
    let script =
        run(&stage, "script", Bundle::new(&["/app.wasm"]).file("app.wasm", b"#!/bin/sh\necho hello\n"));
    let seen = verdicts.end();
    let finding = only(&seen, &module, "runtimeclass-missing/runtime-without-handler proved");
    assert_eq!(finding["evidence"][0]["probe"], "coldstart");
    quiet(&seen, &script);
}

#[test]
fn a_command_that_is_not_there() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "pod-not-starting-entrypoint", &[]);
    let typo = run(&stage, "typo", Bundle::new(&["/bin/nothing"]));
    let right = run(&stage, "right", Bundle::new(&["/bin/true"]));
    // The container starts; what it runs then is its own affair.
    let shell = run(&stage, "shell", Bundle::new(&["/bin/sh", "-c", "/bin/nothing; exit 0"]));
    let seen = verdicts.end();
    only(&seen, &typo, "pod-not-starting/entrypoint proved");
    quiet(&seen, &right);
    quiet(&seen, &shell);
}

#[test]
fn an_engine_that_is_not_installed() {
    let stage = stage();
    let wasmedge = WasmEdge::build(&stage);
    let verdicts = Verdicts::begin(&stage, "wasmedge-missing", &[]);
    let bundle = |name: &str| {
        Bundle::wasm(HELLO, true).write(&stage, &format!("{name}-{}", stage.id())).expect("bundle")
    };
    let (missing, there) = (bundle("missing"), bundle("there"));
    let failed = stage.run(&mut wasmedge.without_library(&missing)).expect("the stand-in");
    assert!(!failed.status.success(), "{}", failed.stdout);
    let ran = stage.run(&mut wasmedge.with_library(&there)).expect("the stand-in");
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let seen = verdicts.end();
    only(&seen, &missing.id, "wasmedge-missing/not-installed proved");
    quiet(&seen, &there.id);
}

#[test]
fn a_container_that_is_started_again_and_again() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-exit", &[]);
    let again = |name: &str, script: &str, times: usize| {
        let id = format!("{name}-{}", stage.id());
        let written = Bundle::new(&["/bin/sh", "-c", script]).write(&stage, &id).expect("bundle");
        for _ in 0..times {
            stage.runtime(program("crun")).run(&written).expect("crun");
        }
        written.id
    };
    let loops = again("loops", "exit 3", 4);
    let twice = again("twice", "exit 3", 2);
    let seen = verdicts.end();
    let finding = only(&seen, &loops, "crash-loop/exit-code proved");
    assert_eq!(finding["since"], json!("start"));
    quiet(&seen, &twice);
}
