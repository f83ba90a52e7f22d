//! What a node does on an ordinary day: containers of every kind come and go, by every runtime and engine that is here;
//! images are pulled and built, names looked up, calls made. Nothing is wrong with any of it.

use std::{fs, path::PathBuf, thread::sleep, time::Duration};

use crate::rig::{
    Bundle, HELLO, Stage,
    dns::{DNSMASQ, Names, contained},
    engines::{go, java, needs, needs_package, node, wasmtime},
    memory::{ends, shell},
    program,
    stage::{
        Running,
        containerd::{Containerd, Removed},
        cri::{ContainerSpec, Cri, PodSpec, wire::EXITED},
        image::Image,
        podman::Podman,
    },
    stdio::until,
    wasmedge::WasmEdge,
    webhook::{Certificate, curl, server},
};

/// What people run all day: it works, waits, reads, fails a little and goes on.
const SHELLS: [&str; 6] = [
    "echo hello; sleep 0.2; echo bye",
    "cat /etc/nothing; /bin/nothing; ls /bin; exit 0",
    "dd if=/dev/zero of=/tmp/file bs=65536 count=64; cat /tmp/file | dd of=/dev/null",
    "(sleep 0.1; echo later) & wait; echo done >&2",
    "/bin/faulter handled; echo recovered",
    "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done",
];

/// Where pulls come from.
const REGISTRY: &str = "localhost:5000";
/// Where calls go to.
const SERVER: u16 = 8_443;

/// A stage with everything on it that the day needs.
pub struct Day<'stage> {
    stage: &'stage Stage,
    programs: Vec<(&'static str, Bundle)>,
    wasmedge: WasmEdge<'stage>,
    plain: Image,
    module: Image,
    podman: Podman<'stage>,
    containerd: Containerd<'stage>,
    certificate: Certificate,
    _names: Names<'stage>,
    _servers: [Running; 2],
}

/// A container that has come and gone: its id, or what an engine calls it.
#[derive(Debug)]
pub enum Gone {
    Id(String),
    Name(String),
}

impl<'stage> Day<'stage> {
    /// `None`: something that it takes is not here, which is counted as a skip of this test.
    ///
    /// # Panics
    /// What is here cannot be made to run.
    pub fn begin(test: &str, stage: &'stage Stage) -> Option<Day<'stage>> {
        let names = ["java", "javac", "go", "node"].map(|name| needs(test, name));
        let [Some(java_program), Some(javac), Some(go_program), Some(node_program)] = names else {
            return None;
        };
        let package = needs_package(test, "wasmtime")?;
        let plain = stage.image("plain", None).expect("image");
        let module = stage.image("module", Some(HELLO)).expect("image");
        let podman = stage.podman().expect("podman");
        podman.import(&plain).expect("import");
        let containerd = stage.containerd(&module, &[&plain]).expect("containerd");
        let certificate = Certificate::new(stage, "own");
        let server = server(stage, ("127.0.0.1", SERVER), Some(&certificate), &[]);
        Some(Day {
            stage,
            programs: vec![
                ("java", java(stage, &java_program, &javac, &["-Xmx64m"])),
                ("go", go(stage, &go_program)),
                ("node", node(&node_program, &[])),
                ("v8", node(&node_program, &["growth"])),
                ("wasmtime", wasmtime(&package, "growth")),
            ],
            wasmedge: WasmEdge::build(stage),
            _servers: [registry(stage, &stage.path("image-plain")), server],
            _names: Names::new(stage),
            plain,
            module,
            podman,
            containerd,
            certificate,
        })
    }

    /// All of it once, one after the other. Its number makes the names of what comes and goes.
    ///
    /// # Panics
    /// Something of it goes wrong.
    pub fn round(&self, number: usize, gone: &mut Vec<Gone>) {
        self.by_runtimes(number, gone);
        self.by_podman(number, gone);
        self.by_containerd(number, gone);
        self.on_the_network(number, gone);
    }

    fn by_runtimes(&self, number: usize, gone: &mut Vec<Gone>) {
        let stage = self.stage;
        for (at, script) in SHELLS.iter().enumerate() {
            gone.push(Gone::Id(ends(stage, &format!("shell-{at}-{number}"), shell(stage, script)).0));
        }
        for runtime in ["runc", "youki"] {
            let bundle = Bundle::new(&["/bin/echo", "hello"]);
            let bundle = bundle.write(stage, &format!("{runtime}-{number}-{}", stage.id())).expect("bundle");
            stage.runtime(program(runtime)).run(&bundle).expect(runtime).success().expect(runtime);
            gone.push(Gone::Id(bundle.id));
        }
        let wasm = |name: &str| {
            let bundle = Bundle::wasm(HELLO, true);
            bundle.write(stage, &format!("{name}-{number}-{}", stage.id())).expect("bundle")
        };
        let (linked, compiled) = (wasm("linked"), wasm("compiled"));
        let mut with_library = self.wasmedge.with_library(&linked);
        assert_eq!(stage.run(&mut with_library).expect("the stand-in").code(), 0);
        stage.runtime(program("youki")).run(&compiled).expect("youki").success().expect("youki");
        gone.extend([Gone::Id(linked.id), Gone::Id(compiled.id)]);
        for (name, bundle) in &self.programs {
            let (id, ran) = ends(stage, &format!("{name}-{number}"), bundle.clone());
            assert_eq!(ran.code(), 0, "{name}: {}{}", ran.stdout, ran.stderr);
            gone.push(Gone::Id(id));
        }
    }

    fn by_podman(&self, number: usize, gone: &mut Vec<Gone>) {
        let name = format!("podman-{number}");
        let args = ["--rm", "--name", &name, "--network=none", &self.plain.name, "/bin/echo", "hello"];
        self.podman.run(&program("crun"), &args).expect("podman").success().expect("podman");
        gone.push(Gone::Name(name));
        let recipe =
            format!("FROM scratch\nCOPY file /file\nENV NUMBER={number}\nCMD [\"/bin/cat\", \"/file\"]\n");
        let folder = self.stage.path("build");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("Containerfile"), recipe).expect("a recipe");
        fs::write(folder.join("file"), format!("{number}\n")).expect("a file");
        let mut build = self.podman.command("build");
        build.arg("--signature-policy").arg(self.stage.path("policy.json"));
        build.args(["--pull=never", "--tag", &format!("observer.local/built:{number}")]).arg(&folder);
        self.stage.run(&mut build).expect("podman").success().expect("podman build");
    }

    fn by_containerd(&self, number: usize, gone: &mut Vec<Gone>) {
        let cri = self.containerd.cri().expect("cri");
        cri.pull(&format!("{REGISTRY}/whole:{number}")).expect("an image");
        for (handler, image, command) in [
            ("crun", &self.plain, &["/bin/sh", "-c", "seq 100; sleep 0.5"][..]),
            ("youki", &self.module, &["/app.wasm"]),
        ] {
            let name = format!("{handler}-{number}");
            let pod = PodSpec { name: &name, namespace: "shop", handler, host_network: false };
            let pod = Removed { cri: &cri, pod: cri.run_pod(self.stage, &pod).expect("pod") };
            let is_wasm = handler == "youki";
            let spec =
                ContainerSpec { name: "app", image: &image.name, command, is_wasm, ..Default::default() };
            let id = cri.run_container(&pod.pod, &spec).expect("container");
            until(&format!("the end of {id}"), || has_ended(&cri, &id).then_some(()));
            gone.push(Gone::Id(id));
        }
    }

    fn on_the_network(&self, number: usize, gone: &mut Vec<Gone>) {
        // The first two of these are names that there are not, as for every name that is looked up in a cluster.
        let resolv = format!(
            "nameserver {DNSMASQ}\nsearch shop.svc.cluster.test svc.cluster.test cluster.test\noptions ndots:5\n"
        );
        let ask = "for n in 1 2 3 4 5; do getent ahosts db; getent ahosts good.test; sleep 0.3; done; exit 0";
        let bundle = contained(Some(&resolv), &["/bin/sh", "-c", ask]);
        gone.push(Gone::Id(ends(self.stage, &format!("asker-{number}"), bundle).0));
        let ran = curl(self.stage, &self.certificate, SERVER, &["/fast", "/fast", "/fast"], &[]);
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
        let serve = "echo hello > /tmp/index.html; httpd -f -p 127.0.0.1:8081 -h /tmp & sleep 0.5; \
                     for n in 1 2 3 4 5 6 7 8 9; do wget -q -O /dev/null http://127.0.0.1:8081/index.html; done; \
                     kill $!; exit 0";
        gone.push(Gone::Id(
            ends(self.stage, &format!("http-{number}"), Bundle::new(&["/bin/sh", "-c", serve])).0,
        ));
        sleep(Duration::from_millis(200));
    }
}

/// The registry of `workloads/registry.py`, with an image in it whose parts are in a folder; it listens.
fn registry(stage: &Stage, folder: &PathBuf) -> Running {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/registry.py");
    let mut command = stage.command(program("python3"));
    let port = REGISTRY.rsplit(':').next().expect("a port");
    let registry = stage.spawn(command.args([script, port]).arg(folder)).expect("registry");
    until("the registry", || registry.stdout().contains(port).then_some(()));
    registry
}

fn has_ended(cri: &Cri, id: &str) -> bool {
    cri.container_status(id).is_ok_and(|status| status.state == EXITED)
}
