//! How programs fail with their memory: real containers by crun, each beside one that looks like it and must be
//! passed over in silence.

mod engines;
mod runtimes;

use observer_tests::rig::{
    Stage,
    memory::{ends, faulter, shell},
    program,
    run::Run,
    stage,
    stdio::{expect, until},
    watch::Seen,
};
use serde_json::{Value, json};

const MIB: i64 = 1 << 20;

/// Whatever begins from now on is followed from its start.
fn watch(stage: &Stage) -> Run {
    Run::begin(stage, &["--ready-wait", "1s"])
}

/// A signal that ended a process: all that is said of it.
fn raised(fault: &Value, signal: i32, code: i32, region: Value) {
    expect(
        fault,
        &[
            ("kind", json!("fault")),
            ("signal", json!(signal)),
            ("code", json!(code)),
            ("handled", json!(false)),
            ("region", region),
            ("wasm_address", Value::Null),
            ("seen", json!("signal")),
            ("count", json!(1)),
            ("since", json!("start")),
            ("why", Value::Null),
        ],
    );
    expect(&fault["process"], &[("comm", json!("faulter"))]);
}

#[test]
fn signals_that_end_a_container() {
    let stage = stage();
    let watch = watch(&stage);
    let cases = [
        ("null", 11, 1, json!("null"), json!("0x10")),
        ("wild", 11, 1, json!("other"), json!("0x10000000000")),
        ("ill", 4, 2, Value::Null, Value::Null),
        ("fpe", 8, 1, Value::Null, Value::Null),
    ];
    let run = |words: &str, signal: i32| {
        let (id, ran) = ends(&stage, words, faulter(&stage, words));
        assert_eq!(ran.code(), 128 + signal, "{words}: {}", ran.stderr);
        id
    };
    let ids = cases.each_ref().map(|(words, signal, ..)| run(words, *signal));
    let [stack, thread] = ["stack", "thread"].map(|words| run(words, 11));
    let bus = run("bus", 7);
    // A handler took it, and let it come again: that is one crash.
    let reported = run("reported", 11);
    let seen = watch.end();
    for (id, (_, signal, code, region, address)) in ids.iter().zip(cases) {
        let fault = seen.fault_of(id);
        raised(fault, signal, code, region);
        expect(&fault["process"], &[("exe", json!("/bin/faulter"))]);
        if !address.is_null() {
            expect(fault, &[("address", address)]);
        }
        expect(seen.exit_of(id), &[("code", json!(128 + signal)), ("signal", json!(signal))]);
    }
    raised(seen.fault_of(&stack), 11, 1, json!("stack"));
    // Beyond a thread's stack is a page that is there and may not be touched.
    raised(seen.fault_of(&thread), 11, 2, json!("stack"));
    raised(seen.fault_of(&reported), 11, 1, json!("other"));
    raised(seen.fault_of(&bus), 7, 2, json!("other"));
    seen.nothing_was_lost();
}

#[test]
fn a_child_that_a_signal_ends() {
    let stage = stage();
    let watch = watch(&stage);
    let (null, ran) = ends(&stage, "null-child", faulter(&stage, "child"));
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let (abort, ran) = ends(&stage, "abort", shell(&stage, "/bin/faulter abort; exit 3"));
    assert_eq!(ran.code(), 3, "{}", ran.stderr);
    // Sent by somebody: it has no address, whatever stands in its place.
    let (sent, ran) = ends(&stage, "sent", shell(&stage, "sh -c 'kill -SEGV $$'; exit 3"));
    assert_eq!(ran.code(), 3, "{}", ran.stderr);
    // The first process of a pid namespace cannot end itself by SIGABRT, and then does what nobody may.
    let (init, ran) = ends(&stage, "abort-init", faulter(&stage, "abort"));
    assert_eq!(ran.code(), 139, "{}", ran.stderr);
    // Looks like it: the shell gives the same exit code, and nothing was raised.
    let (code, ran) = ends(&stage, "code", shell(&stage, "exit 139"));
    assert_eq!(ran.code(), 139, "{}", ran.stderr);
    let seen = watch.end();
    raised(seen.fault_of(&null), 11, 1, json!("null"));
    raised(seen.fault_of(&abort), 6, -6, Value::Null);
    raised(seen.fault_of(&init), 11, 128, Value::Null);
    let without = [("address", Value::Null), ("region", Value::Null)];
    expect(seen.fault_of(&init), &without);
    expect(
        seen.fault_of(&sent),
        &[&[("kind", json!("fault")), ("signal", json!(11)), ("code", json!(0))][..], &without].concat(),
    );
    expect(seen.exit_of(&null), &[("code", json!(0)), ("signal", Value::Null), ("reason", Value::Null)]);
    expect(seen.exit_of(&abort), &[("code", json!(3)), ("signal", Value::Null), ("reason", Value::Null)]);
    seen.is_quiet(&code);
    seen.nothing_was_lost();
}

#[test]
fn thousands_of_signals_that_are_recovered_from() {
    let stage = stage();
    let watch = watch(&stage);
    let (id, ran) = ends(&stage, "handled", faulter(&stage, "handled"));
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let seen = watch.end();
    seen.is_quiet(&id);
    seen.nothing_was_lost();
}

/// Killed for want of memory under its own limit.
fn killed(seen: &Seen, id: &str) {
    let event = seen.fault_of(id);
    let limit = 32 * MIB;
    expect(
        event,
        &[
            ("kind", json!("oom-kill")),
            ("signal", json!(9)),
            ("scope", json!("memcg")),
            ("limit_bytes", json!(limit)),
            ("why", Value::Null),
            ("count", json!(1)),
        ],
    );
    let rss = event["rss_bytes"].as_i64().expect("a number of bytes");
    // Page tables and the kernel's own part are not resident, and what is shared is not charged.
    assert!((limit / 2..limit + 4 * MIB).contains(&rss), "{event:#}");
    expect(&event["process"], &[("comm", json!("faulter"))]);
}

#[test]
fn killed_for_want_of_memory() {
    let stage = stage();
    let watch = watch(&stage);
    let run = |words: &str| {
        let bundle = faulter(&stage, words).memory_limit(32 * MIB);
        let (id, ran) = ends(&stage, &words.replace(' ', "-"), bundle);
        (id, ran.code(), ran.stderr)
    };
    let (init, code, _) = run("hog");
    assert_eq!(code, 137);
    let (child, code, said) = run("hog-child");
    assert_eq!(code, 0, "it lives on: {said}");
    // Looks like it: nearly all that it may have; and one that kills itself with the same signal.
    let (near, code, said) = run("use 28");
    assert_eq!(code, 0, "{said}");
    let suicide = shell(&stage, "sh -c 'kill -9 $$'; exit 137").memory_limit(32 * MIB);
    let (suicide, ran) = ends(&stage, "suicide", suicide);
    assert_eq!(ran.code(), 137);
    let seen = watch.end();
    killed(&seen, &init);
    let of_init = [("code", json!(137)), ("signal", json!(9)), ("reason", json!("OOMKilled"))];
    expect(seen.exit_of(&init), &of_init);
    killed(&seen, &child);
    expect(seen.exit_of(&child), &[("code", json!(0)), ("signal", Value::Null), ("reason", Value::Null)]);
    seen.is_quiet(&near);
    seen.is_quiet(&suicide);
    seen.nothing_was_lost();
}

#[test]
fn address_space_that_is_refused() {
    let stage = stage();
    let watch = watch(&stage);
    let [refused, granted, made_do] = ["refused", "granted", "made-do"].map(|words| {
        let (id, ran) = ends(&stage, words, faulter(&stage, words));
        assert_eq!(ran.code(), 0, "{words}: {}", ran.stderr);
        id
    });
    let seen = watch.end();
    expect(
        seen.fault_of(&refused),
        &[
            ("kind", json!("map-failed")),
            ("errno_name", json!("ENOMEM")),
            ("asked_bytes", json!(10_i64 << 30)),
            ("signal", Value::Null),
            ("handled", Value::Null),
        ],
    );
    seen.is_quiet(&granted);
    seen.is_quiet(&made_do);
    seen.nothing_was_lost();
}

#[test]
fn told_to_end() {
    let stage = stage();
    let watch = watch(&stage);
    let crun = stage.runtime(program("crun"));
    let cases = [
        ("deaf", &["TERM", "KILL"][..], 137, json!("SIGTERM was ignored, then killed")),
        ("obedient", &["TERM"], 0, Value::Null),
        // Look like the first: it took the signal and was not done in time; or there was none.
        ("slow", &["TERM", "KILL"], 137, Value::Null),
        ("obedient-killed", &["KILL"], 137, Value::Null),
    ];
    let ids = cases.each_ref().map(|(name, signals, code, _)| {
        let words = name.split('-').next().expect("a word");
        let bundle = faulter(&stage, words).write(&stage, &format!("{name}-{}", stage.id()));
        let bundle = bundle.expect("bundle");
        let running = stage.spawn(&mut crun.run_command(&bundle)).expect("crun");
        until(&format!("{name} to wait"), || running.stdout().contains("waiting").then_some(()));
        for signal in *signals {
            let kill = stage.run(crun.command("kill").args([&bundle.id, *signal]));
            kill.expect("crun").success().expect("kill");
        }
        assert_eq!(running.finish().expect("crun").code(), *code, "{name}");
        bundle.id
    });
    let seen = watch.end();
    for (id, (_, _, code, reason)) in ids.iter().zip(cases) {
        expect(seen.exit_of(id), &[("code", json!(code)), ("reason", reason)]);
        assert_eq!(seen.memory_of(id), [&Value::Null; 0], "{id}");
    }
    seen.nothing_was_lost();
}
