//! A node on which nothing is wrong: containers of every kind come and go, by every runtime and engine that is here,
//! and nothing is concluded or suspected of any of them.

use observer_tests::rig::{
    Bundle, HELLO,
    engines::{go, java, needs, needs_package, node, wasmtime},
    memory::{ends, shell},
    program, stage,
    stage::{
        containerd::Removed,
        cri::{ContainerSpec, PodSpec},
    },
    verdict::{Verdicts, quiet},
    wasmedge::WasmEdge,
};

/// What people run all day: it works, waits, reads, fails a little and goes on.
const SHELLS: [&str; 5] = [
    "echo hello; sleep 0.2; echo bye",
    "cat /etc/nothing; /bin/nothing; ls /bin; exit 0",
    "dd if=/dev/zero of=/tmp/file bs=65536 count=64; cat /tmp/file | dd of=/dev/null",
    "(sleep 0.1; echo later) & wait; echo done >&2",
    "/bin/faulter handled; echo recovered",
];

#[test]
// long: all that a node does on an ordinary day, one after the other
fn ordinary_work() {
    let test = "ordinary_work";
    let (Some(java_program), Some(javac), Some(go_program), Some(node_program), Some(package)) = (
        needs(test, "java"),
        needs(test, "javac"),
        needs(test, "go"),
        needs(test, "node"),
        needs_package(test, "wasmtime"),
    ) else {
        return;
    };
    let stage = stage();
    let (go, stand_in) = (go(&stage, &go_program), WasmEdge::build(&stage));
    let plain = stage.image("plain", None).expect("image");
    let module = stage.image("module", Some(HELLO)).expect("image");
    let podman = stage.podman().expect("podman");
    podman.import(&plain).expect("import");
    let containerd = stage.containerd(&module, &[&plain]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let verdicts = Verdicts::begin(&stage, "crash-loop-not-ordinary-work", &[]);

    let mut ids = Vec::new();
    for (number, script) in SHELLS.iter().enumerate() {
        ids.push(ends(&stage, &format!("shell-{number}"), shell(&stage, script)).0);
    }
    for runtime in ["runc", "youki"] {
        let bundle = Bundle::new(&["/bin/echo", "hello"]).write(&stage, &format!("{runtime}-{}", stage.id()));
        let bundle = bundle.expect("bundle");
        stage.runtime(program(runtime)).run(&bundle).expect(runtime).success().expect(runtime);
        ids.push(bundle.id);
    }
    let wasm = |name: &str| {
        Bundle::wasm(HELLO, true).write(&stage, &format!("{name}-{}", stage.id())).expect("bundle")
    };
    let (linked, compiled) = (wasm("linked"), wasm("compiled"));
    assert_eq!(stage.run(&mut stand_in.with_library(&linked)).expect("the stand-in").code(), 0);
    stage.runtime(program("youki")).run(&compiled).expect("youki").success().expect("youki");
    ids.extend([linked.id, compiled.id]);
    let programs = [
        ("java", java(&stage, &java_program, &javac, &["-Xmx64m"])),
        ("go", go),
        ("node", node(&node_program, &[])),
        ("v8", node(&node_program, &["growth"])),
        ("wasmtime", wasmtime(&package, "growth")),
    ];
    for (name, bundle) in programs {
        let (id, ran) = ends(&stage, name, bundle);
        assert_eq!(ran.code(), 0, "{name}: {}{}", ran.stdout, ran.stderr);
        ids.push(id);
    }
    let args = ["--name", "podman", "--network=none", plain.name.as_str(), "/bin/echo", "hello"];
    podman.run(&program("crun"), &args).expect("podman").success().expect("podman");
    for (handler, image, command) in
        [("crun", &plain, &["/bin/sh", "-c", "seq 100; sleep 0.5"][..]), ("youki", &module, &["/app.wasm"])]
    {
        let pod = PodSpec { name: handler, namespace: "shop", handler, host_network: false };
        let pod = Removed { cri: &cri, pod: cri.run_pod(&stage, &pod).expect("pod") };
        let is_wasm = handler == "youki";
        let spec = ContainerSpec { name: "app", image: &image.name, command, is_wasm, ..Default::default() };
        let id = cri.run_container(&pod.pod, &spec).expect("container");
        verdicts.run.wait_for(&format!("the end of {id}"), |object| {
            object["probe"] == "runtime" && object["action"] == "exit" && object["container"]["id"] == *id
        });
        ids.push(id);
    }
    let seen = verdicts.end();
    let by_podman = seen.of_type("coldstart").find(|start| start["container"]["name"] == "podman");
    let by_podman = by_podman.unwrap_or_else(|| panic!("podman's was not seen: {}", seen.stderr));
    ids.push(by_podman["container"]["id"].as_str().expect("an id").to_owned());
    for id in &ids {
        assert_eq!(seen.starts_of(id).len(), 1, "{id}");
        quiet(&seen, id);
    }
}
