//! Writes seeds/: a few small valid inputs for each target. Run in tests/fuzz: `cargo run --example seeds`.
// long: the seeds of all targets, in one list.

use std::{fs, path::Path};

use observer::{
    input::{Fact, FactKind, Input, LookupError, Record},
    probes::reduce,
    record::{Header, Limits, RecordingWriter},
    span::{Signal, json},
    time::{ClockOffset, Time},
};
use observer_ebpf::{
    control::role,
    wire::{self, Syscall, cgroup::Ids},
};

const HEADER: wire::Header = wire::Header { kind: 0, flags: 0, len: 0, time_ns: 9, tgid: 7, tid: 7, lost: 0 };
const SYSCALL: Syscall = Syscall { entered_ns: 5, ret: 0 };

fn record<R: wire::Record>(mut record: R, text: &[u8]) -> Vec<u8> {
    let len = (size_of::<R>() + text.len()) as u32;
    record.set_header(wire::Header { kind: R::KIND, len, ..HEADER });
    [record.as_bytes(), text].concat()
}

fn zeroed<R: wire::Record>() -> Vec<u8> {
    record(R::new_zeroed(), b"")
}

fn exec(role: u32, filename: &str, argv: &str, environ: &str) -> Vec<u8> {
    let fixed = wire::process::Exec {
        header: HEADER,
        ppid: 1,
        role,
        start_ns: 4,
        cgroup: Ids { memory: 1, unified: 2 },
        major_faults: 0,
        read_bytes: 0,
        comm: *b"crun\0\0\0\0\0\0\0\0\0\0\0\0",
        filename_len: filename.len() as u16,
        argv_len: argv.len() as u16,
        environ_len: environ.len() as u16,
        pad: 0,
    };
    record(fixed, [filename, argv, environ].concat().as_bytes())
}

const CREATE: &str = "crun\0--root\0/r\0create\0--bundle\0/b\0c1\0";
const CNI: &str = "CNI_COMMAND=ADD\0CNI_CONTAINERID=c1\0CNI_NETNS=/n\0CNI_IFNAME=eth0\0";

/// For AAAA of db.test, and an answer to it whose names are compressed.
const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02db\x04test\0\0\x1c\0\x01";
const REPLY: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x02db\x04test\0\0\x1c\0\x01\
    \xc0\x0c\0\x05\0\x01\0\0\0\x1e\0\x04\x01a\xc0\x0f\
    \xc0\x27\0\x1c\0\x01\0\0\0\x1e\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";

/// With a context of its own.
const TRACED: &[u8] = b"GET / HTTP/1.1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";

/// A write that failed for want of room.
fn storage(header: wire::Header, caller: wire::packet::Owner) -> wire::storage::Failed {
    wire::storage::Failed {
        header,
        caller,
        count: 3,
        asked: 65_536,
        errno: 28,
        op: wire::storage::op::WRITE,
        device: 8 << 20 | 1,
        fd: 3,
        kind: *b"ext4\0\0\0\0\0\0\0\0\0\0\0\0",
        who: 7,
        parent: 6,
        text_len: 4,
        pad: 0,
    }
}

/// Messages as they are, and in segments as the target cuts them: socket and direction, number, length.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let framed = [&[0, QUERY.len() as u8], QUERY].concat();
    let (one, two) = framed.split_at(9);
    let segments = [&[0x11, 0, 9], one, &[0x11, 9, two.len() as u8], two].concat();
    vec![("query", QUERY.to_vec()), ("reply", REPLY.to_vec()), ("segments", segments)]
}

// long: a line a kind of record
fn records() -> Vec<(&'static str, Vec<u8>)> {
    let (header, syscall, runtime) = (HEADER, SYSCALL, role::RUNTIME);
    let cgroup = wire::cgroup::Mkdir { header, id: 3, hierarchy: 1, path_len: 3 };
    let mount = wire::mount::Mount { header, syscall, op: 1, role: runtime, target_len: 4, pad: 0 };
    let file = wire::file::File { header, syscall, flags: 0, role: runtime, path_len: 4, op: 1 };
    let mark = wire::cpu::Mark { header, cookie: 7, at_ns: 9, spent_ns: [1, 2, 3, 4], what: 2, flags: 3 };
    let fault = wire::fault::Delivered {
        header,
        signal: 11,
        code: 2,
        address: 1 << 46,
        stack: 1 << 47,
        start_ns: 4,
        handled: 1,
        action: wire::fault::action::HANDLER,
        role: role::PAYLOAD,
        init: 7,
        linear_units: 0x210,
        comm: *b"node\0\0\0\0\0\0\0\0\0\0\0\0",
    };
    let packet = wire::packet::Packet {
        cookie: 7,
        remote_port: 53,
        protocol: wire::packet::protocol::UDP,
        direction: wire::packet::direction::OUT,
        payload_len: QUERY.len() as u32,
        ..wire::packet::Packet::default()
    };
    let owner = wire::packet::Owner { tgid: 7, ..wire::packet::Owner::default() };
    let dns = wire::dns::Message { header, packet, owner, copied: QUERY.len() as u32, pad: 0 };
    let unresolved = wire::dns::Unresolved {
        header,
        owner,
        began_ns: 5,
        server: [0; 16],
        errno: 0,
        result: (-8_i32) as u32,
        ai_flags: 0,
        ai_family: 0,
        server_port: 0,
        name_len: 7,
        pad: [0; 4],
    };
    let request =
        wire::context::Read { header, reader: owner, read_ns: 8, waits: 1, len: TRACED.len() as u32 };
    let line = b"level=error msg=\"PullImage \\\"a\\\" failed\"\n";
    let text = wire::text::Piece { header, writer: owner, ino: 5, fd: 2, len: line.len() as u32, omitted: 0, pad: 0 };
    vec![
        ("storage", record(storage(header, owner), b"file")),
        ("context", record(request, TRACED)),
        ("text", record(text, line)),
        ("dns", record(dns, QUERY)),
        ("dns-unresolved", record(unresolved, b"db.test")),
        ("fault", record(fault, b"")),
        ("exec", exec(runtime, "/usr/bin/crun", CREATE, "")),
        ("exec-cni", exec(role::HELPER, "/opt/cni/bin/bridge", "", CNI)),
        ("cgroup", record(cgroup, b"/c1")),
        ("mount", record(mount, b"/dev")),
        ("file", record(file, b"/lib")),
        ("cpu", record(mark, b"")),
        ("hardware", zeroed::<wire::hardware::Slow>()),
    ]
}

fn connections() -> Vec<(&'static str, Vec<u8>)> {
    let owner = wire::packet::Owner { tgid: 7, ..wire::packet::Owner::default() };
    let dropped = wire::net::Dropped {
        header: HEADER,
        source: [1; 16],
        destination: [2; 16],
        source_port: 40_000,
        destination_port: 443,
        reason: 3,
        netns: 4,
        count: 1,
        protocol: wire::packet::protocol::TCP,
        pad: [0; 7],
    };
    let handshake = wire::net::Handshake {
        header: HEADER,
        owner,
        local: [1; 16],
        remote: [2; 16],
        cookie: 5,
        began_ns: 4,
        local_port: 40_000,
        remote_port: 443,
        outcome: wire::net::handshake::ALERT,
        level: 2,
        description: 48,
        of_client: 1,
        pad: [0; 5],
    };
    vec![("net", record(dropped, b"")), ("net-handshake", record(handshake, b""))]
}

fn webhooks() -> Vec<(&'static str, Vec<u8>)> {
    let header = HEADER;
    let head = wire::webhook::Head {
        header,
        cookie: 5,
        of: wire::webhook::head::REQUEST,
        len: REQUEST.len() as u32,
    };
    let moved = wire::webhook::Moved {
        header,
        cookie: 5,
        what: wire::webhook::what::REQUEST,
        candidate: 7,
        owner: wire::packet::Owner::default(),
        connection: wire::webhook::Connection { endpoint: 1, syn_ns: 4, ..Default::default() },
    };
    vec![("webhook-head", record(head, REQUEST)), ("webhook-moved", record(moved, b""))]
}

const REQUEST: &[u8] =
    b"POST /v1/admit?timeout=10s HTTP/1.1\r\nUser-Agent: kube-apiserver-admission\r\n\r\n{}";

/// A TLS record with the first message of a handshake for `svc` that offers both versions of HTTP.
const HELLO: &[u8] =
    b"\x16\x03\x01\0\x4e\x01\0\0\x4a\x03\x0301234567890123456789012345678901\0\0\x02\x13\x01\x01\0\0\x1f\
\0\0\0\x08\0\x06\0\0\x03svc\0\x10\0\x0e\0\x0c\x02h2\x08http/1.1\x002b\0\x01\0";

fn heads() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("request", REQUEST.to_vec()),
        ("answer", b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        ("hello", HELLO.to_vec()),
        ("target", b"[fd00::1]:8443/x,timeout=3s,name=gk".to_vec()),
    ]
}

fn invocations() -> Vec<(&'static str, Vec<u8>)> {
    let shim = "containerd-shim-runc-v2\0-namespace\0k8s.io\0-address\0/s\0-id\0c1\0start\0";
    let conmon = "conmon\0--api-version\01\0-c\0c1\0-n\0web\0-b\0/b\0--syslog\0--runtime-arg\0--log\0";
    vec![
        ("runtime", format!("/usr/bin/crun\n{CREATE}").into_bytes()),
        ("exec", b"runc\nrunc\0exec\0-e\0A=b\0--\0c1\0sh\0".to_vec()),
        ("shim", format!("/bin/containerd-shim-runc-v2\n{shim}").into_bytes()),
        ("conmon", format!("/usr/bin/conmon\n{conmon}").into_bytes()),
        ("cni", format!("/opt/cni/bin/bridge\n{CNI}").into_bytes()),
    ]
}

fn recording() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("seed");
    let inputs: Vec<Input> = [records(), connections()]
        .concat()
        .iter()
        .filter_map(|(_, bytes)| reduce(bytes).ok())
        .map(|reduced| Input::Record(Record { late: true, ..reduced.record }))
        .collect();
    let error = LookupError { what: "bundle".into(), why: "gone".into() };
    let facts = [
        FactKind::Clock(ClockOffset { wall_minus_boot_ns: 1, error_ns: 1 }),
        FactKind::Bundle { tgid: 7, result: Err(error) },
    ];
    let mut writer =
        RecordingWriter::create(&path, Header::default(), Time(0), Limits::default()).expect("a writer");
    facts.into_iter().for_each(|what| writer.write(&Input::Fact(Fact { time: Time(8), what })));
    writer.begin_segment(Time(9), &inputs[..1]);
    inputs.iter().for_each(|input| writer.write(input));
    writer.write(&Input::Tick(Time(10)));
    writer.finish().expect("a recording");
    fs::read(&path).expect("what was written")
}

const CALL: &str = "POST /v?timeout=3s HTTP/1.1\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: 53\r\n\r\n\
                    {\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"u-12\"}}\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3c\r\n{\"kind\":\"AdmissionReview\",\
                      \"response\":{\"allowed\":false,\"uid\":\"u-12\",\"status\":{\"message\":\"no\"}}}\r\n0\r\n\r\n";

/// Pieces as the target `tls` takes them.
fn pieces() -> Vec<(&'static str, Vec<u8>)> {
    let piece = |part: u8, way: u8, text: &str| {
        let mut text = text.as_bytes().to_vec();
        text.resize(text.len().next_multiple_of(8), b' ');
        [vec![(text.len() / 8) as u8, part, way], text].concat()
    };
    let (head, body) = CALL.split_at(90);
    let tunnel = piece(1, 1, "CONNECT 10.0.0.1:443 HTTP/1.1\r\n\r\n");
    let whole = [piece(1, 0x15, CALL), piece(2, 0x14, ANSWER)].concat();
    vec![
        ("call", whole.clone()),
        ("pieces", [piece(1, 0x11, head), piece(3, 0x11, body), piece(2, 0x10, ANSWER)].concat()),
        ("tunnel", [tunnel, whole].concat()),
        ("review", CALL.split_once("\r\n\r\n").map_or(Vec::new(), |(_, body)| body.into())),
    ]
}

/// Stretches as the target `http2` takes them, and blocks of headers.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    const FRESH: u8 = 1 << 4 | 1 << 5;
    let stretch = |how: u8, bytes: &[u8]| {
        // Filled up with pings of which nothing comes.
        let mut bytes = bytes.to_vec();
        while bytes.len() % 8 != 0 {
            bytes.extend_from_slice(&frame(6, 0, 0, &[0; 8]));
        }
        [vec![(bytes.len() / 8) as u8, how], bytes].concat()
    };
    let header = |name: &str, value: &str| {
        [&[0x40, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let call = [&[0x83][..], &header(":path", "/v?timeout=3s"), &header("user-agent", "kube-apiserver-admission")];
    let (_, review) = CALL.split_once("\r\n\r\n").unwrap_or_default();
    let asks = |stream: u32, headers: &[u8]| {
        [frame(1, 4, stream, headers), frame(0, 1, stream, review.as_bytes())].concat()
    };
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let body = br#"{"kind":"AdmissionReview","response":{"allowed":false,"uid":"u-12"}}"#;
    let answer = [frame(1, 4, 1, &[0x88]), frame(0, 1, 1, body)].concat();
    let first = [&preface[..], &frame(4, 0, 0, &[]), &asks(1, &call.concat())].concat();
    let again = asks(3, &[0x83, 0xbf, 0xbe]);
    let away = [frame(3, 0, 3, &[0, 0, 0, 8]), frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])].concat();
    let packed = [0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    let block = |bytes: &[u8]| [&[bytes.len() as u8][..], bytes].concat();
    vec![
        (
            "call",
            [stretch(FRESH | 1, &first), stretch(FRESH, &answer), stretch(FRESH | 1, &again), stretch(FRESH, &away)]
                .concat(),
        ),
        ("late", [stretch(1 << 5 | 1, &again), stretch(1 << 5 | 1, &first[24..])].concat()),
        ("blocks", [block(&call.concat()), block(&[0x83, 0xbf, 0xbe]), block(&packed), block(&[0x20, 0x88])].concat()),
    ]
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A function table as Go 1.20 writes it, with one function.
fn table() -> Vec<u8> {
    let name = b"crypto/tls.(*Conn).Read\0";
    let names_at = 72_u64;
    let words = [1, 0, 0x40_1000, names_at, 0, 0, 0, names_at + name.len() as u64];
    let functions = [0_u32, 12, 0x100, 0, 0];
    [
        0xffff_fff1_u32.to_le_bytes().to_vec(),
        vec![0, 0, 1, 8],
        words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        name.to_vec(),
        functions.iter().flat_map(|half| half.to_le_bytes()).collect(),
    ]
    .concat()
}

/// A request of each signal, behind the number of the signal.
fn otlp_json() -> Vec<(&'static str, Vec<u8>)> {
    let ids = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174""#;
    let resource = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]}"#;
    let scope = r#""scope":{"name":"lib"}"#;
    let spans = format!(
        r#"{{{ids},"kind":"SPAN_KIND_CLIENT","startTimeUnixNano":"5","endTimeUnixNano":6,"status":{{"code":2}},
        "attributes":[{{"key":"network.peer.port","value":{{"intValue":"53"}}}},{{"key":"url.full","value":null}}]}},
        {{{ids},"links":[{{{ids}}}],"events":[{{"name":"e"}}],"flags":257}}"#
    );
    let metrics = r#"{"name":"m","histogram":{"dataPoints":[{"count":"2","sum":1.5,"bucketCounts":["1",1],
        "explicitBounds":[0.5]}]}},{"gauge":{"dataPoints":[{"asDouble":"NaN"}]}}"#;
    let logs =
        r#"{"timeUnixNano":1,"body":{"kvlistValue":{"values":[{"key":"a","value":{"bytesValue":"aGk="}}]}}}"#;
    let request = |number: u8, names: [&str; 3], records: &str| {
        let [outer, inner, list] = names;
        let text = format!(r#"{{"{outer}":[{{{resource},"{inner}":[{{{scope},"{list}":[{records}]}}]}}]}}"#);
        [&[number], text.as_bytes()].concat()
    };
    vec![
        ("spans", request(0, ["resourceSpans", "scopeSpans", "spans"], &spans)),
        ("logs", request(1, ["resourceLogs", "scopeLogs", "logRecords"], logs)),
        ("metrics", request(2, ["resourceMetrics", "scopeMetrics", "metrics"], metrics)),
    ]
}

/// The same in protobuf.
fn otlp() -> Vec<(&'static str, Vec<u8>)> {
    let made = |(name, json): (&'static str, Vec<u8>)| {
        let signal = Signal::ALL[usize::from(json[0])];
        let made = json::request(signal, &json[1..]).expect("a request");
        assert_eq!(made.rejected, 0, "{name}: {:?}", made.why);
        (name, made.request)
    };
    otlp_json().into_iter().map(made).collect()
}

fn main() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let sets = [
        ("reduce", [records(), connections(), webhooks()].concat()),
        ("dns", messages()),
        ("invocation", invocations()),
        ("webhook", heads()),
        ("recording", vec![("two-segments", recording())]),
        ("tls", pieces()),
        ("http2", frames()),
        ("pclntab", vec![("go-1.20", table())]),
        ("otlp", otlp()),
        ("otlp_json", otlp_json()),
    ];
    for (target, files) in sets {
        let folder = seeds.join(target);
        fs::create_dir_all(&folder).expect("a folder for seeds");
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).expect("a seed");
        }
    }
}
