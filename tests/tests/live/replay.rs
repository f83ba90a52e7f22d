//! What is recorded is what was seen, for whoever may read it, and nothing more; and how a run is ended.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use observer_tests::rig::{
    Bundle, program,
    run::Run,
    stage,
    watch::{Seen, Watch, observer},
};
use rustix::process::Signal;

/// The user `nobody`.
const NOBODY: u32 = 65534;
/// Stands for a password, in every place that an observer could take one from.
const SECRET: &str = "hunter2-3f1c9a";

/// A start whose every byte of content holds the secret, recorded to `recording`.
fn recorded(recording: &Path) -> (String, Seen) {
    let stage = stage();
    let watch = Watch::with(&["--ready-wait", "1s", "--record", recording.to_str().expect("a path")]);
    let id = format!("recorded-{}", stage.id());
    let script = format!("echo out {SECRET}; echo err {SECRET} >&2; cat /held; echo {SECRET} > /dev/null");
    let bundle = Bundle::new(&["/bin/sh", "-c", &script])
        .file("held", SECRET.as_bytes())
        .annotation("org.example.password", SECRET)
        .write(&stage, &id)
        .expect("bundle");
    let mut run = stage.runtime(program("crun")).run_command(&bundle);
    let ran = stage.run(run.env("PASSWORD", SECRET)).expect("crun").success().expect("crun");
    assert!(ran.stdout.contains(SECRET), "the container did not say it");
    (id, watch.end())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn another_user_replays_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("run.rec");
    let (id, seen) = recorded(&recording);
    assert_eq!(seen.starts_of(&id).len(), 1, "{}", seen.stderr);

    let mode = fs::metadata(&recording).expect("a recording").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others may read it");

    let replayer = folder.path().join("observer");
    fs::copy(observer(), &replayer).expect("a copy of the program");
    for path in [folder.path(), &recording] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    let mut replay = Command::new(&replayer);
    replay.arg("replay").arg(&recording).args(["-o", "json"]).uid(NOBODY).gid(NOBODY).env_clear();
    let replayed = replay.output().expect("observer as nobody");
    assert_eq!(replayed.status.code(), Some(0), "{}", String::from_utf8_lossy(&replayed.stderr));
    assert_eq!(String::from_utf8_lossy(&replayed.stdout), seen.stdout);
}

#[test]
fn no_content_is_printed_or_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("run.rec");
    let (id, seen) = recorded(&recording);
    let bytes = fs::read(&recording).expect("a recording");
    assert!(holds(&bytes, &id), "the container itself is in the recording: this test reads it right");
    assert!(!holds(&bytes, SECRET), "the recording holds the secret");
    assert!(!seen.stdout.contains(SECRET), "the output holds the secret: {}", seen.stdout);
    // What it runs shows the secret to the whole node anyway, by its arguments; not so the observer.
    assert!(!seen.stderr.contains(SECRET), "standard error holds the secret: {}", seen.stderr);
}

#[test]
fn an_interrupted_run_says_what_it_saw_and_ends_well() {
    let stage = stage();
    let watch = Run::of(&["coldstart"]);
    let id = format!("interrupted-{}", stage.id());
    let bundle = Bundle::new(&["/bin/echo", "hello"]).write(&stage, &id).expect("bundle");
    stage.runtime(program("crun")).run(&bundle).expect("crun").success().expect("crun");
    let seen = watch.end();
    assert_eq!(seen.code, Some(0), "{}", seen.stdout);
    assert_eq!(seen.starts_of(&id).len(), 1, "{}", seen.stdout);
    assert_eq!(seen.objects.last().map(|object| &object["type"]), Some(&"summary".into()), "{}", seen.stdout);
}

#[test]
fn two_interrupts_end_it_as_one_does() {
    let watch = Run::of(&["coldstart"]);
    watch.signal(Signal::INT);
    let seen = watch.end();
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
}
