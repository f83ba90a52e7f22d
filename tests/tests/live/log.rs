//! From the pipe to the log file of the engine: what containers of podman and of containerd's CRI wrote, and how long
//! the file is in which it ended.

use std::{fs, thread::sleep, time::Duration};

use observer_tests::rig::{
    program,
    run::Run,
    stage,
    stage::cri::{ContainerSpec, PodSpec},
    watch::Seen,
};
use serde_json::Value;

/// A hundred lines, then half a second of nothing.
const LINES: &[&str] = &["/bin/sh", "-c", "seq 100; sleep 0.5"];

/// What was said of a standard stream when it ended.
fn ended<'a>(seen: &'a Seen, id: &str, fd: u64) -> &'a Value {
    let mut events = seen.of_type("event").filter(|event| {
        event["probe"] == "stdio"
            && event["container"]["id"] == id
            && event["fd"] == fd
            && event["ended"] == true
    });
    let event = events.next().unwrap_or_else(|| panic!("{id}: nothing of {fd}: {}", seen.stderr));
    assert!(events.next().is_none(), "{id}: {fd} ended twice");
    event
}

#[test]
fn what_podman_writes_is_in_the_file_of_conmon() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let podman = stage.podman().expect("podman");
    podman.import(&image).expect("import");
    let crun = program("crun");
    let watch = Run::of(&["run", "--show", "stdio"]);
    let run = |name: &str, more: &[&str], command: &[&str]| {
        let options = ["--name", name, "--network=none", "--log-driver=k8s-file"];
        let args = [&options, more, &[image.name.as_str()], command].concat();
        podman.run(&crun, &args).expect("podman").success().expect("podman");
        let ran = stage.run(podman.command("inspect").args(["--format", "{{.Id}}", name])).expect("podman");
        ran.success().expect("podman").stdout.trim().to_owned()
    };
    let lines = run("lines", &[], LINES);
    let silent = run("silent", &[], &["/bin/true"]);
    let elsewhere = run("elsewhere", &["--log-driver=none"], LINES);
    let mut again = podman.command("start");
    stage.run(again.args(["--attach", "silent"])).expect("podman").success().expect("podman");
    sleep(Duration::from_secs(3));
    let seen = watch.end();

    let event = ended(&seen, &lines, 1);
    let log = &event["log_file"];
    assert_eq!(event["outcome"], "delivered", "{event}");
    assert_eq!(log["grew"], true, "{event}");
    let path = log["path"].as_str().expect("a path");
    assert_eq!(log["bytes"].as_u64(), fs::metadata(path).ok().map(|file| file.len()), "{event}");
    let quiet: Vec<_> =
        seen.events_of("stdio", &silent).filter(|event| event["fd"] == 1 && event["ended"] == true).collect();
    assert_eq!(quiet.len(), 2, "started twice");
    assert!(quiet.iter().all(|event| event["log_file"]["grew"] == false), "{quiet:?}");
    assert!(ended(&seen, &elsewhere, 1)["log_file"].is_null(), "it is logged nowhere");
}

#[test]
fn what_a_pod_writes_is_in_the_file_that_the_cri_names() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let spec = PodSpec { name: "web", namespace: "shop", handler: "crun", host_network: true };
    let pod = cri.run_pod(&stage, &spec).expect("pod");
    let app = ContainerSpec { name: "app", image: &image.name, command: LINES, ..Default::default() };
    let forever: &[&str] = &["/bin/sh", "-c", "echo before; sleep 1000"];
    let older = ContainerSpec { name: "older", command: forever, ..app.clone() };
    let older = cri.run_container(&pod, &older).expect("older");
    sleep(Duration::from_millis(300));

    let socket = containerd.socket().to_str().expect("a path");
    let watch = Run::of(&["run", "--show", "stdio", "--cri", socket]);
    let app = cri.run_container(&pod, &app).expect("app");
    sleep(Duration::from_secs(4));
    let seen = watch.end();

    let logs = stage.path(format!("logs-{}", pod.uid));
    let event = ended(&seen, &app, 1);
    assert_eq!(event["outcome"], "delivered", "{event}");
    assert_eq!(event["written_bytes"], 292, "{event}");
    let (path, log) = (logs.join("app.log"), &event["log_file"]);
    assert_eq!((log["path"].as_str(), &log["grew"]), (path.to_str(), &Value::Bool(true)), "{event}");
    assert_eq!(log["bytes"].as_u64(), fs::metadata(&path).ok().map(|file| file.len()), "{event}");

    let first = seen.events_of("stdio", &older).find(|event| event["fd"] == 1).expect("its state");
    assert_eq!(first["since"], "attach", "{first}");
    let (path, log) = (logs.join("older.log"), &first["log_file"]);
    assert_eq!(log["path"].as_str(), path.to_str(), "{first}");
    assert_eq!(log["bytes"].as_u64(), fs::metadata(&path).ok().map(|file| file.len()), "{first}");
    assert!(log["grew"].is_null(), "one look shows no growth: {first}");
}
