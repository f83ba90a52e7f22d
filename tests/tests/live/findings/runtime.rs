//! What is concluded of containers that do not start, or start again and again, by the rules of the matrix, in a
//! hurry; and nothing about those that only look like it.

use std::{fs, os::unix::fs::PermissionsExt};

use observer_tests::rig::{
    Bundle, HELLO, Stage,
    memory::faulter,
    program,
    run::Run,
    stage,
    stdio::until,
    verdict::{Verdicts, only, quiet},
    wasmedge::WasmEdge,
    workload,
};

/// As often as it takes to be called a loop.
const AGAIN: usize = 3;

/// Runs a container to its end, whatever that is.
fn run(stage: &Stage, runtime: &str, name: &str, bundle: Bundle) -> String {
    let written = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
    stage.runtime(program(runtime)).run(&written).expect(runtime);
    written.id
}

/// The same container, so many times by crun.
fn again(stage: &Stage, name: &str, bundle: Bundle, times: usize) -> String {
    let written = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
    for _ in 0..times {
        stage.runtime(program("crun")).run(&written).expect("crun");
    }
    written.id
}

/// One that is killed whenever it runs, so many times.
fn killed(stage: &Stage, name: &str, times: usize) -> String {
    let crun = stage.runtime(program("crun"));
    let bundle = faulter(stage, "obedient").write(stage, &format!("{name}-{}", stage.id()));
    let bundle = bundle.expect("bundle");
    for _ in 0..times {
        let running = stage.spawn(&mut crun.run_command(&bundle)).expect("crun");
        until(&format!("{name} to wait"), || running.stdout().contains("waiting").then_some(()));
        crun.kill(&bundle.id).expect("crun").success().expect("kill");
        assert_eq!(running.finish().expect("crun").code(), 137, "{name}");
    }
    bundle.id
}

/// A module that youki runs itself, so many times.
fn module(stage: &Stage, run: &Run, name: &str, module: &[u8], times: usize) -> String {
    let youki = stage.runtime(program("youki"));
    let bundle = Bundle::wasm(module, true).write(stage, &format!("{name}-{}", stage.id()));
    let bundle = bundle.expect("bundle");
    for time in 1..=times {
        youki.create(&bundle).expect("youki").success().expect("create");
        youki.start(&bundle.id).expect("youki").success().expect("start");
        let mut ends = 0;
        run.wait_for(&format!("end {time} of {name}"), |object| {
            let is_end = object["probe"] == "runtime" && object["action"] == "exit";
            ends += usize::from(is_end && object["container"]["id"] == *bundle.id);
            ends == time
        });
        youki.delete(&bundle.id).expect("youki").success().expect("delete");
    }
    bundle.id
}

#[test]
fn killed_for_want_of_memory_again_and_again() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-oom", &[]);
    let hog = |words: &str| faulter(&stage, words).memory_limit(32 << 20);
    let loops = again(&stage, "hogs", hog("hog"), AGAIN);
    // What is killed is not its first process, and it goes on.
    let child = again(&stage, "child", hog("hog-child"), 1);
    let once = again(&stage, "once", hog("hog"), 1);
    let seen = verdicts.end();
    only(&seen, &loops, "crash-loop/oom proved");
    quiet(&seen, &child);
    quiet(&seen, &once);
}

#[test]
fn a_child_is_killed_for_want_of_memory_again_and_again() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-oom-of-child", &[]);
    let shell = |words: &str| Bundle::new(&["/bin/sh", "-c", words]).memory_limit(20 << 20);
    let loops = again(&stage, "parent", shell("dd if=/dev/zero of=/dev/null bs=100M count=1; exit 5"), AGAIN);
    let error = again(&stage, "error", shell("dd if=/dev/zero of=/dev/null bs=1M count=1; exit 5"), AGAIN);
    let once = again(&stage, "once", shell("dd if=/dev/zero of=/dev/null bs=100M count=1; exit 5"), 1);
    let seen = verdicts.end();
    only(&seen, &loops, "crash-loop/oom-of-child likely");
    only(&seen, &error, "crash-loop/exit-code proved");
    quiet(&seen, &once);
}

#[test]
fn a_module_that_traps_again_and_again() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-trap", &[]);
    let loops = module(&stage, &verdicts.run, "traps", &workload::wasm("unreachable"), AGAIN);
    let twice = module(&stage, &verdicts.run, "twice", &workload::wasm("unreachable"), 2);
    let seen = verdicts.end();
    only(&seen, &loops, "crash-loop/trap proved");
    quiet(&seen, &twice);
}

#[test]
fn killed_from_outside_again_and_again() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-killed", &[]);
    let loops = killed(&stage, "killed", AGAIN);
    let once = killed(&stage, "once", 1);
    let seen = verdicts.end();
    only(&seen, &loops, "crash-loop/killed likely");
    quiet(&seen, &once);
}

#[test]
fn a_container_that_ends_well_again_and_again() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-exits-zero", &[]);
    let loops = again(&stage, "loops", Bundle::new(&["/bin/true"]), AGAIN);
    let twice = again(&stage, "twice", Bundle::new(&["/bin/true"]), 2);
    let seen = verdicts.end();
    only(&seen, &loops, "crash-loop/exits-zero proved");
    quiet(&seen, &twice);
}

#[test]
fn jobs_one_after_the_other() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-not-jobs-one-after-the-other", &[]);
    let jobs: Vec<String> = (0..4)
        .map(|number| run(&stage, "crun", &format!("job-{number}"), Bundle::new(&["/bin/echo", "done"])))
        .collect();
    let seen = verdicts.end();
    jobs.iter().for_each(|job| quiet(&seen, job));
}

#[test]
fn a_program_of_no_known_format_again_and_again() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crash-loop-not-executable", &[]);
    let foreign = |name: &str, times: usize| {
        // As a program of another architecture looks: the kernel has nothing that runs it.
        let bundle = Bundle::new(&["/app"]).file("app", b"\x7fELF\x02\x01\x01 of no machine");
        again(&stage, name, bundle, times)
    };
    let (loops, once) = (foreign("foreign", AGAIN), foreign("once", 1));
    let seen = verdicts.end();
    only(&seen, &loops, "crash-loop/not-executable proved");
    quiet(&seen, &once);
}

fn echo() -> Bundle {
    Bundle::new(&["/bin/echo", "hello"])
}

/// A container that cannot be made, and one that can.
fn made(case: &str, runtime: &str, wrong: Bundle, right: Bundle, expected: &str) {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, case, &[]);
    let wrong = run(&stage, runtime, "wrong", wrong);
    let right = run(&stage, runtime, "right", right);
    let seen = verdicts.end();
    only(&seen, &wrong, expected);
    quiet(&seen, &right);
}

/// Of the runtimes only youki makes a process when the limit holds already.
#[test]
fn no_process_may_be_made() {
    let limit = |count: i64| echo().pids_limit(count);
    made("pod-not-starting-pids-limit", "youki", limit(1), limit(64), "pod-not-starting/pids-limit proved");
}

#[test]
fn a_limit_too_small_for_the_runtime() {
    let limit = |bytes: i64| echo().memory_limit(bytes);
    let expected = "pod-not-starting/memory-limit proved";
    made("pod-not-starting-memory-limit", "crun", limit(64 << 10), limit(64 << 20), expected);
}

#[test]
fn a_namespace_of_another_kind() {
    let joins = |kind: &str| echo().joins("network", &format!("/proc/self/ns/{kind}"));
    made(
        "pod-not-starting-namespace",
        "crun",
        joins("uts"),
        joins("net"),
        "pod-not-starting/namespace proved",
    );
}

#[test]
fn a_volume_that_is_not_there() {
    let source = |path: &str| echo().mount("/mnt", "bind", path, &["rbind", "ro"]);
    let (wrong, right) = (source("/observer-has-no-such-folder"), source("/tmp"));
    made("pod-not-starting-rootfs", "crun", wrong, right, "pod-not-starting/rootfs proved");
}

#[test]
fn cpus_that_are_not_there() {
    let expected = "pod-not-starting/cgroup proved";
    made("pod-not-starting-cgroup", "runc", echo().cpus("4000"), echo().cpus("0"), expected);
}

/// Nobody may have more files open than `fs.nr_open` says.
#[test]
fn more_files_than_anybody_may_have() {
    let expected = "pod-not-starting/resource-limit proved";
    let limit = |count: u64| echo().open_files(count);
    made("pod-not-starting-resource-limit", "crun", limit(1 << 40), limit(1024), expected);
}

#[test]
fn a_right_that_the_runtime_has_not() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "pod-not-starting-security", &[]);
    let written = echo().write(&stage, &format!("may-not-{}", stage.id())).expect("bundle");
    let allowed = stage.runtime(program("runc")).run_command(&written);
    let mut command = stage.command(program("setpriv"));
    command.args(["--bounding-set", "-setpcap", "--inh-caps", "-setpcap"]);
    command.arg(allowed.get_program()).args(allowed.get_args());
    let ran = stage.run(&mut command).expect("runc");
    assert!(!ran.status.success(), "{} was to fail", ran.what);
    let right = run(&stage, "runc", "right", echo());
    let seen = verdicts.end();
    only(&seen, &written.id, "pod-not-starting/security proved");
    quiet(&seen, &right);
}

#[test]
fn removed_before_it_was_started() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "pod-not-starting-not-stopped-while-starting", &[]);
    let crun = stage.runtime(program("crun"));
    let removed = echo().write(&stage, &format!("removed-{}", stage.id())).expect("bundle");
    crun.create(&removed).expect("crun").success().expect("create");
    crun.delete(&removed.id).expect("crun").success().expect("delete");
    let seen = verdicts.end();
    quiet(&seen, &removed.id);
}

/// By Debian's crun, which is too old and has no handler.
#[test]
fn a_handler_that_an_old_crun_has_not() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crun-too-old-no-handler", &[]);
    let module = run(&stage, "crun", "module", Bundle::wasm(HELLO, true));
    let seen = verdicts.end();
    only(&seen, &module, "crun-too-old/no-handler proved");
}

#[test]
fn an_old_crun_that_does_what_it_should() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "crun-too-old-not-old-crun-delivers", &[]);
    let plain = run(&stage, "crun", "plain", echo());
    let seen = verdicts.end();
    quiet(&seen, &plain);
}

/// A module that its engine, a stand-in which says so, lets ask for a file that nobody may read, and what it says first.
fn asks(stage: &Stage, stand_in: &WasmEdge, name: &str, text: &str) -> String {
    let module = [text.as_bytes(), &[0; 200]].concat();
    let bundle = Bundle::wasm(&module, true).file("data/secret", b"secret");
    let bundle = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
    let secret = bundle.folder.join("rootfs/data/secret");
    fs::set_permissions(secret, fs::Permissions::from_mode(0o000)).expect("a mode");
    stage.run(&mut stand_in.with_library(&bundle)).expect("stand-in");
    bundle.id
}

#[test]
fn files_that_are_refused() {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    let verdicts = Verdicts::begin(&stage, "wasi-file-denied", &[]);
    let refused = asks(&stage, &stand_in, "refused", "asks");
    verdicts.awaits("wasi-file-denied", &refused);
    let seen = verdicts.end();
    let finding = only(&seen, &refused, "wasi-file-denied/not-permitted likely");
    let texts = finding["evidence"].as_array().into_iter().flatten();
    let texts: Vec<&str> = texts.filter_map(|evidence| evidence["text"].as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("data/secret was refused with EACCES")), "{texts:?}");
}

#[test]
fn files_that_are_refused_and_not_needed() {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    let verdicts = Verdicts::begin(&stage, "wasi-file-denied-not-needed", &[]);
    // It goes on without it.
    let well = asks(&stage, &stand_in, "well", "asks?");
    // Whatever it tries on its way: it is no Wasm, and what it ends with is its own affair.
    let tries = "ls /data; cat /data/secret; cd /data; touch /etc/new; /data/secret; sleep 0.1; exit 1";
    let bundle = Bundle::new(&["/bin/sh", "-c", tries]).user(1_000).file("data/secret", b"secret");
    let bundle = bundle.write(&stage, &format!("tries-{}", stage.id())).expect("bundle");
    let folder = bundle.folder.join("rootfs/data");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("a mode");
    let ran = stage.runtime(program("crun")).run(&bundle).expect("crun");
    assert_eq!(ran.code(), 1, "{}", ran.stderr);
    let refused = verdicts.run.wait_for("what it was refused", |object| {
        object["probe"] == "file" && object["container"]["id"] == *bundle.id
    });
    assert_eq!(refused["outcome"], "denied", "{refused:#}");
    let seen = verdicts.end();
    quiet(&seen, &well);
    quiet(&seen, &bundle.id);
    assert!(seen.events_of("file", &well).any(|event| event["outcome"] == "denied"), "it never asked");
}
