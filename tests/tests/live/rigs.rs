//! The rigs themselves: each makes what it says, and leaves nothing.

use std::fs;

use observer_tests::rig::{
    Bundle, HELLO, Stage, program, stage,
    stage::cri::{ContainerSpec, PodSpec},
    workload,
};

/// Everything of a stage that anybody could still find.
fn leftovers(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        let cgroup = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        if cgroup.contains(id) {
            found.push(format!("process {}", process.path().display()));
        }
    }
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let hierarchies = table.lines().filter(|line| line.contains(" - cgroup"));
    for root in hierarchies.filter_map(|line| line.split(' ').nth(4)) {
        if fs::exists(format!("{root}/{id}")).expect("a control group's folder") {
            found.push(format!("control group {root}/{id}"));
        }
    }
    found
}

fn leaves_nothing(act: impl FnOnce(&Stage)) {
    let stage = stage();
    act(&stage);
    let (id, folder) = (stage.id().to_owned(), stage.path(""));
    drop(stage);
    assert_eq!(leftovers(&id), [""; 0]);
    assert!(!folder.exists(), "{} is still there", folder.display());
}

#[test]
fn runtimes_by_hand() {
    leaves_nothing(|stage| {
        for name in ["crun", "runc", "youki"] {
            let runtime = stage.runtime(program(name));
            let hello = Bundle::new(&["/bin/echo", "hello"]).seccomp().memory_limit(64 << 20);
            let hello = hello.write(stage, &format!("{name}-hello")).expect("bundle");
            let ran = runtime.run(&hello).expect(name).success().expect(name);
            assert_eq!(ran.stdout, "hello\n", "{name}");

            let sleep =
                Bundle::new(&["/bin/sleep", "1000"]).write(stage, &format!("{name}-sleep")).expect("bundle");
            runtime.create(&sleep).expect(name).success().expect(name);
            runtime.start(&sleep.id).expect(name).success().expect(name);
            let exec = runtime.exec(&sleep.id, &["/bin/echo", "inside"]).expect(name).success().expect(name);
            assert_eq!(exec.stdout, "inside\n", "{name}");
            // It is left running: ending it is the stage's business.
        }
    });
}

#[test]
fn a_wasm_module_by_youki() {
    leaves_nothing(|stage| {
        let youki = stage.runtime(program("youki"));
        let hello = Bundle::wasm(HELLO, true).write(stage, "wasm-hello").expect("bundle");
        assert_eq!(youki.run(&hello).expect("youki").success().expect("youki").stdout, "hello from wasm\n");
        for name in ["oob", "unreachable"] {
            let trap = Bundle::wasm(&workload::wasm(name), true).write(stage, name).expect("bundle");
            assert_eq!(youki.run(&trap).expect("youki").code(), 255, "{name}");
        }
    });
}

#[test]
fn the_built_in_module_is_made_of_the_text_beside_it() {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../observer/src/app/demo/hello.wat");
    assert_eq!(workload::module(text.as_ref()), HELLO);
}

#[test]
fn pods_by_containerd() {
    leaves_nothing(|stage| {
        let image = stage.image("busybox", Some(HELLO)).expect("image");
        let containerd = stage.containerd(&image, &[]).expect("containerd");
        let cri = containerd.cri().expect("cri");
        for handler in ["crun", "runc", "youki"] {
            let spec = PodSpec { name: handler, namespace: "shop", handler, host_network: handler == "runc" };
            let pod = cri.run_pod(stage, &spec).expect(handler);
            let command: &[_] = &["/bin/sleep", "1000"];
            let container = ContainerSpec { name: "app", image: &image.name, command, ..Default::default() };
            let id = cri.run_container(&pod, &container).expect(handler);
            assert_eq!(cri.exec(&id, &["/bin/echo", "inside"]).expect(handler), "inside\n");
            if handler == "youki" {
                let command: &[_] = &["/app.wasm"];
                let wasm = ContainerSpec { name: "wasm", command, is_wasm: true, ..container.clone() };
                cri.run_container(&pod, &wasm).expect("wasm");
            }
            if handler != "crun" {
                cri.remove_pod(&pod).expect(handler);
            }
        }
        let ctr = ["run", "--rm", "--runc-binary", "crun", &image.name, "by-ctr", "/bin/echo", "hello"];
        assert_eq!(containerd.ctr(&ctr).expect("ctr").success().expect("ctr").stdout, "hello\n");
        // The first pod is left: it, its shim and its network are the stage's business.
    });
}

#[test]
fn containers_by_podman() {
    leaves_nothing(|stage| {
        let image = stage.image("busybox", None).expect("image");
        let podman = stage.podman().expect("podman");
        podman.import(&image).expect("import");
        let crun = program("crun");
        for network in ["none", "podman"] {
            let network = format!("--network={network}");
            let ran = podman.run(&crun, &["--rm", &network, &image.name, "/bin/echo", "hello"]);
            assert_eq!(ran.expect("podman").success().expect("podman").stdout, "hello\n", "{network}");
        }
        let detached = ["--detach", "--name", "left", "--network=none", &image.name, "/bin/sleep", "1000"];
        podman.run(&crun, &detached).expect("podman").success().expect("podman");
    });
}
