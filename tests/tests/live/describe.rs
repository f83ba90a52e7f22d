//! `observer describe` for who arrives after the fault: containers that were made before it, that are blocked, that crash
//! again and again, that are gone, that never were; and hostile names.

use std::{
    path::Path,
    process::{Command, Output},
};

use observer_tests::rig::{
    Stage, program, stage,
    stage::{
        containerd::Removed,
        cri::{ContainerSpec, Cri, PodSpec},
    },
    stdio::{Cat, Container, Streams, until},
    watch::observer,
    workload,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Writes on and on, and not too much.
const CHATTY: &[&str] =
    &["/bin/sh", "-c", "while :; do head -c 2000 /dev/zero | tr '\\0' x; sleep 0.05; done"];

fn ask(who: &str, more: &[&str]) -> Output {
    let mut command = Command::new(observer());
    command.args(["describe", who, "--for", "3s", "--standalone"]).args(more);
    command.output().expect("observer")
}

/// The one object, and the exit code.
fn described(who: &str, cri: Option<&Path>) -> (Value, Option<i32>) {
    let socket = cri.map(|path| path.to_str().expect("a path"));
    let options: Vec<&str> = socket.iter().flat_map(|socket| ["--cri", *socket]).collect();
    let out = ask(who, &[&options[..], &["-o", "json"]].concat());
    let text = String::from_utf8(out.stdout).expect("text");
    let object = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    (object, out.status.code())
}

fn on_a_screen(who: &str, cri: &Path) -> String {
    let out = ask(who, &["--cri", cri.to_str().expect("a path")]);
    String::from_utf8(out.stdout).expect("text")
}

fn pod<'a>(stage: &Stage, cri: &'a Cri, name: &str) -> Removed<'a> {
    let spec = PodSpec { name, namespace: "shop", handler: "crun", host_network: true };
    Removed { cri, pod: cri.run_pod(stage, &spec).expect("pod") }
}

/// A process that takes nothing as long as this lives.
struct Stopped(Pid);

impl Stopped {
    fn of(pid: &Value) -> Stopped {
        let pid = pid.as_i64().and_then(|pid| Pid::from_raw(pid as i32)).expect("a pid");
        kill_process(pid, Signal::STOP).expect("stop");
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Crashes at once, four times, as a kubelet would start it again.
fn crash_again_and_again(cri: &Cri, pod: &Removed, image: &str) -> Vec<String> {
    let crash =
        ContainerSpec { name: "app", image, command: &["/bin/sh", "-c", "exit 7"], ..Default::default() };
    let ids: Vec<String> = (0..4)
        .map(|attempt| {
            let spec = ContainerSpec { attempt, ..crash.clone() };
            cri.run_container(&pod.pod, &spec).expect("crash")
        })
        .collect();
    // CONTAINER_EXITED
    until("the end of the last one", || {
        let all = ids.iter().all(|id| cri.container_status(id).is_ok_and(|status| status.state == 2));
        all.then_some(())
    });
    ids
}

#[test]
fn pods_that_were_there_before() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let (web, crash) = (pod(&stage, &cri, "web-0"), pod(&stage, &cri, "crash-0"));
    let app = ContainerSpec {
        name: "app",
        image: &image.name,
        command: CHATTY,
        memory_limit: 64 << 20,
        ..Default::default()
    };
    let id = cri.run_container(&web.pod, &app).expect("app");
    let crashed = crash_again_and_again(&cri, &crash, &image.name);
    let socket = containerd.socket();

    // What is written at the very moment of the look is in the pipe yet.
    let (healthy, code) = until("an empty pipe", || {
        let (told, code) = described("shop/web-0", Some(socket));
        let outcome = told["containers"][0]["stdio"][0]["outcome"].clone();
        (outcome != "unknown").then_some((told, code))
    });
    assert_eq!(
        (&healthy["type"], &healthy["known"], code),
        (&json!("describe"), &json!("here"), Some(0)),
        "{healthy:#}"
    );
    let it = &healthy["containers"][0];
    assert_eq!(healthy["containers"].as_array().map(Vec::len), Some(1), "{healthy:#}");
    for (at, expected) in [
        ("/container/id", json!(id)),
        ("/container/pod", json!("web-0")),
        ("/container/handler", json!("crun")),
        ("/condition", json!("running")),
        ("/since", json!("attach")),
        ("/restarts", json!(0)),
        ("/limits/memory_bytes", json!(64 << 20)),
        ("/stdio/0/target", json!("pipe")),
        ("/stdio/0/outcome", json!("delivered")),
        ("/stdio/0/log_file/grew", json!(true)),
        ("/coldstart", Value::Null),
    ] {
        assert_eq!(it.pointer(at), Some(&expected), "{at}: {healthy:#}");
    }
    assert!(it["stdio"][0]["written_bytes"].as_u64() > Some(0), "{it:#}");
    assert!(it["memory"]["rss_bytes"].as_u64() > Some(0), "{it:#}");
    let lacks = healthy["not_measured"].as_array().expect("a list");
    assert!(lacks.iter().any(|lack| lack["why"] == "nobody watched then"), "{lacks:#?}");

    blocked(&it["stdio"][0]["reader"]["pid"], &id, socket);
    crashes(&crashed, socket);
}

/// While its shim takes nothing, it is blocked, and the engine that cannot reach the shim holds nobody up.
fn blocked(reader: &Value, id: &str, socket: &Path) {
    let shim = Stopped::of(reader);
    let blocked = until("a blocked writer", || {
        let (told, _) = described("shop/web-0", Some(socket));
        (told["containers"][0]["stdio"][0]["outcome"] == "blocked").then_some(told)
    });
    let stream = &blocked["containers"][0]["stdio"][0];
    assert!(stream["pipe_bytes"].as_u64() > Some(50_000), "a pipe that is full: {stream:#}");
    assert_eq!(
        blocked["containers"][0]["condition"], "running",
        "the engine's answer does not wait for the shim"
    );
    assert!(on_a_screen(&id[..12], socket).contains("blocked: "), "by its short id");
    drop(shim);
}

/// It does not exist at this moment; its engine has its ends.
fn crashes(crashed: &[String], socket: &Path) {
    let (down, code) = described("shop/crash-0", Some(socket));
    assert_eq!((&down["known"], code), (&json!("down"), Some(0)), "{down:#}");
    let it = &down["containers"][0];
    assert_eq!((&it["condition"], &it["restarts"]), (&json!("exited"), &json!(3)), "{it:#}");
    let exits: Vec<_> = it["exits"].as_array().expect("a list").iter().collect();
    assert_eq!(exits.len(), 4, "{it:#}");
    assert!(exits.iter().all(|exit| exit["code"] == 7 && exit["time"].is_string()), "{exits:#?}");
    assert_eq!(exits[0]["id"].as_str(), crashed.last().map(String::as_str), "the latest first");
    assert!(down["said"].as_str().is_some_and(|said| said.contains("exit status 7")), "{down:#}");
}

/// Both by a runtime with an engine in it; one is a module, one a program.
#[test]
fn a_module_that_was_there_before_and_a_program_beside_it() {
    let stage = stage();
    let module = stage.image("module", Some(&workload::wasm("sleep"))).expect("image");
    let containerd = stage.containerd(&module, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let spec = PodSpec { name: "wasm-0", namespace: "shop", handler: "youki", host_network: true };
    let pod = Removed { cri: &cri, pod: cri.run_pod(&stage, &spec).expect("pod") };
    let of = |name, command, is_wasm| ContainerSpec {
        name,
        image: &module.name,
        command,
        is_wasm,
        ..Default::default()
    };
    cri.run_container(&pod.pod, &of("module", &["/app.wasm"], true)).expect("module");
    cri.run_container(&pod.pod, &of("plain", CHATTY, false)).expect("plain");
    let (told, _) = described("shop/wasm-0", Some(containerd.socket()));
    let containers = told["containers"].as_array().expect("a list");
    let of = |name: &str| {
        let it = containers.iter().find(|it| it["container"]["name"] == name).expect("told of");
        (it["since"].clone(), it["container"]["kind"].clone(), it["container"]["wasm_engine"].clone())
    };
    assert_eq!(of("module"), (json!("attach"), json!("wasm"), json!("built into youki")), "{told:#}");
    assert_eq!(of("plain"), (json!("attach"), json!("oci"), Value::Null), "{told:#}");
    let modules: Vec<_> = containers.iter().map(|it| &it["module"]["path"]).collect();
    assert!(modules.contains(&&json!("/app.wasm")) && modules.contains(&&Value::Null), "{told:#}");
}

#[test]
fn a_container_without_kubernetes_and_a_hostile_question() {
    let stage = stage();
    let (streams, out) = Streams::piped();
    let cat = Cat::begin(&stage, "well", out);
    let words = "deaf write:100 mark:/said wait:/end";
    let mut well = Container::begin(&stage, "well", words, streams);
    well.reaches("said");
    cat.has_taken(100);
    let short = &well.id[..well.id.len() - 1];
    let (told, code) = described(short, None);
    assert_eq!((&told["known"], code), (&json!("here"), Some(0)), "{told:#}");
    let it = &told["containers"][0];
    assert_eq!((&it["container"]["id"], &it["restarts"]), (&json!(well.id), &Value::Null), "{it:#}");
    assert_eq!(it["stdio"][0]["reader"]["comm"], "cat", "{it:#}");
    well.release("end");
    assert_eq!(well.ends(), 0);

    let hostile = "a\u{1b}[31m/b\u{202e}";
    let out = ask(hostile, &[]);
    let screen = String::from_utf8(out.stdout).expect("text");
    assert_eq!(out.status.code(), Some(4), "{screen}");
    assert!(!screen.contains(['\u{1b}', '\u{202e}']) && screen.contains("\\x1b[31m"), "{screen}");
    let wrong = ask("a/b/c", &[]);
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
}

#[test]
fn a_container_of_podman_by_its_short_id_and_by_its_name() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let podman = stage.podman().expect("podman");
    podman.import(&image).expect("import");
    let name = format!("well-{}", stage.id());
    let options = ["--detach", "--name", &name, "--network=none", "--log-driver=k8s-file", &image.name];
    let args = [&options[..], CHATTY].concat();
    let ran = podman.run(&program("crun"), &args).expect("podman").success().expect("podman");
    let id = ran.stdout.trim().to_owned();
    for who in [&id[..8], &name] {
        let (told, code) = described(who, None);
        let it = &told["containers"][0];
        assert_eq!((&told["known"], code), (&json!("here"), Some(0)), "{told:#}");
        assert_eq!((&it["container"]["id"], &it["container"]["name"]), (&json!(id), &json!(name)), "{it:#}");
        assert_eq!(it["stdio"][0]["reader"]["comm"], "conmon", "{it:#}");
        assert_eq!(it["stdio"][0]["log_file"]["grew"], true, "{it:#}");
    }
    podman.remove(&name).expect("rm");
}
