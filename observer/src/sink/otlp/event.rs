//! An event as one span, a trace of its own, over the time that it took: `stdio.blocked`, `memory.fault`,
//! `runtime.exit`. Pure.

mod dns;
mod file;
mod webhook;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, Status, status::StatusCode};

use super::{
    ids::{event_trace_id, span_id},
    resource::{Attributes, Host, bounded, resource, resource_of_process},
    spans::{self, FLAGS, ms, process_attributes, unix_ns},
};
use crate::{
    layer::Layer,
    output::{
        Cpu, Event, Exec, FaultKind, FaultRegion, Io, Kind, Memory, Net, OomScope, Runtime, Stdio,
        StdioTarget, Text, Unflushed, What, tls_alert,
    },
    pipeline::event_needs_attention,
    sink::{errno, signal, words},
};

/// The span of one event, with the watched workload's resource.
pub fn resource_spans(event: &Event, host: &Host) -> ResourceSpans {
    let workload = match (&event.container, &event.process) {
        (Some(container), _) => resource(container, host),
        (None, process) => resource_of_process(process.as_ref(), host),
    };
    spans::scoped(workload, vec![span(event, host)])
}

fn span(event: &Event, host: &Host) -> Span {
    let name = name(&event.what);
    let trace = event_trace_id(event, &name, host);
    let mut to = common(event);
    let failure = match &event.what {
        What::Exec(exec) => exec_attributes(&mut to, exec),
        What::Runtime(runtime) => runtime_attributes(&mut to, runtime),
        What::Stdio(stdio) => stdio_attributes(&mut to, stdio),
        What::Memory(memory) => memory_attributes(&mut to, memory),
        What::Dns(lookup) => dns::attributes(&mut to, lookup),
        What::Net(net) => net_attributes(&mut to, net),
        What::Webhook(call) => webhook::attributes(&mut to, call),
        What::Text(text) => text_attributes(&mut to, text),
        What::Cpu(cpu) => cpu_attributes(&mut to, cpu),
        What::File(file) => file::attributes(&mut to, file),
        What::Io(io) => io_attributes(&mut to, io),
    };
    let mut status = None;
    // What needs nobody's attention leaves the status unset, as the conventions ask.
    if event_needs_attention(event) {
        to.text("error.type", failure.as_str());
        let message = bounded(&words::event(event));
        status = Some(Status { code: StatusCode::Error.into(), message });
    }
    Span {
        trace_id: trace.to_vec(),
        span_id: span_id(&trace, 0).to_vec(),
        flags: FLAGS,
        name,
        kind: webhook::kind(&event.what).into(),
        start_time_unix_nano: unix_ns(event.began.unwrap_or(event.time).min(event.time), 0),
        end_time_unix_nano: unix_ns(event.time, 0),
        attributes: to.into_vec(),
        status,
        ..Span::default()
    }
}

fn name(what: &What) -> String {
    match what {
        What::Exec(_) => "exec".to_owned(),
        What::Runtime(runtime) => format!("runtime.{}", runtime.action.name()),
        What::Stdio(stdio) => format!("stdio.{}", stdio.outcome.name()),
        What::Memory(_) => "memory.fault".to_owned(),
        What::Dns(_) => "dns.lookup".to_owned(),
        What::Net(net) => format!("net.{}", net.action.name()),
        What::Webhook(_) => "webhook.call".to_owned(),
        What::Text(_) => "text.line".to_owned(),
        What::Cpu(cpu) => format!("cpu.{}", cpu.outcome.name()),
        What::File(_) => "file.failed".to_owned(),
        What::Io(_) => "io.slow".to_owned(),
    }
}

fn common(event: &Event) -> Attributes {
    let mut to = Attributes::default();
    let kind = event.container.as_ref().map(|container| container.kind);
    let layer = match kind {
        Some(Kind::Wasm) => Layer::L4,
        Some(Kind::Oci | Kind::Sandbox) => Layer::L3,
        None => Layer::Host,
    };
    to.text("observer.layer", layer.name());
    to.text("observer.probe", event.what.probe());
    to.text("observer.kind", kind.map(Kind::name));
    to.text("observer.since", event.since.name());
    to.text("observer.why", event.why.as_deref());
    if let Some(instance) = event.container.as_ref().and_then(|container| container.instance) {
        to.text("observer.instance", format!("{}@{}", instance.init, instance.start.0).as_str());
    }
    if let Some(process) = &event.process {
        process_attributes(&mut to, process);
    }
    to
}

/// Each of these gives what the failure is called, if it is one.
fn exec_attributes(to: &mut Attributes, exec: &Exec) -> String {
    to.text("observer.exec.exe", exec.exe.as_deref());
    optional(to, "observer.exec.errno", exec.errno);
    exec.errno.and_then(errno::name).unwrap_or("exec").to_owned()
}

fn io_attributes(to: &mut Attributes, Io(slow): &Io) -> String {
    to.text("observer.io.op", slow.op.name());
    to.text("observer.io.device", slow.name.as_str());
    to.int("observer.io.bytes", slow.bytes);
    to.int("observer.io.count", slow.count);
    "slow".to_owned()
}

fn runtime_attributes(to: &mut Attributes, runtime: &Runtime) -> String {
    to.text("observer.runtime.action", runtime.action.name());
    optional(to, "process.exit.code", runtime.exit_code);
    optional(to, "observer.exit.signal", runtime.signal);
    let errno = runtime.errno.and_then(errno::name).map(ToOwned::to_owned);
    errno.or(runtime.signal.map(signal::text)).unwrap_or_else(|| "exit".to_owned())
}

fn stdio_attributes(to: &mut Attributes, stdio: &Stdio) -> String {
    to.int("observer.stdio.fd", stdio.fd);
    to.text("observer.stdio.target", stdio.target.name());
    to.text("observer.stdio.target_now", stdio.target_now.map(StdioTarget::name));
    to.text("observer.stdio.outcome", stdio.outcome.name());
    optional(to, "observer.stdio.written_bytes", stdio.written_bytes);
    optional(to, "observer.stdio.delivered_bytes", stdio.delivered_bytes);
    optional(to, "observer.stdio.pipe_bytes", stdio.pipe_bytes);
    to.int("observer.stdio.broken_pipe_writes", stdio.broken_pipe_writes);
    to.text("observer.stdio.unflushed", stdio.unflushed.map(Unflushed::name));
    to.bool("observer.stdio.ended", Some(stdio.ended));
    if let Some(ns) = stdio.blocked_ns {
        to.double("observer.stdio.blocked_ms", ms(ns));
    }
    if let Some(reader) = &stdio.reader {
        to.int("observer.stdio.reader.pid", reader.pid);
        to.text("observer.stdio.reader.comm", reader.comm.as_str());
    }
    stdio.outcome.name().to_owned()
}

fn net_attributes(to: &mut Attributes, net: &Net) -> String {
    to.text("network.transport", "tcp");
    if let Some(server) = net.server {
        let peer = net.backend.as_ref().map_or(server, |backend| backend.address);
        to.text("network.peer.address", peer.ip().to_string().as_str());
        to.int("network.peer.port", peer.port());
        if peer != server {
            to.text("server.address", server.ip().to_string().as_str());
            to.int("server.port", server.port());
        }
    }
    to.text("observer.net.outcome", net.outcome.name());
    optional(to, "observer.net.retransmits", Some(net.retransmits).filter(|count| *count > 0));
    if let Some(drop) = &net.drop {
        to.text("observer.net.drop_reason", drop.reason.as_str());
    }
    if let Some(alert) = &net.alert {
        to.text("observer.net.tls_alert", alert.description.and_then(tls_alert::name));
        to.text("observer.net.tls_alert_by", alert.by.name());
    }
    net.errno.and_then(errno::name).unwrap_or(net.outcome.name()).to_owned()
}

fn text_attributes(to: &mut Attributes, text: &Text) -> String {
    to.text("observer.text.keyword", text.keyword.as_str());
    to.text("observer.text.line", text.line.as_str());
    to.bool("observer.text.component", Some(text.component));
    text.keyword.clone()
}

fn cpu_attributes(to: &mut Attributes, cpu: &Cpu) -> String {
    to.text("observer.cpu.outcome", cpu.outcome.name());
    let numbers = [
        ("observer.cpu.usage_percent", cpu.used.usage_percent()),
        ("observer.cpu.throttled_percent", cpu.used.throttled_percent()),
        ("observer.cpu.quota_cpus", cpu.used.quota_cpus()),
        ("observer.cpu.throttled_ms", cpu.used.throttling.map(|throttling| ms(throttling.throttled_ns))),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            to.double(key, number);
        }
    }
    cpu.outcome.name().to_owned()
}

fn memory_attributes(to: &mut Attributes, memory: &Memory) -> String {
    to.text("observer.memory.kind", memory.kind.name());
    to.text("observer.memory.region", memory.region.map(FaultRegion::name));
    to.text("observer.memory.seen", memory.seen.name());
    to.text("observer.memory.scope", memory.scope.map(OomScope::name));
    optional(to, "observer.memory.signal", memory.signal);
    optional(to, "observer.memory.code", memory.code);
    for (key, address) in
        [("observer.memory.address", memory.address), ("observer.memory.wasm_address", memory.wasm_address)]
    {
        to.text(key, address.map(|address| format!("{address:#x}")).as_deref());
    }
    to.bool("observer.memory.handled", memory.handled);
    optional(to, "observer.memory.engine_code", memory.engine_code);
    optional(to, "observer.memory.linear_bytes", memory.linear_bytes);
    optional(to, "observer.memory.linear_max_bytes", memory.linear_max_bytes);
    optional(to, "observer.memory.asked_bytes", memory.asked_bytes);
    optional(to, "observer.memory.rss_bytes", memory.rss_bytes);
    optional(to, "observer.memory.limit_bytes", memory.limit_bytes);
    to.int("observer.memory.count", memory.count);
    match (memory.kind, memory.errno.and_then(errno::name), memory.signal) {
        (FaultKind::MapFailed, Some(errno), _) => errno.to_owned(),
        (FaultKind::Fault, _, Some(number)) => signal::text(number),
        (kind, ..) => kind.name().to_owned(),
    }
}

fn optional(to: &mut Attributes, key: &str, number: Option<impl TryInto<i64>>) {
    if let Some(number) = number {
        to.int(key, number);
    }
}

#[cfg(test)]
mod tests;
