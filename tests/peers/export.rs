//! A sink to a collector, and the starts that are sent through it.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use observer::{
    layer::Layer,
    output::{
        ColdStart, Container, Exit, Failure, Instance, Kind, Milestones, Phase, PhaseName, Process, Ready, T0,
    },
    sink::otlp::{Host, OtlpSettings, OtlpSink, OtlpStats},
    time::{Time, Wall},
};

/// Far more than anything here takes; only a hang gets there.
pub const HANG: Duration = Duration::from_secs(60);
pub const BEGIN: i64 = 1_700_000_000_123_456_789;

fn host() -> Host {
    Host { name: "box".into(), id: Some("0123abcd".into()), node: Some("node-1".into()), cluster: None }
}

fn process(pid: u32, comm: &str, exe: &str) -> Option<Process> {
    Some(Process { pid, tid: pid, ppid: Some(1), comm: comm.into(), exe: Some(exe.into()), start: None })
}

fn phase(name: PhaseName, layer: Layer, start_ns: u64, duration_ns: u64, process: Option<Process>) -> Phase {
    Phase { name, layer, start_ns, duration_ns, process, detail: None }
}

/// A pod's container: runtime-load 0-1 ms, nothing known 1-1.5 ms, rootfs 1.5-4.000001 ms, ready at 9 ms.
pub fn pod_start() -> ColdStart {
    let crun = || process(4242, "crun:[2:INIT]", "/usr/bin/crun");
    let mut rootfs = phase(PhaseName::Rootfs, Layer::L3, 1_500_000, 2_500_001, crun());
    rootfs.detail = Some("7 mounts".into());
    ColdStart {
        time: Wall(BEGIN),
        container: Container {
            id: "c0ffee".into(),
            instance: Some(Instance { init: 4243, start: Time(77) }),
            name: Some("app".into()),
            pod: Some("shop-0".into()),
            namespace: Some("prod".into()),
            pod_uid: Some("11111111-2222-3333-4444-555555555555".into()),
            attempt: Some(2),
            image: Some("localhost:5000/shop/app:1.2".into()),
            runtime: Some("crun".into()),
            runtime_version: Some("1.14".into()),
            engine: Some("containerd".into()),
            ..Container::default()
        },
        t0: T0::Shim,
        total_ns: 9_000_000,
        ready: Ready::Listen,
        milestones: Milestones {
            exec_ns: Some(4_000_001),
            listen_ns: Some(9_000_000),
            ..Milestones::default()
        },
        cold: Some(true),
        phases: vec![
            phase(PhaseName::RuntimeLoad, Layer::Host, 0, 1_000_000, crun()),
            rootfs,
            phase(PhaseName::Ready, Layer::L3, 4_000_001, 4_999_999, process(4243, "app", "/srv/app")),
        ],
        unattributed_ns: 500_000,
        major_faults: Some(3),
        read_bytes: Some(8192),
        lost: 0,
        failure: None,
    }
}

/// A Wasm container that was started by hand and whose module is not one.
pub fn failed_start() -> ColdStart {
    let crun = || process(5151, "crun", "/usr/bin/crun");
    ColdStart {
        time: Wall(BEGIN + 1_000_000_000),
        container: Container {
            id: "by-hand".into(),
            kind: Kind::Wasm,
            exit: Some(Exit { code: Some(1), ..Exit::default() }),
            ..Container::default()
        },
        t0: T0::Runtime,
        total_ns: 2_000_000,
        ready: Ready::Exit,
        milestones: Milestones { exit_ns: Some(2_000_000), ..Milestones::default() },
        cold: None,
        phases: vec![
            phase(PhaseName::RuntimeLoad, Layer::Host, 0, 1_200_000, crun()),
            phase(PhaseName::WasmLoad, Layer::L4, 1_200_000, 800_000, crun()),
        ],
        unattributed_ns: 0,
        major_faults: None,
        read_bytes: None,
        lost: 0,
        failure: Some(Failure {
            phase: PhaseName::WasmLoad,
            call: Some("execve".into()),
            errno: Some(8),
            object: Some("/app.wasm".into()),
            process: crun(),
            text: "the module is not one".into(),
        }),
    }
}

/// A sink, and the lines it says.
pub fn sink(url: &str, protocol: &str) -> (OtlpSink, Arc<Mutex<Vec<String>>>) {
    let settings = OtlpSettings::resolve(Some(url), Some(protocol), |_| None).unwrap().unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&said);
    let sink =
        OtlpSink::new(settings, host(), move |line| keep.lock().unwrap().push(line.to_owned())).unwrap();
    (sink, said)
}

/// Fails instead of hanging if a flush does not come back.
pub fn flush(sink: OtlpSink, deadline: Duration) -> OtlpStats {
    let (stats, flushed) = mpsc::channel();
    thread::spawn(move || stats.send(sink.flush(deadline)));
    flushed.recv_timeout(HANG).expect("flush comes back")
}
