//! Every way to start a container on this machine, seen by the observer: each start is reported once, with its
//! container, and nothing else is.

mod network;

use observer_tests::{
    check::phase_names,
    rig::{
        Bundle, HELLO, program, stage,
        stage::{
            containerd::Removed,
            cri::{ContainerSpec, PodSpec},
        },
        watch::{Seen, Watch},
        workload,
    },
};
use serde_json::{Value, json};

/// One start of `id`, and what must be true of it: pointer and value.
fn expect<'a>(seen: &'a Seen, id: &str, fields: &[(&str, Value)]) -> &'a Value {
    let start = seen.start(id);
    for (pointer, value) in fields {
        assert_eq!(start.pointer(pointer), Some(value), "{id}: {pointer} of {start:#}");
    }
    start
}

/// What holds at the end of every run in which nothing went wrong.
fn nothing_missed(seen: &Seen) {
    seen.nothing_nameless();
    assert_eq!(seen.lost(), 0, "{}", seen.last("health"));
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
}

#[test]
fn runtimes_by_hand_in_one_call() {
    let stage = stage();
    let watch = Watch::begin();
    for name in ["crun", "runc", "youki"] {
        let bundle = Bundle::new(&["/bin/echo", "hello"]).seccomp().memory_limit(64 << 20);
        let bundle = bundle.write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        stage.runtime(program(name)).run(&bundle).expect(name).success().expect(name);
    }
    let seen = watch.end();
    for name in ["crun", "runc", "youki"] {
        let id = format!("{name}-{}", stage.id());
        let start = expect(
            &seen,
            &id,
            &[
                ("/container/runtime", json!(name)),
                ("/container/kind", json!("oci")),
                ("/container/cgroup", json!(format!("/{}/{id}", stage.id()))),
                ("/container/exit/code", json!(0)),
                ("/t0", json!("runtime")),
                ("/ready", json!("first-output")),
                ("/failure", Value::Null),
            ],
        );
        let names = phase_names(start);
        for phase in ["runtime-load", "namespaces", "cgroup", "rootfs", "security", "exec", "init"] {
            assert!(names.contains(&phase), "{id} has no {phase}: {names:?}");
        }
    }
    nothing_missed(&seen);
}

#[test]
fn runtimes_by_hand_step_by_step() {
    let stage = stage();
    let watch = Watch::begin();
    for name in ["crun", "runc", "youki"] {
        let runtime = stage.runtime(program(name));
        let bundle = Bundle::new(&["/bin/sleep", "1000"])
            .write(&stage, &format!("{name}-{}", stage.id()))
            .expect("bundle");
        let id = &bundle.id;
        runtime.create(&bundle).expect(name).success().expect(name);
        runtime.state(id).expect(name).success().expect(name);
        runtime.start(id).expect(name).success().expect(name);
        runtime.exec(id, &["/bin/echo", "inside"]).expect(name).success().expect(name);
        runtime.state(id).expect(name).success().expect(name);
        runtime.kill(id).expect(name).success().expect(name);
        runtime.delete(id).expect(name).success().expect(name);
    }
    let seen = watch.end();
    for name in ["crun", "runc", "youki"] {
        let id = format!("{name}-{}", stage.id());
        let start = expect(&seen, &id, &[("/container/runtime", json!(name)), ("/failure", Value::Null)]);
        let names = phase_names(start);
        assert!(names.contains(&"wait-start"), "{id} was created and started apart: {names:?}");
    }
    nothing_missed(&seen);
}

#[test]
fn wasm_modules_by_youki() {
    let stage = stage();
    let id = |name: &str| format!("{name}-{}", stage.id());
    let bundles = [
        ("hello", HELLO.to_vec()),
        ("oob", workload::wasm("oob")),
        ("unreachable", workload::wasm("unreachable")),
    ]
    .map(|(name, module)| Bundle::wasm(&module, true).write(&stage, &id(name)).expect("bundle"));
    let watch = Watch::begin();
    let youki = stage.runtime(program("youki"));
    for bundle in &bundles {
        youki.run(bundle).expect("youki");
    }
    let seen = watch.end();
    for (name, code) in [("hello", 0), ("oob", 255), ("unreachable", 255)] {
        let start = expect(
            &seen,
            &id(name),
            &[
                ("/container/runtime", json!("youki")),
                ("/container/kind", json!("wasm")),
                ("/container/exit/code", json!(code)),
            ],
        );
        let names = phase_names(start);
        for phase in ["wasm-load", "wasm-instantiate"] {
            assert!(names.contains(&phase), "{name} has no {phase}: {names:?}");
        }
        assert!(!names.contains(&"exec"), "{name} was executed: {names:?}");
    }
    nothing_missed(&seen);
}

#[test]
fn pods_by_containerd() {
    let stage = stage();
    let image = stage.image("busybox", Some(HELLO)).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let watch = Watch::begin();
    let mut pods = Vec::new();
    let mut containers = Vec::new();
    for handler in ["crun", "runc", "youki"] {
        let spec = PodSpec { name: handler, namespace: "shop", handler, host_network: false };
        let pod = Removed { cri: &cri, pod: cri.run_pod(&stage, &spec).expect(handler) };
        let command: &[_] = &["/bin/sh", "-c", "echo ready; sleep 1000"];
        let app = ContainerSpec { name: "app", image: &image.name, command, ..Default::default() };
        let first = cri.run_container(&pod.pod, &app).expect(handler);
        cri.exec(&first, &["/bin/true"]).expect(handler);
        let second = if handler == "youki" {
            let command: &[_] = &["/app.wasm"];
            ContainerSpec { name: "second", command, is_wasm: true, ..app.clone() }
        } else {
            ContainerSpec { name: "second", ..app.clone() }
        };
        let second = cri.run_container(&pod.pod, &second).expect(handler);
        containers.push((handler, first, second));
        pods.push(pod);
    }
    let ids: Vec<_> = pods.iter().map(|pod| (pod.pod.id.clone(), pod.pod.uid.clone())).collect();
    drop(pods);
    let seen = watch.end();
    for ((handler, first, second), (sandbox, uid)) in containers.iter().zip(&ids) {
        assert!(seen.starts_of(sandbox).is_empty(), "a pause container is no start: {sandbox}");
        let pod = [
            ("/container/runtime", json!(handler)),
            ("/container/pod", json!(handler)),
            ("/container/namespace", json!("shop")),
            ("/container/pod_uid", json!(uid)),
            ("/container/sandbox_id", json!(sandbox)),
            ("/container/image", json!(image.name)),
            ("/container/engine", json!("containerd")),
            ("/ready", json!("first-output")),
        ];
        let start = expect(
            &seen,
            first,
            &[&pod[..], &[("/container/name", json!("app")), ("/t0", json!("netns"))]].concat(),
        );
        let names = phase_names(start);
        for phase in ["cni", "sandbox", "shim", "engine"] {
            assert!(names.contains(&phase), "the pod's first container has no {phase}: {names:?}");
        }
        let kind = if *handler == "youki" { "wasm" } else { "oci" };
        let fields =
            [("/container/name", json!("second")), ("/container/kind", json!(kind)), ("/t0", json!("cri"))];
        let start = expect(&seen, second, &[&pod[..], &fields].concat());
        assert!(!phase_names(start).contains(&"cni"), "the pod's network was there already: {start:#}");
    }
    nothing_missed(&seen);
}

#[test]
fn containers_by_ctr() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let watch = Watch::begin();
    let id = format!("ctr-{}", stage.id());
    let ctr = ["run", "--rm", "--runc-binary", "crun", &image.name, &id, "/bin/echo", "hello"];
    containerd.ctr(&ctr).expect("ctr").success().expect("ctr");
    let seen = watch.end();
    let start = expect(
        &seen,
        &id,
        &[
            ("/container/runtime", json!("crun")),
            ("/container/engine", json!("containerd")),
            ("/container/exit/code", json!(0)),
            ("/t0", json!("shim")),
            ("/ready", json!("first-output")),
        ],
    );
    assert!(phase_names(start).contains(&"shim"), "{start:#}");
    nothing_missed(&seen);
}

#[test]
fn containers_by_podman() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let podman = stage.podman().expect("podman");
    podman.import(&image).expect("import");
    let watch = Watch::begin();
    for (name, network) in [("alone", "--network=none"), ("bridged", "--network=podman")] {
        let args = ["--name", name, network, &image.name, "/bin/echo", "hello"];
        podman.run(&program("crun"), &args).expect("podman").success().expect("podman");
    }
    let ids = ["alone", "bridged"].map(|name| {
        let ran = stage.run(podman.command("inspect").args(["--format", "{{.Id}}", name]));
        ran.expect("podman").success().expect("podman").stdout.trim().to_owned()
    });
    let seen = watch.end();
    for (id, (name, is_bridged)) in ids.iter().zip([("alone", false), ("bridged", true)]) {
        let start = expect(
            &seen,
            id,
            &[
                ("/container/name", json!(name)),
                ("/container/runtime", json!("crun")),
                ("/container/engine", json!("podman")),
                ("/container/exit/code", json!(0)),
                ("/t0", json!("command")),
                ("/ready", json!("first-output")),
            ],
        );
        let names = phase_names(start);
        for phase in ["engine", "shim"] {
            assert!(names.contains(&phase), "{id} has no {phase}: {names:?}");
        }
        assert_eq!(names.contains(&"cni"), is_bridged, "{id}: {names:?}");
    }
    nothing_missed(&seen);
}

#[test]
fn a_server_is_ready_when_it_listens() {
    let stage = stage();
    let id = format!("server-{}", stage.id());
    let args = ["/bin/sh", "-c", "echo starting; exec busybox nc -l -p 8080"];
    let bundle = Bundle::new(&args).write(&stage, &id).expect("bundle");
    let watch = Watch::with(&["--ready-wait", "10s"]);
    let crun = stage.runtime(program("crun"));
    crun.create(&bundle).expect("crun").success().expect("crun");
    crun.start(&id).expect("crun").success().expect("crun");
    let seen = watch.end();
    crun.delete(&id).expect("crun").success().expect("crun");
    let start = expect(&seen, &id, &[("/ready", json!("listen"))]);
    let at =
        |name: &str| start["milestones_ms"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {start:#}"));
    assert!(at("exec") < at("first_output") && at("first_output") < at("listen"), "{start:#}");
}
