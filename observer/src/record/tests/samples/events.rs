//! One event of every variant.

use super::*;

const CALL: Call = Call { entered: Time(7), ret: -2 };

fn mark() -> cpu::Mark {
    let spent = cpu::Spent { on_cpu: u64::MAX, runnable: 0, throttled: None, blocked: 1 };
    cpu::Mark { cookie: 1, tgid: 9, at: Time(3), of_client: true, what: 2, spent }
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
        Invocation::Tool { call: ToolCall::Verify, image: text() },
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
        stream: tunnel.is_none().then_some(7),
    }
}

pub(super) fn events() -> Vec<Event> {
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
            linear_reach: Some(u64::MAX),
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
        Event::Tls(tls::Event::Several(vec![
            tls::Event::Ended(tls::Ended {
                connection: connection(None),
                at: start,
                how: tls::Ending::Reset { by_client: true, code: 8 },
            }),
            tls::Event::Ended(tls::Ended {
                connection: connection(None),
                at: start,
                how: tls::Ending::GoneAway { code: u32::MAX },
            }),
            tls::Event::Ended(tls::Ended {
                connection: connection(None),
                at: start,
                how: tls::Ending::Missed,
            }),
            tls::Event::Unrelated(connection(None)),
        ])),
        Event::Tls(tls::Event::Request(tls::Request {
            connection: connection(Some("10.0.0.1:8443")),
            began: start,
            method: None,
            path: Some("/validate".into()),
            host: Some(comm.clone()),
            deadline_ns: Some(u64::MAX),
            is_admission: true,
            is_review: false,
            uid: None,
            length: Some(u64::MAX),
            parent: None,
            is_unresolved: true,
        })),
        Event::Tls(tls::Event::Response(tls::Response {
            connection: connection(None),
            began: start,
            status: Some(200),
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
        Event::Dns(dns::Event::Unresolved(dns::Unresolved {
            owner: owner(),
            began: Time(30),
            name: None,
            result: -8,
            flags: u32::MAX,
            family: 0,
            refused: Some((([10, 96, 0, 10], 53).into(), 101)),
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
    events.extend(requests());
    events.push(Event::Hardware(hardware::Event::Slow(hardware::Slow {
        device: alike().device,
        name: "sda\u{1b}".into(),
        op: hardware::Op::Flush,
        took_ns: u64::MAX,
        bytes: 0,
        count: 1,
    })));
    events
}

fn requests() -> [Event; 4] {
    use context::{By, Event as Of, Id, Parent, Read};
    let id = Id { tgid: 7, tid: 8, read: Time(9) };
    let parent = Parent { trace: [0xfe; 16], span: [1; 8], flags: u8::MAX };
    [
        Event::Context(Of::Ordinary),
        Event::Context(Of::Read(Read { id, init: Some(9), waits: true, context: Some(parent) })),
        Event::Context(Of::Done(id, By(8))),
        Event::Context(Of::Skipped { reader: owner(), count: u64::MAX }),
    ]
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

pub(super) fn owner() -> Owner {
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
