//! One input of every variant.

mod events;
mod kube;

use std::collections::BTreeMap;

use crate::{
    health::{OwnCost, ProbeReport, Report, Status},
    input::*,
    probes::{
        Call, Event, cgroup, context, cpu, dns, fault, file, hardware,
        invocation::*,
        memory, mount, namespace, net, output,
        packet::{Flow, Owner, Transport},
        process, security, socket, stdio, storage, text, tls, webhook,
    },
    span::{Kind, Span, StatusCode},
    time::{ClockOffset, Time},
};
use events::{events, owner};

pub(super) fn all() -> Vec<Input> {
    let records = events().into_iter().enumerate().map(|(index, event)| {
        Input::Record(Record {
            time: Time(100 + index as u64),
            tgid: 4_000_000,
            tid: 4_000_001,
            unreadable: index % 2 == 0,
            late: index % 3 == 0,
            event,
        })
    });
    let facts =
        facts().into_iter().chain(kube::facts()).map(|what| Input::Fact(Fact { time: Time(u64::MAX), what }));
    let reports = reports().into_iter().map(|what| Input::Probe(ProbeReport { time: Time(0), what }));
    let used = MemoryUse {
        current: 1,
        peak: None,
        limit: Some(u64::MAX),
        limit_hits: Some(0),
        inactive_file: Some(1),
        anonymous: Some(u64::MAX),
    };
    let rest = [
        Input::Lost { time: Time(500), family: 9, count: u64::MAX },
        Input::Sample(Sample { time: Time(500), what: SampleKind::Memory { init: 9, used } }),
        Input::Sample(Sample { time: Time(500), what: SampleKind::Cpu { init: 9, counts: cpu_counts() } }),
        Input::Sample(Sample {
            time: Time(500),
            what: SampleKind::Certificates(vec![Certificate {
                path: "/var/lib/kubelet/pki/kubelet.crt".to_owned(),
                not_after: 1_800_000_000,
            }]),
        }),
        Input::Sample(Sample { time: Time(500), what: SampleKind::Linear { init: 9, tgid: 8, bytes: 7 } }),
        Input::Sample(Sample { time: Time(500), what: tracked() }),
        Input::Sample(Sample { time: Time(500), what: listening() }),
        Input::Sample(Sample { time: Time(500), what: SampleKind::Node(Box::new(node_counts())) }),
        Input::Sample(Sample { time: Time(500), what: SampleKind::Failures(vec![(alike(), u64::MAX)]) }),
        Input::Span(Box::new(span())),
        Input::Tick(Time(501)),
    ];
    records.chain(facts).chain(reports).chain(rest).collect()
}

fn node_counts() -> NodeCounts {
    NodeCounts {
        interval_ns: 5,
        run_queue: Some(vec![(0, 1), (u16::MAX, u64::MAX)]),
        cpu_time: Some(CpuTime { all: u64::MAX, stolen: 0 }),
        hardware: HardwareCounts {
            block: Some(vec![BlockCounts {
                name: "sda\u{1b}".to_owned(),
                waited: vec![(u16::MAX, u64::MAX)],
                behind: 1,
                taken_ns: u64::MAX,
                untimed: 2,
                is_stuck: true,
            }]),
            synced: Some(vec![SyncCounts { tgid: 9, comm: "etcd".to_owned(), waited: vec![(0, 1)] }]),
            timed_out: Some(vec![("eth0".to_owned(), u64::MAX)]),
            checked: Some(vec![CheckCounts { cpu: 1, bank: 2, uncorrected: true, count: 3 }]),
        },
    }
}

fn tracked() -> SampleKind {
    let counts = Tracked { entries: 1, max: 2, collided: 3, refused: u64::MAX, evicted: 0 };
    SampleKind::Tracked { init: Some(9), counts }
}

fn listening() -> SampleKind {
    let at =
        Listening { ports: [80, u16::MAX].into(), addresses: vec![std::net::Ipv6Addr::LOCALHOST.into()] };
    SampleKind::Listening { init: None, at }
}

fn alike() -> Alike {
    Alike { who: 9, op: storage::Op::Fsync, errno: 5, device: Device { major: 8, minor: u32::MAX } }
}

fn filesystem() -> Filesystem {
    Filesystem {
        device: alike().device,
        kind: "ext4".into(),
        source: "/dev/sda1".into(),
        mount: "/\u{1b}".into(),
        room: Room { total_bytes: u64::MAX, available_bytes: 0, total_inodes: 0, free_inodes: 1 },
    }
}

fn cpu_counts() -> CpuCounts {
    let quota = Some(Quota { quota_ns: 20_000_000, period_ns: 100_000_000 });
    let bandwidth = Bandwidth { periods: 3, throttled_periods: 2, throttled_ns: u64::MAX, quota };
    CpuCounts { usage_ns: 1, bandwidth: Some(bandwidth) }
}

fn span() -> Span {
    Span {
        time: Time(500),
        trace: [1; 16],
        id: [2; 8],
        parent: Some([3; 8]),
        name: "GET /\u{1b}[31m".to_owned(),
        kind: Kind::Client,
        start: u64::MAX,
        end: 0,
        status: StatusCode::Error,
        flags: 0x101,
        state: "a=b".to_owned(),
        scope: String::new(),
        service: Some("shop".to_owned()),
        attributes: vec![("network.peer.port".to_owned(), "53".to_owned())],
        resource: vec![("service.name".to_owned(), "shop".to_owned())],
    }
}

fn route() -> Route {
    let place = |port| std::net::SocketAddr::from(([10, 0, 0, 1], port));
    Route { transport: Transport::Udp, from: place(4_000), to: place(53) }
}

fn module() -> Module {
    let memory = LinearMemory {
        imported_as: Some("\u{1b}".into()),
        min_pages: 0,
        max_pages: Some(u64::MAX),
        is_shared: true,
        page_bytes: 1,
    };
    let code = AheadOfTime {
        form: AotForm::Elf,
        version: None,
        os: Some("linux".into()),
        machine: "machine 9".into(),
    };
    Module {
        path: "/app.wasm".into(),
        format: ModuleFormat::Component,
        memories: vec![memory],
        imports: vec!["env.f".into()],
        imports_left_out: u64::MAX,
        ahead_of_time: Some(code),
    }
}

fn facts() -> Vec<FactKind> {
    let error = || LookupError { what: "bundle".into(), why: "No such file".into() };
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    vec![
        FactKind::Clock(ClockOffset { wall_minus_boot_ns: -5, error_ns: 900 }),
        FactKind::DropReasons(vec![(u32::MAX, "NO_SOCKET".into())]),
        FactKind::Process(ProcessFact {
            tgid: 1,
            ppid: 0,
            start: Time(0),
            comm: "containerd".into(),
            exe: None,
            role: 1,
            datastore: Some("/srv/db/state.db".into()),
        }),
        FactKind::Bundle { tgid: 3, result: Err(error()) },
        FactKind::Bundle {
            tgid: 3,
            result: Ok(Bundle {
                path: "/b".into(),
                new_netns: Some(false),
                annotations: labels.clone(),
                ..Bundle::default()
            }),
        },
        FactKind::Cri { id: "c".into(), result: Err(error()) },
        FactKind::Cri {
            id: "c".into(),
            result: Ok(CriContainer { attempt: Some(2), labels, ..CriContainer::default() }),
        },
        FactKind::Module { init: 9, result: Err(error()) },
        FactKind::Module { init: 9, result: Ok(Box::new(module())) },
        FactKind::LogFile { init: 9, path: "/var/log/pods/0.log".into(), result: Ok(u64::MAX) },
        FactKind::LogFile { init: 9, path: "\u{1b}".into(), result: Err(error()) },
        FactKind::RuntimeVersion { exe: "/usr/bin/crun".into(), result: Err(error()) },
        FactKind::RuntimeVersion {
            exe: "/usr/bin/crun".into(),
            result: Ok(RuntimeVersion { version: "1.8.4".into(), features: vec!["+WASM:wasmedge".into()] }),
        },
        FactKind::FailedAt { at: Time(9), tid: 3, result: Err(error()) },
        FactKind::FailedAt {
            at: Time(u64::MAX),
            tid: 3,
            result: Ok(FailedAt { path: Some("/file".into()), filesystem: filesystem() }),
        },
        FactKind::Filesystems(vec![NodeFilesystem { purpose: Purpose::K3s, filesystem: filesystem() }]),
        FactKind::Backend { route: route(), result: Err(error()) },
        FactKind::Backend { route: route(), result: Ok(Some(route().to)) },
        FactKind::Translated { result: Err(error()) },
        FactKind::Translated { result: Ok(vec![Translated { sent: route(), arrives: route() }]) },
        FactKind::SocketOwner { cookie: u64::MAX, tgid: 3, result: Err(error()) },
        FactKind::SocketOwner { cookie: 1, tgid: 3, result: Ok(owner()) },
        FactKind::Settings("{}".to_owned()),
        FactKind::End(End { why: EndReason::CommandEnded, command_exit: Some(-9) }),
    ]
}

fn reports() -> Vec<Report> {
    vec![
        Report::Status { family: 1, status: Status::Degraded, hook: Some("btf".into()), why: None },
        Report::Status { family: 17, status: Status::Shed, hook: None, why: Some("why".into()) },
        Report::Records { family: 2, count: 3 },
        Report::Own(OwnCost { cpu_ns: 1, rss_bytes: 2, bpf_run_ns: None }),
    ]
}
