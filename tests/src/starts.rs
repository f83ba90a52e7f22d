//! Starts as the pipeline hands them to the sinks: made up, with times and texts of real ones.
// long: one example of each object that sinks are shown

use observer::{
    health::{OwnCost, ProbeHealth, Status},
    layer::Layer,
    output::*,
    time::{Time, Wall},
};

/// 2026-03-14 09:26:53.589793238 UTC.
pub const EPOCH: Wall = Wall(1_773_480_413_589_793_238);

/// A time some milliseconds after [`EPOCH`].
pub fn at(ms: i64) -> Wall {
    Wall(EPOCH.0 + ms * 1_000_000)
}

/// Lays phases on one line.
pub struct Builder {
    start: ColdStart,
    now_us: u64,
}

impl Builder {
    pub fn new(id: &str, time: Wall, t0: T0) -> Builder {
        let container = Container { id: id.into(), ..Container::default() };
        let start = ColdStart {
            time,
            container,
            t0,
            total_ns: 0,
            ready: Ready::Exec,
            milestones: Milestones::default(),
            cold: None,
            phases: Vec::new(),
            unattributed_ns: 0,
            major_faults: None,
            read_bytes: None,
            lost: 0,
            failure: None,
        };
        Builder { start, now_us: 0 }
    }

    pub fn phase(mut self, name: PhaseName, us: u64, who: (&str, u32), detail: Option<&str>) -> Builder {
        let layer = match name {
            PhaseName::ImagePull | PhaseName::Snapshot => Layer::Host,
            PhaseName::WasmEngine | PhaseName::WasmLoad | PhaseName::WasmInstantiate => Layer::L4,
            _ => Layer::L3,
        };
        self.start.phases.push(Phase {
            name,
            layer,
            start_ns: self.now_us * 1000,
            duration_ns: us * 1000,
            process: Some(process(who.0, who.1)),
            detail: detail.map(Into::into),
        });
        self.now_us += us;
        self
    }

    pub fn gap(mut self, us: u64) -> Builder {
        self.start.unattributed_ns += us * 1000;
        self.now_us += us;
        self
    }

    pub fn storage(mut self, major_faults: u64, read_bytes: u64) -> Builder {
        self.start.cold = Some(read_bytes > 0);
        self.start.major_faults = Some(major_faults);
        self.start.read_bytes = Some(read_bytes);
        self
    }

    pub fn ready(mut self, ready: Ready) -> Builder {
        self.start.ready = ready;
        let now = Some(self.now_us * 1000);
        let milestones = &mut self.start.milestones;
        match ready {
            Ready::Listen => milestones.listen_ns = now,
            Ready::FirstOutput => milestones.first_output_ns = now,
            Ready::Exec => milestones.exec_ns = now,
            Ready::Exit => milestones.exit_ns = now,
        }
        self
    }

    pub fn edit(mut self, edit: impl FnOnce(&mut ColdStart)) -> Builder {
        edit(&mut self.start);
        self
    }

    pub fn done(mut self) -> ColdStart {
        self.start.total_ns = self.now_us * 1000;
        self.start
    }
}

pub fn process(comm: &str, pid: u32) -> Process {
    Process {
        pid,
        tid: pid,
        ppid: Some(1),
        comm: comm.into(),
        exe: Some(format!("/usr/bin/{comm}")),
        start: Some(EPOCH),
    }
}

/// `crun run`, by hand, 17 ms.
pub fn crun_hello() -> ColdStart {
    let crun = ("crun", 4242);
    Builder::new("hello", at(120), T0::Runtime)
        .phase(PhaseName::RuntimeLoad, 2_104, crun, Some("crun, libyajl, libseccomp"))
        .phase(PhaseName::Cgroup, 1_310, crun, Some("/sys/fs/cgroup/hello"))
        .phase(PhaseName::Namespaces, 912, ("crun", 4244), Some("pid, mount, ipc, uts"))
        .gap(333)
        .phase(PhaseName::Rootfs, 6_870, ("crun", 4244), Some("12 mounts, pivot_root"))
        .phase(PhaseName::Security, 1_204, ("crun", 4244), Some("seccomp, 14 capabilities"))
        .edit(|start| start.milestones.exec_ns = Some(14_007_678))
        .phase(PhaseName::Exec, 1_275, ("crun", 4244), Some("/bin/hello"))
        .phase(PhaseName::Init, 3_012, ("hello", 4244), None)
        .ready(Ready::FirstOutput)
        .storage(0, 0)
        .edit(|start| {
            let container = &mut start.container;
            container.instance = Some(Instance { init: 4244, start: Time(81_234_567_890) });
            container.name = Some("hello".into());
            container.runtime = Some("crun".into());
            container.runtime_version = Some("1.8.1".into());
            container.cgroup = Some("/hello".into());
            container.cgroup_id = Some(8412);
            container.started_at = Some(at(134));
            container.exit = Some(Exit { code: Some(0), signal: None, reason: None });
            container.unknown = vec!["image: the bundle names none".into()];
        })
        .done()
}

/// A pod through CRI with its sandbox, its network, an image pull and a cold disk.
pub fn cri_pod() -> ColdStart {
    let (containerd, shim, runc) = (("containerd", 811), ("containerd-shim", 5100), ("runc", 5161));
    Builder::new("9f2c1b7e4d5a60718293a4b5c6d7e8f90112233445566778899aabbccddeeff0", at(2_000), T0::Cri)
        .phase(PhaseName::Sandbox, 61_230, shim, Some("registry.example/pause:3.9"))
        .phase(PhaseName::Cni, 38_114, ("bridge", 5122), Some("bridge: veth, 10.22.0.7/16"))
        .phase(PhaseName::Cni, 9_204, ("portmap", 5140), Some("portmap"))
        .phase(PhaseName::ImagePull, 412_880, containerd, Some("docker.io/library/nginx:1.27, 68.2 MiB"))
        .phase(PhaseName::Snapshot, 21_400, containerd, Some("overlayfs, 7 layers"))
        .phase(PhaseName::Engine, 17_021, containerd, None)
        .phase(PhaseName::Shim, 12_340, shim, Some("task create"))
        .phase(PhaseName::RuntimeLoad, 9_120, runc, Some("runc init re-executed from a memfd"))
        .phase(PhaseName::Cgroup, 4_210, runc, None)
        .phase(PhaseName::Namespaces, 3_800, runc, Some("joined: net, ipc, uts"))
        .phase(PhaseName::Rootfs, 14_900, ("runc:[2:INIT]", 5170), Some("18 mounts, pivot_root"))
        .phase(PhaseName::Security, 2_100, ("runc:[2:INIT]", 5170), Some("seccomp, apparmor"))
        .phase(PhaseName::WaitStart, 11_002, ("runc:[2:INIT]", 5170), None)
        .gap(8_600)
        .phase(PhaseName::Exec, 2_300, ("runc:[2:INIT]", 5170), Some("/docker-entrypoint.sh"))
        .phase(PhaseName::Init, 46_700, ("nginx", 5170), None)
        .phase(PhaseName::Ready, 3_412, ("nginx", 5170), Some("tcp 0.0.0.0:80"))
        .ready(Ready::Listen)
        .storage(214, 48_234_496)
        .edit(|start| {
            let container = &mut start.container;
            container.instance = Some(Instance { init: 5170, start: Time(83_000_000_001) });
            container.name = Some("nginx".into());
            container.pod = Some("web-7d9f8b6c5-x2x4z".into());
            container.namespace = Some("shop".into());
            container.pod_uid = Some("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".into());
            container.sandbox_id = Some("77aa".into());
            container.attempt = Some(0);
            container.image = Some("docker.io/library/nginx:1.27".into());
            container.runtime = Some("runc".into());
            container.runtime_version = Some("1.1.12".into());
            container.handler = Some("runc".into());
            container.engine = Some("containerd".into());
        })
        .done()
}

/// A module that youki runs in its own process.
pub fn youki_wasm() -> ColdStart {
    let youki = ("youki:[2:INIT]", 6011);
    Builder::new("wasm-http", at(3_100), T0::Runtime)
        .phase(PhaseName::RuntimeLoad, 1_900, ("youki", 6001), None)
        .phase(PhaseName::Cgroup, 2_400, ("youki", 6001), None)
        .phase(PhaseName::Namespaces, 1_020, youki, None)
        .phase(PhaseName::Rootfs, 5_310, youki, Some("9 mounts, pivot_root"))
        .phase(PhaseName::Security, 640, youki, None)
        .phase(PhaseName::WasmEngine, 3_050, youki, Some("wasmtime in youki"))
        .phase(
            PhaseName::WasmLoad,
            88_412,
            youki,
            Some("/opt/modules/orders/target/wasm32-wasip1/http.wasm, 3.4 MiB"),
        )
        .phase(PhaseName::WasmInstantiate, 4_250, youki, Some("4 GiB reserved, 17 pages"))
        .phase(PhaseName::Init, 1_200, ("http.wasm", 6011), None)
        .ready(Ready::FirstOutput)
        .storage(31, 3_571_712)
        .edit(|start| {
            let container = &mut start.container;
            container.kind = Kind::Wasm;
            container.runtime = Some("youki".into());
            container.runtime_version = Some("0.5.3".into());
            container.image = Some("ghcr.io/acme/orders-http-wasm-component-service:2026.03.14".into());
        })
        .done()
}

/// A start that ends where the kernel refuses the module.
pub fn enoexec() -> ColdStart {
    let crun = ("crun", 7007);
    Builder::new("broken-module", at(4_050), T0::Shim)
        .phase(PhaseName::Shim, 8_010, ("containerd-shim", 7000), None)
        .phase(PhaseName::RuntimeLoad, 2_210, ("crun", 7003), None)
        .phase(PhaseName::Rootfs, 5_400, crun, Some("12 mounts, pivot_root"))
        .phase(PhaseName::Exec, 410, crun, None)
        .ready(Ready::Exit)
        .edit(|start| {
            let container = &mut start.container;
            container.name = Some("broken-module".into());
            container.image = Some("ghcr.io/acme/broken:1".into());
            container.runtime = Some("crun".into());
            container.engine = Some("containerd".into());
            container.exit = Some(Exit { code: Some(1), signal: None, reason: None });
            start.lost = 3;
            start.failure = Some(Failure {
                phase: PhaseName::Exec,
                call: Some("execve".into()),
                errno: Some(8),
                object: Some("/app.wasm".into()),
                process: Some(process("crun", 7007)),
                text:
                    "The kernel cannot execute the entrypoint: a Wasm module without a handler that runs it."
                        .into(),
            });
        })
        .done()
}

/// Every text that a container controls tries something.
pub fn hostile() -> ColdStart {
    let evil = "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>";
    Builder::new("evil", at(5_000), T0::Command)
        .phase(
            PhaseName::Engine,
            40_000,
            ("<img src=x onerror=alert(2)>", 8001),
            Some("\u{9b}31mred\r\nFAKE LINE"),
        )
        .phase(PhaseName::Init, 2_500, ("\x1b[31m", 8002), Some("'\"><b onmouseover=alert(3)>"))
        .ready(Ready::FirstOutput)
        .edit(|start| {
            let container = &mut start.container;
            container.name = Some(evil.into());
            container.namespace = Some("</title><script>".into());
            container.image = Some(format!("evil.example/{evil}\u{202e}gnp.exe"));
            container.runtime = Some("runc\n".into());
            container.unknown = vec!["bundle: <script>\x1b[0m".into()];
        })
        .done()
}

pub fn all() -> Vec<ColdStart> {
    vec![crun_hello(), cri_pod(), youki_wasm(), enoexec(), hostile()]
}

pub fn health() -> Health {
    let probe = |name, status, hook: Option<&str>, why: Option<&str>, records, lost| ProbeHealth {
        name,
        status,
        hook: hook.map(Into::into),
        why: why.map(Into::into),
        records,
        lost,
    };
    Health {
        time: at(6_000),
        probes: vec![
            probe("process", Status::Attached, Some("tp_btf/sched_process_exec"), None, 1_204, 0),
            probe(
                "file",
                Status::Degraded,
                Some("tracepoint/syscalls/sys_exit_openat"),
                Some("fentry/do_sys_openat2: the kernel has no BTF for it"),
                311,
                3,
            ),
            probe(
                "memory",
                Status::Failed,
                None,
                Some("tp_btf/signal_generate: Operation not permitted"),
                0,
                0,
            ),
            probe("socket", Status::Off, None, Some("not asked for"), 0, 0),
        ],
        own: Some(OwnCost { cpu_ns: 24_000_000, rss_bytes: 24_117_248, bpf_run_ns: None }),
        cpu_percent: Some(0.4),
        otlp: None,
    }
}

pub fn summary(starts: u64, failed_starts: u64) -> Summary {
    Summary {
        from: at(0),
        to: at(6_000),
        scope: "all containers of this node".into(),
        containers: starts,
        starts,
        failed_starts,
        events: None,
        found: None,
        not_measured: vec![NotMeasured {
            layer: Layer::L3,
            what: "memory faults".into(),
            why: "probe memory failed: Operation not permitted".into(),
            how: Some("run as root, or with CAP_PERFMON".into()),
        }],
        lost: 3,
        command_exit: Some(-9),
        otlp: None,
        joined: None,
    }
}

/// All starts, then what a run ends with.
pub fn outputs() -> Vec<Output> {
    let summary = summary(all().len() as u64, 1);
    let starts = all().into_iter().map(|start| Output::ColdStart(Box::new(start)));
    starts.chain([Output::Health(health()), Output::Summary(summary)]).collect()
}
