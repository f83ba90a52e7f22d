//! Starts that fail, for reasons made on purpose: each is reported once, broken down up to the call that failed;
//! and the same container without what is wrong with it is reported without a failure.

use observer_tests::{
    check::phase_names,
    rig::{
        Bundle, HELLO, Ran, Stage, program, stage,
        wasmedge::WasmEdge,
        watch::{Seen, Watch},
    },
};
use serde_json::{Value, json};

/// What is expected of a failure: pointer below `/failure`, and value.
type Fields<'a> = [(&'a str, Value)];

/// One reason for a start to fail, and what it is seen as.
struct Case<'a> {
    name: &'a str,
    runtimes: &'a [&'a str],
    wrong: Bundle,
    right: Bundle,
    failure: &'a Fields<'a>,
}

const ALL: &[&str] = &["crun", "runc", "youki"];
const ECHO: &[&str] = &["/bin/echo", "hello"];

fn echo() -> Bundle {
    Bundle::new(ECHO)
}

/// Runs the wrong and the right bundle under each runtime, and compares what was seen of both.
fn tell_apart(case: &Case) {
    let stage = stage();
    let id = |runtime: &str, which: &str| format!("{runtime}-{}-{which}-{}", case.name, stage.id());
    let watch = Watch::begin();
    let run = |runtime: &str, bundle: &Bundle, which: &str| {
        let written = bundle.clone().write(&stage, &id(runtime, which)).expect("bundle");
        stage.runtime(program(runtime)).run(&written).expect(runtime)
    };
    let ran: Vec<(Ran, Ran)> = case
        .runtimes
        .iter()
        .map(|runtime| (run(runtime, &case.wrong, "wrong"), run(runtime, &case.right, "right")))
        .collect();
    let seen = watch.end();
    for (runtime, (wrong, right)) in case.runtimes.iter().zip(&ran) {
        assert!(!wrong.status.success(), "{} was to fail", wrong.what);
        assert!(right.status.success(), "{} was not to fail: {}", right.what, right.stderr);
        failed(&seen, &id(runtime, "wrong"), case.failure, wrong);
        let start = seen.start(&id(runtime, "right"));
        assert_eq!(start["failure"], Value::Null, "{start:#}");
    }
    nothing_else(&seen, 2 * case.runtimes.len(), &stage);
}

fn failed<'a>(seen: &'a Seen, id: &str, fields: &Fields, ran: &Ran) -> &'a Value {
    let start = seen.start(id);
    let failure = &start["failure"];
    for (pointer, value) in fields {
        assert_eq!(
            failure.pointer(pointer),
            Some(value),
            "{id}: {pointer} of {start:#}; it said: {}",
            ran.stderr
        );
    }
    let text = failure["text"].as_str().unwrap_or_default();
    assert!(!text.is_empty(), "{id}: nothing is said of {failure:#}");
    let names = phase_names(start);
    assert_eq!(names.first(), Some(&"runtime-load"), "{id}: {names:?}");
    assert!(!names.contains(&"init") && !names.contains(&"ready"), "{id} got further than it did: {names:?}");
    start
}

/// No start but those that were made here.
fn nothing_else(seen: &Seen, made: usize, stage: &Stage) {
    seen.nothing_nameless();
    let ours = seen
        .of_type("coldstart")
        .filter(|start| start["container"]["id"].as_str().is_some_and(|id| id.ends_with(stage.id())));
    assert_eq!(ours.count(), made, "starts");
    assert_eq!(seen.lost(), 0, "{}", seen.last("health"));
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
}

#[test]
fn a_module_that_the_runtime_cannot_run() {
    tell_apart(&Case {
        name: "module",
        runtimes: &["crun", "runc"],
        wrong: Bundle::wasm(HELLO, false),
        right: Bundle::new(&["/app.wasm"]).file("app.wasm", b"#!/bin/sh\necho hello\n"),
        failure: &[
            ("/call", json!("execve")),
            ("/errno_name", json!("ENOEXEC")),
            ("/object", json!("/app.wasm")),
            ("/phase", json!("exec")),
        ],
    });
}

#[test]
fn a_program_that_is_not_there() {
    tell_apart(&Case {
        name: "program",
        runtimes: ALL,
        wrong: Bundle::new(&["/bin/nothing"]),
        right: echo(),
        failure: &[
            ("/object", json!("/bin/nothing")),
            ("/errno_name", json!("ENOENT")),
            ("/phase", json!("exec")),
        ],
    });
}

#[test]
fn a_root_that_is_not_there() {
    tell_apart(&Case {
        name: "root",
        runtimes: ALL,
        wrong: echo().without_root(),
        right: echo(),
        failure: &[("/errno_name", json!("ENOENT"))],
    });
}

#[test]
fn a_mount_of_what_is_not_there() {
    let source = |path: &str| echo().mount("/mnt", "bind", path, &["rbind", "ro"]);
    tell_apart(&Case {
        name: "source",
        runtimes: ALL,
        wrong: source("/observer-has-no-such-folder"),
        right: source("/tmp"),
        failure: &[("/errno_name", json!("ENOENT")), ("/phase", json!("rootfs"))],
    });
}

#[test]
fn a_mount_with_an_option_that_means_nothing() {
    let size = |size: &str| echo().mount("/mnt", "tmpfs", "tmpfs", &[size]);
    for (runtimes, call) in [(&["crun", "runc"][..], "mount"), (&["youki"][..], "fsconfig")] {
        tell_apart(&Case {
            name: "option",
            runtimes,
            wrong: size("size=plenty"),
            right: size("size=64k"),
            failure: &[("/call", json!(call)), ("/errno_name", json!("EINVAL")), ("/phase", json!("rootfs"))],
        });
    }
}

#[test]
fn a_namespace_of_another_kind() {
    tell_apart(&Case {
        name: "kind",
        runtimes: ALL,
        wrong: echo().joins("network", "/proc/self/ns/uts"),
        right: echo().joins("network", "/proc/self/ns/net"),
        failure: &[
            ("/call", json!("setns")),
            ("/errno_name", json!("EINVAL")),
            ("/phase", json!("namespaces")),
        ],
    });
}

#[test]
fn memory_too_small_for_the_runtime_itself() {
    let limit = |bytes: i64| echo().memory_limit(bytes);
    tell_apart(&Case {
        name: "memory",
        runtimes: &["crun"],
        wrong: limit(64 << 10),
        right: limit(64 << 20),
        failure: &[
            ("/object", json!("memory limit")),
            ("/errno_name", json!("ENOMEM")),
            ("/phase", json!("cgroup")),
        ],
    });
    // It writes the limit when its own process is in the group already, so the kernel refuses it.
    tell_apart(&Case {
        name: "memory",
        runtimes: &["runc"],
        wrong: limit(64 << 10),
        right: limit(64 << 20),
        failure: &[("/errno_name", json!("EBUSY")), ("/phase", json!("cgroup"))],
    });
}

/// crun and runc make every process and thread of theirs before the limit holds, and start all the same.
#[test]
fn processes_too_few_for_the_runtime_itself() {
    let limit = |count: i64| echo().pids_limit(count);
    tell_apart(&Case {
        name: "pids",
        runtimes: &["youki"],
        wrong: limit(1),
        right: limit(64),
        failure: &[("/errno_name", json!("EAGAIN"))],
    });
}

#[test]
fn a_runtime_that_may_not_make_namespaces() {
    let stage = stage();
    let watch = Watch::begin();
    let id = |runtime: &str| format!("{runtime}-may-not-{}", stage.id());
    let run = |runtime: &&str| {
        let written = echo().write(&stage, &id(runtime)).expect("bundle");
        let allowed = stage.runtime(program(runtime)).run_command(&written);
        let mut command = stage.command(program("setpriv"));
        command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
        command.arg(allowed.get_program()).args(allowed.get_args());
        stage.run(&mut command).expect(runtime)
    };
    let ran: Vec<_> = ALL.iter().map(run).collect();
    let seen = watch.end();
    for (runtime, ran) in ALL.iter().zip(&ran) {
        assert!(!ran.status.success(), "{} was to fail", ran.what);
        failed(&seen, &id(runtime), &[("/errno_name", json!("EPERM"))], ran);
    }
    nothing_else(&seen, ALL.len(), &stage);
}

#[test]
fn an_engine_library_that_is_nowhere() {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    let bundle = |name: &str| {
        Bundle::wasm(HELLO, true).write(&stage, &format!("{name}-{}", stage.id())).expect("bundle")
    };
    let (nowhere, found) = (bundle("nowhere"), bundle("found"));
    let watch = Watch::begin();
    let ran = stage.run(&mut stand_in.without_library(&nowhere)).expect("stand-in");
    assert_eq!(ran.code(), 1, "{}", ran.stderr);
    stage.run(&mut stand_in.with_library(&found)).expect("stand-in").success().expect("stand-in");
    let seen = watch.end();
    let fields = [
        ("/call", json!("openat")),
        ("/errno_name", json!("ENOENT")),
        ("/object", json!("libwasmedge.so.0")),
        ("/phase", json!("wasm-engine")),
    ];
    failed(&seen, &nowhere.id, &fields, &ran);
    assert_eq!(seen.start(&found.id)["failure"], Value::Null);
    nothing_else(&seen, 2, &stage);
}
