//! Standard output through engines: what the payload said, what the observer counted and what is in the log file are
//! the same bytes. And what of it is shown, recorded and replayed.

use std::{fs, path::Path, process::Command, time::Duration};

use observer_tests::rig::{
    Stage, program,
    run::Run,
    stage,
    stage::{
        containerd::Removed,
        cri::{ContainerSpec, PodSpec},
    },
    stdio::{Container, Streams, delivered, drain, expect, until},
    watch::{Seen, observer},
};
use serde_json::{Value, json};

/// Lines on both streams, one of them longer than an engine takes at once.
const TALK: &str = r#"
n=0; while [ $n -lt 200 ]; do echo "line $n"; n=$((n + 1)); done
dd if=/dev/zero bs=1000 count=40 2>/dev/null | busybox tr '\0' x; echo
echo one error >&2; echo another >&2"#;

/// Bytes that [`TALK`] says on standard output and on standard error.
fn talked() -> (u64, u64) {
    let lines: usize = (0..200).map(|n| format!("line {n}\n").len()).sum();
    ((lines + 40_001) as u64, "one error\nanother\n".len() as u64)
}

/// The payload's bytes in an engine's log: `TIME STREAM F|P TEXT`, where the end of a partial line is not its own.
fn logged(log: &Path, stream: &str) -> u64 {
    let bytes = fs::read(log).unwrap_or_default();
    let of_line = |line: &[u8]| {
        let words: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
        let [_, of, tag, text] = words[..] else { panic!("no line of a log: {}", line.escape_ascii()) };
        if of == stream.as_bytes() { text.len() - usize::from(tag == b"P") } else { 0 }
    };
    bytes.split_inclusive(|byte| *byte == b'\n').map(of_line).sum::<usize>() as u64
}

/// What was said, what was counted and what is in the log are the same, on both streams.
fn all_agree(seen: &Seen, id: &str, reader: &str, log: &Path) {
    let (out, err) = talked();
    for (fd, stream, bytes) in [(1, "stdout", out), (2, "stderr", err)] {
        let event = seen.stream(id, fd, &[]);
        delivered(event, bytes);
        expect(&event["reader"], &[("comm", json!(reader))]);
        // The engine writes its log when it has read, and the container may be gone by then.
        until("the log", || (logged(log, stream) >= bytes).then_some(()));
        assert_eq!(logged(log, stream), bytes, "{}", log.display());
    }
}

fn ids(seen: &Seen) -> Vec<&str> {
    let events = seen.of_type("event");
    let mut ids: Vec<_> = events.filter_map(|event| event["container"]["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn pods_by_containerd() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let run = Run::begin(&stage, &[]);
    let filtered = Run::attached(&["--pod", "shop/web"]);
    let spec = |name| PodSpec { name, namespace: "shop", handler: "crun", host_network: false };
    let web = Removed { cri: &cri, pod: cri.run_pod(&stage, &spec("web")).expect("pod") };
    let other = Removed { cri: &cri, pod: cri.run_pod(&stage, &spec("webber")).expect("pod") };
    let app = |pod: &Removed, name, script: &str| {
        let command = ["/bin/sh", "-c", script];
        let spec = ContainerSpec { name, image: &image.name, command: &command, ..Default::default() };
        cri.run_container(&pod.pod, &spec).expect(name)
    };
    let log =
        |pod: &Removed, name: &str| stage.path(format!("logs-{}", pod.pod.uid)).join(format!("{name}.log"));
    let app_id = app(&web, "app", TALK);
    let quiet = app(&web, "quiet", "true");
    let away = app(&other, "away", "exec > /dev/null; echo lost");
    for id in [&app_id, &quiet, &away] {
        run.stream_ends(id, 1);
        run.stream_ends(id, 2);
    }
    filtered.stream_ends(&quiet, 1);
    let (seen, filtered) = (run.end(), filtered.end());
    all_agree(&seen, &app_id, "containerd-shim", &log(&web, "app"));
    let pod = [("name", json!("app")), ("pod", json!("web")), ("namespace", json!("shop"))];
    expect(&seen.stream(&app_id, 1, &[])["container"], &pod);
    expect(seen.stream(&quiet, 1, &[]), &[("outcome", json!("silent"))]);
    let redirected =
        [("outcome", json!("redirected")), ("target", json!("pipe")), ("target_now", json!("null"))];
    expect(seen.stream(&away, 1, &[]), &redirected);
    for (pod, name) in [(&web, "quiet"), (&other, "away")] {
        assert_eq!(logged(&log(pod, name), "stdout"), 0, "{name}");
    }
    let mut of_web = [app_id.as_str(), &quiet];
    of_web.sort_unstable();
    assert_eq!(ids(&filtered), of_web, "only this pod");
    seen.nothing_was_lost();
}

#[test]
fn containers_by_podman() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let podman = stage.podman().expect("podman");
    podman.import(&image).expect("import");
    let run = Run::begin(&stage, &[]);
    let crun = program("crun");
    for (name, script) in [("talks", TALK), ("quiet", "true")] {
        let args =
            ["--log-driver=k8s-file", "--name", name, "--network=none", &image.name, "/bin/sh", "-c", script];
        podman.run(&crun, &args).expect("podman").success().expect("podman");
    }
    let [(talks, log), (quiet, no_log)] = ["talks", "quiet"].map(|name| {
        let format = ["--format", "{{.Id}} {{.HostConfig.LogConfig.Path}}", name];
        let ran = stage.run(podman.command("inspect").args(format)).expect("podman").success();
        let line = ran.expect("podman").stdout;
        let (id, log) = line.trim().split_once(' ').expect("an id and a log");
        (id.to_owned(), log.to_owned())
    });
    for id in [&talks, &quiet] {
        run.stream_ends(id, 1);
        run.stream_ends(id, 2);
    }
    let seen = run.end();
    all_agree(&seen, &talks, "conmon", log.as_ref());
    expect(&seen.stream(&talks, 1, &[])["container"], &[("name", json!("talks"))]);
    expect(seen.stream(&quiet, 1, &[]), &[("outcome", json!("silent"))]);
    assert_eq!(logged(no_log.as_ref(), "stdout"), 0);
    seen.nothing_was_lost();
}

/// Three containers that differ in what becomes of their output: their ids, and what was read of each.
fn three(stage: &Stage) -> [(String, u64); 3] {
    let words = [
        ("wanted", "write:100x3 sleep:50 write:7"),
        ("unwanted", "write:20"),
        ("wan", "open:/tmp/log:1 write:5"),
    ];
    words.map(|(name, words)| {
        let (streams, out) = Streams::piped();
        let reader = drain(out, 65_536, Duration::ZERO);
        let mut container = Container::begin(stage, name, words, streams);
        assert_eq!(container.ends(), 0);
        (container.id.clone(), reader.join().expect("a reader"))
    })
}

/// Of which probes there were events of this stage's containers.
fn probes(seen: &Seen, stage: &Stage) -> Vec<String> {
    let ours = |event: &&Value| event["container"]["id"].as_str().is_some_and(|id| id.ends_with(stage.id()));
    let mut probes: Vec<_> =
        seen.of_type("event").filter(ours).filter_map(|event| event["probe"].as_str()).collect();
    probes.sort_unstable();
    probes.dedup();
    probes.into_iter().map(str::to_owned).collect()
}

#[test]
fn only_what_was_asked_for_is_shown() {
    let stage = stage();
    let all = Run::begin(&stage, &[]);
    let wanted = format!("wanted-{}", stage.id());
    let one = Run::attached(&["-c", &wanted]);
    let streams_only = Run::attached(&["--show", "stdio"]);
    let said = three(&stage);
    for (id, _) in &said {
        all.stream_ends(id, 1);
        streams_only.stream_ends(id, 1);
    }
    one.stream_ends(&wanted, 1);
    let (all, one, streams_only) = (all.end(), one.end(), streams_only.end());
    delivered(all.stream(&wanted, 1, &[]), said[0].1);
    delivered(one.stream(&wanted, 1, &[]), said[0].1);
    assert_eq!(ids(&one), [&wanted]);
    assert_eq!(probes(&all, &stage), ["exec", "runtime", "stdio"]);
    assert_eq!(probes(&streams_only, &stage), ["stdio"]);
    assert_eq!(streams_only.of_type("coldstart").count(), 0);
    for (id, _) in &said {
        assert_eq!(streams_only.outcomes(id, 1), all.outcomes(id, 1));
    }
    all.nothing_was_lost();
}

#[test]
fn streams_replay_as_they_were_told() {
    let stage = stage();
    let recording = stage.path("run.rec");
    let run = Run::begin(&stage, &["--record", recording.to_str().expect("a path")]);
    let said = three(&stage);
    for (id, _) in &said {
        run.stream_ends(id, 1);
    }
    let seen = run.end();
    delivered(seen.stream(&said[0].0, 1, &[]), said[0].1);
    let replay = |more: &[&str]| {
        let mut command = Command::new(observer());
        command.arg("replay").arg(&recording).args(["-o", "json"]).args(more);
        let output = command.output().expect("observer");
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8_lossy(&output.stdout).into_owned(), complaints, output.status.code())
    };
    assert_eq!(replay(&[]), (seen.stdout.clone(), String::new(), Some(0)));
    let (shown, _, code) = replay(&["--show", "stdio", "-c", &said[0].0]);
    assert_eq!(code, Some(0));
    let objects: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let shown: Vec<_> = objects.iter().filter(|object| object["type"] == "event").collect();
    let told: Vec<_> = seen.events_of("stdio", &said[0].0).collect();
    assert_eq!(shown, told);
    seen.nothing_was_lost();
}
