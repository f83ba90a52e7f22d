//! What is concluded of containers that take long to start, by the rules of the matrix, in a hurry: about their image;
//! and nothing about images whose containers start as they always do.

use std::{process::Command, time::Duration};

use observer_tests::rig::{
    Bundle, HELLO, Stage,
    engines::skip,
    program, stage,
    stage::Running,
    verdict::{Verdicts, only, quiet},
    wasmedge::WasmEdge,
    workload,
};
use serde_json::Value;

/// So many that each waits for longer than the kernel lets one run.
const SPINNING: usize = 40;
/// The node is looked at at least once in this.
const SAMPLED: Duration = Duration::from_secs(11);

/// Runs a container to its end, whatever that is.
fn run(stage: &Stage, runtime: &str, name: &str, bundle: Bundle) {
    let written = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
    stage.runtime(program(runtime)).run(&written).expect(runtime);
}

fn echo() -> Bundle {
    Bundle::new(&["/bin/echo", "hello"])
}

/// Starts enough for a median, and then this one.
fn after_usual_starts(stage: &Stage, name: &str, last: Bundle) {
    let image = |bundle: Bundle| {
        bundle.annotation("org.opencontainers.image.ref.name", &format!("lab.local/{name}:1"))
    };
    for number in 0..6 {
        run(stage, "crun", &format!("{name}-{number}"), image(echo()));
    }
    run(stage, "crun", &format!("{name}-last"), image(last));
}

#[test]
fn a_start_that_takes_longer_than_its_image_does() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "slow-start-slower-than-usual", &[]);
    let slow = echo().hook(&["/bin/sleep", "2"]);
    after_usual_starts(&stage, "slow", slow);
    after_usual_starts(&stage, "usual", echo());
    let seen = verdicts.end();
    only(&seen, "lab.local/slow:1", "slow-start/slower-than-usual proved");
    quiet(&seen, "lab.local/usual:1");
}

/// A start that takes at least so many seconds.
fn taking(stage: &Stage, (name, number): (&str, usize), seconds: &str) {
    let bundle = echo().hook(&["/bin/sleep", seconds]);
    let bundle = bundle.annotation("org.opencontainers.image.ref.name", &format!("lab.local/{name}:1"));
    run(stage, "crun", &format!("{name}-{number}"), bundle);
}

#[test]
fn a_start_that_takes_longer_while_cpus_are_free() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "slow-start-slower-with-free-cpus", &[]);
    (0..6).for_each(|number| taking(&stage, ("longer", number), "0.2"));
    taking(&stage, ("longer", 6), "0.9");
    let seen = verdicts.end();
    only(&seen, "lab.local/longer:1", "slow-start/slower-with-free-cpus proved");
}

#[test]
fn a_start_that_takes_longer_as_every_process_waits_for_a_cpu() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "slow-start-not-while-cpus-are-short", &[]);
    (0..6).for_each(|number| taking(&stage, ("waiting", number), "0.2"));
    let spin = || stage.spawn(stage.command("/bin/sh").args(["-c", "while :; do :; done"])).expect("sh");
    let spinning: Vec<Running> = (0..SPINNING).map(|_| spin()).collect();
    std::thread::sleep(SAMPLED);
    taking(&stage, ("waiting", 6), "0.9");
    drop(spinning);
    let seen = verdicts.end();
    quiet(&seen, "lab.local/waiting:1");
}

/// Returns once what begins from now on is followed from its start.
fn catches_up(stage: &Stage, verdicts: &Verdicts) {
    let first = format!("first-{}", verdicts.run.pid());
    run(stage, "crun", &first, echo());
    verdicts.run.wait_for("the end of the first container", |object| {
        object["action"] == "exit"
            && object["container"]["id"].as_str().is_some_and(|id| id.starts_with(&first))
    });
}

#[test]
fn the_first_start_of_a_run_is_compared_with_those_of_an_earlier_run() {
    let stage = stage();
    let state = tempfile::tempdir().expect("a folder");
    let learning = || {
        let mut command = Command::new("/usr/bin/env");
        command.arg(format!("STATE_DIRECTORY={}", state.path().display()));
        command
    };
    let image =
        |bundle: Bundle| bundle.annotation("org.opencontainers.image.ref.name", "lab.local/learned:1");
    let usual = Verdicts::begin_by(learning(), "slow-start-not-learned", &[]);
    catches_up(&stage, &usual);
    for number in 0..11 {
        run(&stage, "crun", &format!("learned-{number}"), image(echo()));
    }
    usual.end();
    let verdicts = Verdicts::begin_by(learning(), "slow-start-learned", &[]);
    catches_up(&stage, &verdicts);
    // What is as slow and was never seen before may be so always. It comes first: a start that has to read its programs from
    // the disk is compared with none.
    let unknown = echo().annotation("org.opencontainers.image.ref.name", "lab.local/unknown:1");
    run(&stage, "crun", "unknown-slow", unknown.hook(&["/bin/sleep", "2"]));
    run(&stage, "crun", "learned-slow", image(echo().hook(&["/bin/sleep", "2"])));
    let seen = verdicts.end();
    quiet(&seen, "lab.local/unknown:1");
    let finding = only(&seen, "lab.local/learned:1", "slow-start/slower-than-usual proved");
    let text = finding["evidence"][0]["text"].as_str().expect("a text");
    assert!(text.contains("learned from 11 starts of its image"), "{text}");
}

#[test]
fn a_start_that_nobody_should_wait_for() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "slow-start-over-slo", &["--ready-wait", "10s"]);
    let image = |name: &str| format!("lab.local/{name}:1");
    let with = |name: &str, seconds: &str| {
        let bundle = echo().hook(&["/bin/sleep", seconds]);
        run(&stage, "crun", name, bundle.annotation("org.opencontainers.image.ref.name", &image(name)));
    };
    with("late", "6");
    with("later", "3");
    let seen = verdicts.end();
    only(&seen, &image("late"), "slow-start/over-slo proved");
    quiet(&seen, &image("later"));
}

#[test]
fn the_first_start_of_an_image() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "slow-start-not-first-start-of-an-image", &[]);
    let image = "lab.local/first:1";
    let bundle = || echo().annotation("org.opencontainers.image.ref.name", image);
    run(&stage, "crun", "first", bundle().hook(&["/bin/sleep", "2"]));
    for number in 0..5 {
        run(&stage, "crun", &format!("first-{number}"), bundle());
    }
    let seen = verdicts.end();
    quiet(&seen, image);
}

/// A module with so many functions that nobody calls: an engine compiles them all when it loads it.
fn module_of(functions: usize) -> Vec<u8> {
    let one =
        "(func (param i32) (result i32) (i32.add (i32.mul (local.get 0) (i32.const 77)) (local.get 0)))\n";
    let begin = "(func (export \"_start\") (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)) drop)";
    let import = "(import \"wasi_snapshot_preview1\" \"fd_write\" \
        (func $write (param i32 i32 i32 i32) (result i32)))";
    let data = "(memory (export \"memory\") 1) (data (i32.const 0) \"hello\\0a\") \
        (data (i32.const 16) \"\\00\\00\\00\\00\\06\\00\\00\\00\")";
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("module.wat");
    std::fs::write(&text, format!("(module {import} {data} {begin} {})", one.repeat(functions)))
        .expect("a file");
    workload::module(&text)
}

/// A module of an image that youki runs itself, so many times.
fn modules_of_image(stage: &Stage, name: &str, bytes: &[u8], times: usize) -> String {
    let image = format!("lab.local/{name}:1");
    for number in 0..times {
        let bundle = Bundle::wasm(bytes, true).annotation("org.opencontainers.image.ref.name", &image);
        run(stage, "youki", &format!("{name}-{number}"), bundle);
    }
    image
}

#[test]
fn a_large_module_that_is_compiled_at_every_start() {
    let stage = stage();
    let large = module_of(4_000);
    let verdicts = Verdicts::begin(&stage, "cold-start-slow-large-module", &[]);
    let large = modules_of_image(&stage, "large", &large, 3);
    let small = modules_of_image(&stage, "small", HELLO, 2);
    let seen = verdicts.end();
    only(&seen, &large, "cold-start-slow/large-module likely");
    quiet(&seen, &small);
}

#[test]
fn a_module_too_slow_for_functions() {
    let stage = stage();
    let middle = module_of(150);
    let verdicts = Verdicts::begin(&stage, "slow-start-engine-phases", &["--scenario", "serverless"]);
    let middle = modules_of_image(&stage, "middle", &middle, 3);
    let seen = verdicts.end();
    // Slower than a function may be, and not so slow that any module is: which of these it is depends on the machine.
    let slowest = seen.of_type("coldstart").map(load_ms).fold(0.0, f64::max);
    if !(15.0..90.0).contains(&slowest) {
        skip(
            "findings::starts::a_module_too_slow_for_functions",
            &format!("it loads in {slowest:.0} ms here"),
        );
        return;
    }
    only(&seen, &middle, "slow-start/engine-phases proved");
}

/// What loading and instantiating its module took.
fn load_ms(start: &Value) -> f64 {
    let phases = start["phases"].as_array().into_iter().flatten();
    let of_it = phases.filter(|phase| phase["name"] == "wasm-load" || phase["name"] == "wasm-instantiate");
    of_it.filter_map(|phase| phase["duration_ms"].as_f64()).sum()
}

#[test]
fn an_engine_that_is_found_at_last_and_takes_long_to_link() {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    for case in ["wasmedge-missing-not-library-found-at-last", "cold-start-slow-not-engine-linked"] {
        let verdicts = Verdicts::begin(&stage, case, &["--scenario", "serverless"]);
        let image = "lab.local/linked:1";
        let bundle = Bundle::wasm(HELLO, true).annotation("org.opencontainers.image.ref.name", image);
        let bundle = bundle.write(&stage, &format!("{case}-{}", stage.id())).expect("bundle");
        let mut command = stand_in.with_library(&bundle);
        let library = stage.path("wasmedge");
        command
            .env("LD_LIBRARY_PATH", format!("/nowhere:{}:{}", stage.path("").display(), library.display()));
        assert_eq!(stage.run(&mut command).expect("the stand-in").code(), 0);
        let seen = verdicts.end();
        quiet(&seen, &bundle.id);
        quiet(&seen, image);
    }
}
