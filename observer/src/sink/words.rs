//! What happened, in plain words with its numbers. The text is not escaped: whoever shows it does that.

pub(super) mod checks;
pub(super) mod cpu;
mod dns;
mod file;
mod webhook;

use std::collections::BTreeMap;

use super::{
    errno, signal,
    units::{self, bytes_text, ms_text, process_text},
};
use crate::output::{
    Backend, Drop, Event, Exec, Exit, FaultKind, FaultRegion, Io, Memory, Net, NetAction, OomScope,
    PhaseName, Process, Resident, Runtime, RuntimeAction, Seen, Since, Stats, Stdio, StdioOutcome,
    StdioTarget, Text, What, tls_alert,
};
use crate::probes::hardware::Slow;

/// `stderr: 1.2 MiB written, 64.0 KiB still queued, nobody reads (reader-gone)`.
pub(super) fn event(event: &Event) -> String {
    let mut text = match &event.what {
        What::Exec(tried) => exec(tried),
        What::Runtime(done) if done.action == RuntimeAction::Phase => phase(done, event),
        What::Runtime(done) => {
            let exit = event.container.as_ref().and_then(|container| container.exit.as_ref());
            runtime(done, event.process.as_ref(), exit)
        }
        What::Stdio(stream) => stdio(stream),
        What::Memory(fault) => memory(fault, event.process.as_ref()),
        // In no container the line is about the process already.
        What::Dns(lookup) => dns::dns(lookup, event.process.as_ref().filter(|_| event.container.is_some())),
        What::Net(connection) => net(connection),
        What::Webhook(call) => webhook::webhook(call),
        What::Text(text) => text_line(text, event.process.as_ref().filter(|_| event.container.is_some())),
        What::Cpu(of) => cpu::cpu(of),
        What::File(file) => file::file(file, event.process.as_ref().filter(|_| event.container.is_some())),
        What::Io(Io(slow)) => io(slow),
    };
    let counts = matches!(event.what, What::Stdio(_) | What::Memory(_));
    if event.since == Since::Attach && counts {
        text.push_str(", counted since observer attached");
    }
    if let Some(why) = &event.why {
        text.push_str("; ");
        text.push_str(why);
    }
    text
}

/// `/bin/sh: executed`.
fn exec(exec: &Exec) -> String {
    let exe = exec.exe.as_deref().unwrap_or("?");
    match exec.errno {
        Some(number) => format!("{exe} could not be executed: {}", errno_text(number)),
        None => format!("{exe} executed"),
    }
}

/// `rootfs took 3.100 ms: ENOENT, by crun (812)`.
fn phase(runtime: &Runtime, event: &Event) -> String {
    let name = runtime.phase.map_or("?", PhaseName::name);
    let took = event.time.0.saturating_sub(event.began.unwrap_or(event.time).0);
    let mut text = format!("{name} took {} ms", ms_text(took.unsigned_abs()));
    if let Some(number) = runtime.errno {
        text.push_str(&format!(", and failed with {}", errno_text(number)));
    }
    if let Some(process) = &event.process {
        text.push_str(&format!(", by {}", process_text(process)));
    }
    text
}

/// `flush of sda took 140.000 ms, 2 like it since the last`.
fn io(slow: &Slow) -> String {
    let mut text = format!("{} of {}", slow.op.name(), slow.name);
    if slow.bytes > 0 {
        text.push_str(&format!(", {},", bytes_text(slow.bytes.into())));
    }
    text.push_str(&format!(" took {} ms", ms_text(slow.took_ns)));
    if slow.count > 1 {
        text.push_str(&format!(", the last of {} such", slow.count));
    }
    text
}

fn runtime(runtime: &Runtime, process: Option<&Process>, exit: Option<&Exit>) -> String {
    let mut text = match (runtime.action, runtime.signal, runtime.exit_code) {
        (RuntimeAction::Stop, signal, _) => {
            let signal = signal.map_or_else(|| "a signal".to_owned(), signal::text);
            let by = process.map(|process| format!(" by {}", process_text(process))).unwrap_or_default();
            format!("sent {signal}{by}")
        }
        (RuntimeAction::Delete, ..) => {
            let by = process.map(|process| format!(" by {}", process_text(process))).unwrap_or_default();
            format!("deleted{by}")
        }
        (RuntimeAction::Phase, ..) => "a part of its start".to_owned(),
        (RuntimeAction::Create, ..) => "created".to_owned(),
        (RuntimeAction::Start, ..) => "started".to_owned(),
        (RuntimeAction::Exit, Some(number), _) => format!("killed by {}", signal::text(number)),
        (RuntimeAction::Exit, None, Some(code)) => format!("ended with exit status {code}"),
        (RuntimeAction::Exit, None, None) => "ended, its exit status is not known".to_owned(),
    };
    let reason = exit.filter(|_| runtime.action == RuntimeAction::Exit).and_then(|exit| exit.reason.as_ref());
    if let Some(reason) = reason {
        text.push_str(&format!(" ({reason})"));
    }
    match runtime.errno {
        Some(number) => format!("{text}: {}", errno_text(number)),
        None => text,
    }
}

pub(super) fn stdio(stdio: &Stdio) -> String {
    let stream = match stdio.fd {
        1 => "stdout".to_owned(),
        2 => "stderr".to_owned(),
        fd => format!("descriptor {fd}"),
    };
    let mut parts = vec![match stdio.written_bytes {
        Some(0) => "nothing written".to_owned(),
        Some(bytes) => format!("{} written", bytes_text(bytes)),
        None => "bytes written not known".to_owned(),
    }];
    if let Some(bytes) = stdio.delivered_bytes.filter(|bytes| stdio.written_bytes != Some(*bytes)) {
        parts.push(format!("{} delivered", bytes_text(bytes)));
    }
    if let Some(bytes) = stdio.pipe_bytes.filter(|bytes| *bytes > 0) {
        parts.push(format!("{} still queued", bytes_text(bytes)));
    }
    parts.extend(what_of_it(stdio));
    if let Some(ns) = stdio.blocked_ns.filter(|ns| *ns > 0) {
        parts.push(format!("writers waited {} ms", ms_text(ns)));
    }
    if stdio.broken_pipe_writes > 0 {
        parts.push(format!("{} failed with EPIPE", units::count(stdio.broken_pipe_writes, "write")));
    }
    let was_taken = stdio.delivered_bytes.is_none_or(|bytes| bytes > 0);
    if let Some(log) = stdio.log_file.as_ref().filter(|log| was_taken && log.grew == Some(false)) {
        parts.push(format!("{} does not grow", log.path));
    }
    if stdio.ended {
        parts.push("ended".to_owned());
    }
    format!("{stream}: {} ({})", parts.join(", "), stdio.outcome.name())
}

/// What the outcome means for what was written.
fn what_of_it(stdio: &Stdio) -> Option<String> {
    let reader = stdio.reader.as_ref().map_or_else(|| "its reader".to_owned(), process_text);
    match stdio.outcome {
        StdioOutcome::ReaderGone => Some("nobody reads".to_owned()),
        StdioOutcome::Undelivered => Some("its last reader closed before taking it".to_owned()),
        StdioOutcome::Blocked => Some(format!("{reader} takes nothing")),
        StdioOutcome::HeldUntilExit => Some("all of it just before the end".to_owned()),
        StdioOutcome::Redirected => {
            Some(format!("goes to {}", target_text(stdio.target_now.unwrap_or(stdio.target))))
        }
        StdioOutcome::Delivered | StdioOutcome::Silent | StdioOutcome::Unknown => None,
    }
}

pub(super) const fn target_text(target: StdioTarget) -> &'static str {
    match target {
        StdioTarget::Pipe => "another pipe",
        StdioTarget::Fifo => "a fifo",
        StdioTarget::File => "a file",
        StdioTarget::Null => "/dev/null",
        StdioTarget::Tty => "a terminal",
        StdioTarget::Socket => "a socket",
        StdioTarget::Closed => "nothing, it is closed",
        StdioTarget::Other => "something else",
    }
}

/// `connect to 10.43.0.1:443: timeout after 3.000 ms, sent 2 times again; dropped here (NETFILTER_DROP)`.
fn net(net: &Net) -> String {
    let server = net.server.map_or_else(|| "?".to_owned(), |server| server.to_string());
    let mut text = match net.action {
        NetAction::Connect => format!("connect to {server}: {}", net.outcome.name()),
        NetAction::Handshake => format!("TLS handshake with {server}: {}", net.outcome.name()),
        NetAction::Stall | NetAction::Close => format!("connection to {server}: {}", net.outcome.name()),
    };
    if let Some(backend) = &net.backend {
        text.push_str(&went_to(backend));
    }
    if let Some(alert) = &net.alert {
        text.push_str(&format!(", {} by the {}", tls_alert::text(*alert), alert.by.name()));
    }
    if let Some(name) = net.errno.and_then(errno::name) {
        text.push_str(&format!(" ({name})"));
    }
    if let Some(age) = net.latency_ns.or(net.age_ns) {
        text.push_str(&format!(" after {} ms", ms_text(age)));
    }
    if net.retransmits > 0 {
        text.push_str(&format!(", {} packets sent again", net.retransmits));
    }
    if let Some(drop) = &net.drop {
        text.push_str(&dropped(drop));
    }
    text
}

/// ` (went to 10.1.0.5:8080, shop/db-0)`.
fn went_to(backend: &Backend) -> String {
    let pod = backend.pod.as_ref().map(|pod| format!(", {pod}")).unwrap_or_default();
    format!(" (went to {}{pod})", backend.address)
}

/// `; an answer was dropped here: NETFILTER_DROP in network namespace 4026532264`.
fn dropped(drop: &Drop) -> String {
    let what = if drop.of_answer { "an answer" } else { "a packet" };
    let place = drop.netns.map(|netns| format!(" in network namespace {netns}")).unwrap_or_default();
    format!("; {what} was dropped here: {}{place}", drop.reason)
}

/// `webhook-failed (containerd 812): failed calling webhook "x": ...`.
fn text_line(text: &Text, process: Option<&Process>) -> String {
    let who = process.map(|process| format!(" ({})", process_text(process))).unwrap_or_default();
    let more = if text.is_cut { ".." } else { "" };
    format!("{}{who}: {}{more}", text.keyword, text.line)
}

fn memory(memory: &Memory, process: Option<&Process>) -> String {
    let mut parts = vec![what_failed(memory)];
    match memory.handled {
        Some(true) => parts.push("handled".to_owned()),
        Some(false) => parts.push("not handled".to_owned()),
        None => {}
    }
    let sizes =
        [("asked for", memory.asked_bytes), ("resident", memory.rss_bytes), ("limit", memory.limit_bytes)];
    parts
        .extend(sizes.into_iter().filter_map(|(name, bytes)| Some(format!("{name} {}", bytes_text(bytes?)))));
    if let Some(code) = memory.engine_code {
        parts.push(format!("engine code {code:#x}"));
    }
    if memory.count > 1 {
        parts.push(format!("{} times", memory.count));
    }
    match memory.seen {
        Seen::Signal | Seen::Kernel => {}
        Seen::Engine => parts.push("told by the engine".to_owned()),
        Seen::Text => parts.push("told by its output".to_owned()),
        Seen::Exit => parts.push("told by its end".to_owned()),
    }
    let by = process.map(|process| format!("{}: ", process_text(process))).unwrap_or_default();
    format!("{by}{} ({})", parts.join(", "), memory.kind.name())
}

fn what_failed(memory: &Memory) -> String {
    let signal = memory.signal.map_or_else(|| "a fault".to_owned(), signal::text);
    match memory.kind {
        FaultKind::WasmTrap => match memory.wasm_address {
            Some(address) => format!("{signal} at {address:#x} of linear memory"),
            None if memory.signal.is_some() => format!("{signal}{}", place(memory)),
            None => "the module trapped".to_owned(),
        },
        FaultKind::Fault => format!("{signal}{}", place(memory)),
        FaultKind::OomKill => match memory.scope {
            Some(OomScope::Memcg) => "killed, its control group is out of memory".to_owned(),
            Some(OomScope::Global) => "killed, the node is out of memory".to_owned(),
            Some(OomScope::Unknown) | None => "killed for want of memory".to_owned(),
        },
        FaultKind::Limit => "reached its memory limit, nothing was killed".to_owned(),
        FaultKind::MapFailed => {
            let errno = memory.errno.map(|number| format!(" with {}", errno_text(number)));
            format!("address space refused{}", errno.unwrap_or_default())
        }
    }
}

/// ` at 0x10, a null pointer`.
fn place(memory: &Memory) -> String {
    let region = match memory.region {
        Some(FaultRegion::LinearMemory) => ", in linear memory",
        Some(FaultRegion::Guard) => ", in a guard region",
        Some(FaultRegion::Stack) => ", at the stack's end",
        Some(FaultRegion::Null) => ", a null pointer",
        Some(FaultRegion::Other) | None => "",
    };
    memory.address.map_or_else(|| region.to_owned(), |address| format!(" at {address:#x}{region}"))
}

fn errno_text(number: i32) -> String {
    errno::name(number).map_or_else(|| format!("errno {number}"), ToOwned::to_owned)
}

/// `stdio: 5 (4 delivered, 1 reader-gone), 1 failed; p50 1.00 p90 2.00 max 3.00 ms`.
pub(super) fn stats(stats: &Stats) -> String {
    let outcomes = |outcomes: &BTreeMap<&str, u64>| {
        outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    let of: Vec<&str> = ["server", "path"]
        .iter()
        .filter(|_| stats.probe == "webhook")
        .filter_map(|name| stats.key.get(name))
        .map(String::as_str)
        .collect();
    let of = [&[stats.probe][..], &of].concat().join(" ");
    let mut text = match stats.count {
        0 if stats.resident.is_some() || stats.cpu.is_some() || stats.node.is_some() => of,
        _ => format!("{of}: {} ({})", stats.count, outcomes(&stats.outcomes)),
    };
    if let Some(resident) = stats.resident {
        let Resident { rss_bytes, rss_peak_bytes, rss_growth_bytes, .. } = resident;
        let sign = if rss_growth_bytes < 0 { "shrunk" } else { "grown" };
        text.push_str(&format!(
            ": {} resident, {} at most, {sign} by {}",
            bytes_text(rss_bytes),
            bytes_text(rss_peak_bytes),
            bytes_text(rss_growth_bytes.unsigned_abs()),
        ));
    }
    if let Some(used) = &stats.cpu {
        text.push_str(&format!(": {}", cpu::used(used)));
    }
    if let Some(node) = &stats.node {
        text.push_str(&format!(": {}", cpu::node(node)));
    }
    if stats.failed > 0 && !stats.outcomes.contains_key("failed") {
        text.push_str(&format!(", {} failed", stats.failed));
    }
    if let (Some(p50), Some(p90), Some(max)) = (stats.p50_ns, stats.p90_ns, stats.max_ns) {
        text.push_str(&format!("; p50 {} p90 {} max {} ms", ms_text(p50), ms_text(p90), ms_text(max)));
    }
    text
}
