//! A call of a webhook in words.

use crate::{
    output::{CallOutcome, CallPhases, Side, Webhook},
    sink::units::{ms_text, process_text},
};

/// `gatekeeper: POST /v1/admit answered after 12.3 ms (server 12.0) of 3000 ms, status 200`.
pub(super) fn webhook(call: &Webhook) -> String {
    let asked: Vec<&str> = [call.method.as_deref(), call.path.as_deref()].into_iter().flatten().collect();
    let mut text = format!("{}: ", call.name);
    for word in asked {
        text.push_str(&format!("{word} "));
    }
    text.push_str(what_came_of_it(call));
    if let Some(ns) = call.latency_ns {
        text.push_str(&format!(" after {} ms", ms_text(ns)));
    }
    let CallPhases { connect_ns, tls_ns, send_ns, server_ns, receive_ns } = call.phases;
    let phases = [
        ("connect", connect_ns),
        ("tls", tls_ns),
        ("send", send_ns),
        ("server", server_ns),
        ("receive", receive_ns),
    ];
    let phases: Vec<String> =
        phases.into_iter().filter_map(|(name, ns)| Some(format!("{name} {}", ms_text(ns?)))).collect();
    if !phases.is_empty() {
        text.push_str(&format!(" ({})", phases.join(", ")));
    }
    if let Some(time) = call.server_time {
        let spent = [
            ("ran", Some(time.on_cpu_ns)),
            ("runnable", Some(time.runnable_ns)),
            ("throttled", time.throttled_ns),
            ("blocked", Some(time.blocked_ns)),
        ];
        let spent = spent.into_iter().filter_map(|(doing, ns)| Some((doing, ns.filter(|ns| *ns > 0)?)));
        let spent: Vec<String> = spent.map(|(doing, ns)| format!("{doing} {}", ms_text(ns))).collect();
        if !spent.is_empty() {
            text.push_str(&format!(" [server {}]", spent.join(", ")));
        }
    }
    if let Some(ns) = call.deadline_ns {
        text.push_str(&format!(" of {} ms", ms_text(ns)));
    }
    if let Some(status) = call.status {
        text.push_str(&format!(", status {status}"));
    }
    if let Some(message) = &call.message {
        text.push_str(&format!(", \"{message}\""));
    }
    match &call.server.process {
        Some(process) if call.side == Side::Client => {
            text.push_str(&format!(", by {}", process_text(process)));
        }
        _ => {}
    }
    text
}

const fn what_came_of_it(call: &Webhook) -> &'static str {
    match call.outcome {
        CallOutcome::Answered => "answered",
        CallOutcome::Denied => "denied",
        CallOutcome::Timeout => "not answered in time, the client gave up",
        CallOutcome::Refused => "refused, nobody listens",
        CallOutcome::Reset => "not answered, the server ended the connection",
        CallOutcome::TlsFailed => "not made, TLS failed",
        CallOutcome::HttpError => "answered with an error",
        CallOutcome::Unknown => "what came of it is not known",
    }
}
