//! One input of every variant.

use std::collections::BTreeMap;

use crate::{
    health::{OwnCost, ProbeReport, Report, Status},
    input::*,
    probes::{
        Call, Event, cgroup, cpu, dns, fault, file,
        invocation::*,
        memory, mount, namespace, net, output,
        packet::{Flow, Owner, Transport},
        process, security, socket, stdio, storage, text, tls, webhook,
    },
    span::{Kind, Span, StatusCode},
    time::{ClockOffset, Time},
};

const CALL: Call = Call { entered: Time(7), ret: -2 };

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
    let facts = facts().into_iter().map(|what| Input::Fact(Fact { time: Time(u64::MAX), what }));
    let reports = reports().into_iter().map(|what| Input::Probe(ProbeReport { time: Time(0), what }));
    let used = MemoryUse {
        current: 1,
        peak: None,
        limit: Some(u64::MAX),
        limit_hits: Some(0),
        inactive_file: Some(1),
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
    }
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

fn mark() -> cpu::Mark {
    let spent = cpu::Spent { on_cpu: u64::MAX, runnable: 0, throttled: None, blocked: 1 };
    cpu::Mark { cookie: 1, tgid: 9, at: Time(3), of_client: true, what: 2, spent }
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

fn invocations() -> Vec<Invocation> {
    let text = || Some("a\u{1b}[31m\u{fffd}\0z".to_owned());
    vec![
        Invocation::Unknown,
        Invocation::Program(Program::K3s),
        Invocation::Runtime { program: Program::Crun, command: Command::Create, id: text(), bundle: None },
        Invocation::Shim {
            program: Program::WasmShim,
            id: text(),
            namespace: None,
            bundle: text(),
            starting: true,
        },
        Invocation::Conmon { id: text(), name: None, bundle: text(), log_path: text() },
        Invocation::Cni { command: CniCommand::Add, container_id: text(), netns: None, interface: text() },
    ]
}

fn connection(tunnel: Option<&str>) -> tls::Connection {
    let socket = tls::Socket {
        cookie: Some(1),
        local: ([127, 0, 0, 1], 1).into(),
        remote: ([0, 0, 0, 0, 0, 0, 0, 1], 443).into(),
    };
    tls::Connection {
        address: u64::MAX,
        socket: tunnel.is_none().then_some(socket),
        tunnel: tunnel.map(str::to_owned),
        library: tls::Library::Go,
        is_client: true,
        start: Time(3),
        comm: "k3s".into(),
    }
}

fn events() -> Vec<Event> {
    let cgroup = process::CgroupIds { memory: 1, unified: u64::MAX };
    let start = Time(3);
    let executed = |invocation| {
        Event::Process(process::Event::Executed(Box::new(process::Executed {
            ppid: 1,
            role: 4,
            start,
            cgroup,
            major_faults: 2,
            read_bytes: 4096,
            comm: "crun".into(),
            filename: "/usr/bin/crun".into(),
            invocation,
        })))
    };
    let (comm, path) = ("sh".to_owned(), "/x/é".to_owned());
    let (major_faults, read_bytes) = (1, 2);
    let mut events: Vec<Event> = invocations().into_iter().map(executed).collect();
    events.extend([
        Event::Process(process::Event::Forked { child: 2, role: 1, start, cgroup }),
        Event::Process(process::Event::ExecFailed { call: CALL, role: 1, path: path.clone() }),
        Event::Process(process::Event::Exited {
            role: 1,
            exit_code: 9,
            start,
            cgroup,
            major_faults,
            read_bytes,
        }),
        Event::Process(process::Event::OomVictim { victim: 2, role: 1 }),
        Event::Process(process::Event::Renamed { role: 4, comm: comm.clone() }),
        Event::Cgroup(cgroup::Event::Made { id: 5, hierarchy: 1, path: path.clone() }),
        Event::Cgroup(cgroup::Event::Entered { id: 5, hierarchy: 0, target: 6, role: 4, path: path.clone() }),
        Event::Namespace(namespace::Event {
            call: CALL,
            flags: namespace::NEW_NET,
            op: namespace::Op::Clone3,
            role: 1,
        }),
        Event::Mount(mount::Event { call: CALL, op: mount::Op::PivotRoot, role: 1, target: None }),
        Event::Security(security::Event { call: CALL, op: security::Op::Prctl, arg: 15, role: 1 }),
        Event::File(file::Event { call: CALL, op: file::Op::Stat, path, flags: 0o2_000_000, role: 1 }),
        Event::Memory(memory::Event {
            call: CALL,
            hint: Some(0),
            bytes: 12 << 30,
            start: Some(start),
            prot: 0,
            flags: 0x22,
            role: 1,
            init: None,
            comm: comm.clone(),
        }),
        Event::Fault(fault::Event::Signal(fault::Signal {
            signal: 11,
            code: -6,
            address: Some(u64::MAX),
            stack: 1,
            start,
            handled: 2,
            action: fault::Action::Ignore,
            role: 16,
            init: Some(77),
            comm: comm.clone(),
        })),
        Event::Fault(fault::Event::TermIgnored { init: 77, role: 16 }),
        Event::Fault(fault::Event::Stop { signal: 15, init: 77, role: 16, start, comm: comm.clone() }),
        Event::Fault(fault::Event::EngineResult {
            code: 0x408,
            role: 4,
            init: None,
            start,
            comm: comm.clone(),
        }),
        Event::Fault(fault::Event::Handled { handled: u64::MAX, role: 16 }),
        Event::Fault(fault::Event::OomKill(fault::OomVictim {
            victim: 78,
            role: 16,
            init: Some(77),
            rss_bytes: None,
            reached: Some((u64::MAX, 1)),
            start: None,
            comm: comm.clone(),
        })),
        Event::Storage(storage::Event {
            alike: alike(),
            caller: Some(owner()),
            count: u64::MAX,
            parent: 0,
            asked_bytes: None,
            fd: -100,
            kind: Some("ext4".into()),
            text: None,
        }),
        Event::Text(text::Event::Skipped { writer: owner(), count: u64::MAX }),
        Event::Text(text::Event::Found(text::Found {
            writer: owner(),
            fd: 2,
            lines: vec![text::Line {
                keyword: "webhook-failed".into(),
                layer: "L-3".into(),
                is_named: true,
                text: comm.clone(),
                is_cut: true,
                captures: vec![("webhook".into(), comm.clone())],
            }],
        })),
        Event::Tls(tls::Event::Ordinary),
        Event::Tls(tls::Event::Http2(connection(None))),
        Event::Tls(tls::Event::Request(tls::Request {
            connection: connection(Some("10.0.0.1:8443")),
            began: start,
            method: "POST".into(),
            path: "/validate".into(),
            host: Some(comm.clone()),
            deadline_ns: Some(u64::MAX),
            is_admission: true,
            is_review: false,
            uid: None,
            length: Some(u64::MAX),
        })),
        Event::Tls(tls::Event::Response(tls::Response {
            connection: connection(None),
            began: start,
            status: 200,
            is_review: true,
            uid: Some(comm.clone()),
            allowed: Some(false),
            message: Some("a\u{1b}[31m\u{fffd}\0z".to_owned()),
            code: Some(403),
            length: None,
            is_cut: true,
        })),
        Event::Output(output::Event {
            call: CALL,
            fd: 1,
            op: output::Op::Writev,
            role: 16,
            init: Some(77),
            major_faults,
            read_bytes,
            comm: comm.clone(),
        }),
        Event::Stdio(stdio::Event::Closing {
            init: 77,
            fd: 1,
            uncounted: false,
            object: stdio::Object { ino: 9, kind: stdio::ObjectKind::Pipe },
            written: stdio::Written { bytes: 5, first: Some(Time(1)), last: None, broken: 0 },
            pipe: Some(stdio::PipeState::default()),
            now: stdio::Object::default(),
        }),
        Event::Dns(dns::Event::Packet(packet())),
        Event::Dns(dns::Event::Failed(dns::Failed {
            cookie: u64::MAX,
            local: ([127, 0, 0, 1], 4_000).into(),
            remote: ([0, 0, 0, 0, 0, 0, 0, 1], 53).into(),
            errno: 111,
            owner: None,
        })),
        Event::Net(net::Event::Refused { owner: owner(), remote: None, errno: 101 }),
        Event::Net(net::Event::Handshake(net::Handshake {
            owner: owner(),
            cookie: 9,
            local: ([10, 42, 0, 7], 41_000).into(),
            remote: ([10, 43, 0, 1], 443).into(),
            began: Time(30),
            end: net::HandshakeEnd::Alert { of_client: true, level: 2, description: 48 },
        })),
        Event::Net(net::Event::Dropped(net::Dropped {
            transport: Transport::Udp,
            source: ([0, 0, 0, 0, 0, 0, 0, 1], 53).into(),
            destination: ([10, 0, 0, 1], 4_000).into(),
            reason: u32::MAX,
            netns: None,
            count: 1,
        })),
        Event::Socket(socket::Event {
            call: CALL,
            fd: 3,
            op: socket::Op::Listen,
            role: 16,
            init: None,
            major_faults,
            read_bytes,
            comm,
        }),
    ]);
    events.extend(webhooks());
    events.push(Event::Cpu(cpu::Event::Mark(mark())));
    events
}

fn webhooks() -> Vec<Event> {
    use webhook::head::{Head, Hello, Offers, Request};
    let flow = webhook::Flow {
        first: Some(Time(1)),
        bytes: u64::MAX,
        first_records: vec![webhook::TlsRecord { time: Time(2), len: 53 }],
        unacknowledged: Some(0),
        gap: true,
        ..webhook::Flow::default()
    };
    let connection = webhook::Connection {
        local: "10.0.0.1:40000".parse().unwrap(),
        remote: "[fd00::1]:443".parse().unwrap(),
        peer: None,
        endpoint: 1,
        flags: u32::MAX,
        syns: 1,
        syn: None,
        established: Some(Time(9)),
        hello: None,
        secured: None,
        ticket_len: Some(250),
        request: flow.clone(),
        answer: flow,
    };
    let moved = webhook::Moved { cookie: 1, what: 2, candidate: None, owner: Some(owner()), connection };
    let request = Request { method: "POST".into(), path: None, timeout_ns: Some(1), is_admission: true };
    let heads = [
        Head::Hello(Hello { server_name: Some("svc".into()), offers: Offers::Http2 }),
        Head::Request(Some(request)),
        Head::Request(None),
        Head::Answer(Some(200)),
    ];
    let heads = heads.into_iter().map(|head| webhook::Event::Head { cookie: 1, head });
    [webhook::Event::Moved(Box::new(moved))].into_iter().chain(heads).map(Event::Webhook).collect()
}

fn owner() -> Owner {
    Owner {
        tgid: 9,
        tid: 10,
        start: Time(3),
        init: Some(8),
        role: 16,
        cgroup: process::CgroupIds { memory: 1, unified: u64::MAX },
        comm: "\u{1b}x".into(),
    }
}

fn packet() -> dns::Packet {
    let question = dns::Question { name: "\\027.test".into(), qtype: dns::RecordType(64_999) };
    dns::Packet {
        flow: Flow {
            cookie: 1,
            transport: Transport::Tcp,
            local: ([10, 0, 0, 2], 4_000).into(),
            remote: ([0xfd00, 0, 0, 0, 0, 0, 0, 10], 53).into(),
            peer: None,
        },
        sent: false,
        owner: Some(owner()),
        messages: vec![dns::Message {
            id: u16::MAX,
            is_reply: true,
            opcode: 0,
            rcode: 3,
            is_truncated: true,
            question: Some(question),
            answers: u16::MAX,
            matching: None,
        }],
        garbage: 1,
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
        FactKind::SocketOwner { cookie: u64::MAX, tgid: 3, result: Err(error()) },
        FactKind::SocketOwner { cookie: 1, tgid: 3, result: Ok(owner()) },
        FactKind::End(End { why: EndReason::CommandEnded, command_exit: Some(-9) }),
    ]
}

fn reports() -> Vec<Report> {
    vec![
        Report::Status { family: 1, status: Status::Degraded, hook: Some("btf".into()), why: None },
        Report::Records { family: 2, count: 3 },
        Report::Own(OwnCost { cpu_ns: 1, rss_bytes: 2, bpf_run_ns: None }),
    ]
}
