//! `event`: what was seen of a container that lives.

use serde::Serialize;

use super::{
    container::{ContainerJson, ProcessJson},
    cpu::CpuJson,
    dns::DnsJson,
    file::FileJson,
    hardware::IoJson,
    net::NetJson,
    text::TextJson,
    webhook::WebhookJson,
};
use crate::{
    output::{
        Event, Exec, FaultRegion, LogFile, Memory, OomScope, PhaseName, Runtime, Stdio, StdioTarget, Thread,
        Unflushed, What,
    },
    sink::{
        errno, signal,
        units::{ms, rfc3339},
    },
};

#[derive(Serialize)]
pub(super) struct EventBody<'a> {
    probe: &'static str,
    container: Option<ContainerJson<'a>>,
    process: Option<ProcessJson<'a>>,
    since: &'static str,
    /// When what is told began, where it took time.
    began: Option<String>,
    /// Why something below is `null` or `unknown`.
    why: Option<&'a str>,
    #[serde(flatten)]
    what: WhatJson<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WhatJson<'a> {
    Exec(ExecJson<'a>),
    Runtime(RuntimeJson),
    Stdio(StdioJson<'a>),
    Memory(MemoryJson),
    Dns(DnsJson<'a>),
    Net(NetJson<'a>),
    Webhook(Box<WebhookJson<'a>>),
    Text(TextJson<'a>),
    Cpu(CpuJson),
    File(FileJson<'a>),
    Io(IoJson<'a>),
}

impl<'a> EventBody<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        EventBody {
            probe: event.what.probe(),
            container: event.container.as_ref().map(ContainerJson::of),
            process: event.process.as_ref().map(ProcessJson::of),
            since: event.since.name(),
            began: event.began.map(rfc3339),
            why: event.why.as_deref(),
            what: match &event.what {
                What::Exec(exec) => WhatJson::Exec(ExecJson::of(exec)),
                What::Runtime(runtime) => WhatJson::Runtime(RuntimeJson::of(runtime)),
                What::Stdio(stdio) => WhatJson::Stdio(StdioJson::of(stdio)),
                What::Memory(memory) => WhatJson::Memory(MemoryJson::of(memory)),
                What::Dns(dns) => WhatJson::Dns(DnsJson::of(dns)),
                What::Net(net) => WhatJson::Net(NetJson::of(net)),
                What::Text(text) => WhatJson::Text(TextJson::of(text)),
                What::Webhook(call) => WhatJson::Webhook(Box::new(WebhookJson::of(call))),
                What::Cpu(cpu) => WhatJson::Cpu(CpuJson::of(cpu)),
                What::File(file) => WhatJson::File(FileJson::of(file)),
                What::Io(io) => WhatJson::Io(IoJson::of(io)),
            },
        }
    }
}

#[derive(Serialize)]
struct ExecJson<'a> {
    exe: Option<&'a str>,
    errno: Option<i32>,
    errno_name: Option<&'static str>,
}

impl<'a> ExecJson<'a> {
    fn of(exec: &'a Exec) -> Self {
        ExecJson { exe: exec.exe.as_deref(), errno: exec.errno, errno_name: exec.errno.and_then(errno::name) }
    }
}

#[derive(Serialize)]
struct RuntimeJson {
    action: &'static str,
    phase: Option<&'static str>,
    errno: Option<i32>,
    errno_name: Option<&'static str>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    signal_name: Option<&'static str>,
}

impl RuntimeJson {
    fn of(runtime: &Runtime) -> Self {
        RuntimeJson {
            action: runtime.action.name(),
            phase: runtime.phase.map(PhaseName::name),
            errno: runtime.errno,
            errno_name: runtime.errno.and_then(errno::name),
            exit_code: runtime.exit_code,
            signal: runtime.signal,
            signal_name: runtime.signal.and_then(signal::name),
        }
    }
}

#[derive(Serialize)]
pub(super) struct StdioJson<'a> {
    fd: u32,
    shared_with_fd: Option<u32>,
    target: &'static str,
    target_now: Option<&'static str>,
    written_bytes: Option<u64>,
    delivered_bytes: Option<u64>,
    pipe_bytes: Option<u64>,
    blocked_ms: Option<f64>,
    /// A thread of the container that waits for room.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiter: Option<ThreadJson>,
    broken_pipe_writes: u64,
    reader: Option<ProcessJson<'a>>,
    log_file: Option<LogFileJson<'a>>,
    outcome: &'static str,
    unflushed: Option<&'static str>,
    ended: bool,
}

#[derive(Serialize)]
struct ThreadJson {
    pid: u32,
    tid: u32,
}

#[derive(Serialize)]
struct LogFileJson<'a> {
    path: &'a str,
    bytes: Option<u64>,
    grew: Option<bool>,
}

impl<'a> StdioJson<'a> {
    pub(super) fn of(stdio: &'a Stdio) -> Self {
        let log_file =
            |LogFile { path, bytes, grew }: &'a LogFile| LogFileJson { path, bytes: *bytes, grew: *grew };
        StdioJson {
            fd: stdio.fd,
            shared_with_fd: stdio.shared_with_fd,
            target: stdio.target.name(),
            target_now: stdio.target_now.map(StdioTarget::name),
            written_bytes: stdio.written_bytes,
            delivered_bytes: stdio.delivered_bytes,
            pipe_bytes: stdio.pipe_bytes,
            blocked_ms: stdio.blocked_ns.map(ms),
            waiter: stdio.waiter.map(|Thread { pid, tid }| ThreadJson { pid, tid }),
            broken_pipe_writes: stdio.broken_pipe_writes,
            reader: stdio.reader.as_ref().map(ProcessJson::of),
            log_file: stdio.log_file.as_ref().map(log_file),
            outcome: stdio.outcome.name(),
            unflushed: stdio.unflushed.map(Unflushed::name),
            ended: stdio.ended,
        }
    }
}

#[derive(Serialize)]
struct MemoryJson {
    kind: &'static str,
    signal: Option<i32>,
    signal_name: Option<&'static str>,
    code: Option<i32>,
    /// Hexadecimal: 64 bits are more than a number of JSON keeps.
    address: Option<String>,
    wasm_address: Option<String>,
    /// Of the linear memory that was touched: what could be accessed, and what its module declares as the most.
    linear_bytes: Option<u64>,
    linear_max_bytes: Option<u64>,
    handled: Option<bool>,
    region: Option<&'static str>,
    engine_code: Option<u32>,
    seen: &'static str,
    scope: Option<&'static str>,
    errno: Option<i32>,
    errno_name: Option<&'static str>,
    asked_bytes: Option<u64>,
    rss_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    count: u64,
}

impl MemoryJson {
    fn of(memory: &Memory) -> Self {
        let hex = |address: u64| format!("{address:#x}");
        MemoryJson {
            kind: memory.kind.name(),
            signal: memory.signal,
            signal_name: memory.signal.and_then(signal::name),
            code: memory.code,
            address: memory.address.map(hex),
            wasm_address: memory.wasm_address.map(hex),
            linear_bytes: memory.linear_bytes,
            linear_max_bytes: memory.linear_max_bytes,
            handled: memory.handled,
            region: memory.region.map(FaultRegion::name),
            engine_code: memory.engine_code,
            seen: memory.seen.name(),
            scope: memory.scope.map(OomScope::name),
            errno: memory.errno,
            errno_name: memory.errno.and_then(errno::name),
            asked_bytes: memory.asked_bytes,
            rss_bytes: memory.rss_bytes,
            limit_bytes: memory.limit_bytes,
            count: memory.count,
        }
    }
}
