//! A call of a webhook, as an `event` has it.

use serde::Serialize;

use super::container::ProcessJson;
use crate::{
    output::{CallPhases, Peer, ServerTime, Webhook},
    sink::units::ms,
};

#[derive(Serialize)]
pub(super) struct WebhookJson<'a> {
    name: &'a str,
    client: PeerJson<'a>,
    server: PeerJson<'a>,
    side: &'static str,
    method: Option<&'a str>,
    path: Option<&'a str>,
    deadline_ms: Option<f64>,
    latency_ms: Option<f64>,
    phases_ms: PhasesJson,
    server_time_ms: Option<ServerTimeJson>,
    connection_age_ms: Option<f64>,
    status: Option<u16>,
    allowed: Option<bool>,
    message: Option<&'a str>,
    outcome: &'static str,
    seen: &'static str,
    overlapping: bool,
    retransmits: u32,
    connects: u32,
    unacknowledged_bytes: Option<u32>,
}

#[derive(Serialize)]
struct PeerJson<'a> {
    address: Option<String>,
    port: Option<u16>,
    host: Option<&'a str>,
    pod: Option<&'a str>,
    process: Option<ProcessJson<'a>>,
}

#[derive(Serialize)]
struct PhasesJson {
    connect: Option<f64>,
    tls: Option<f64>,
    send: Option<f64>,
    server: Option<f64>,
    receive: Option<f64>,
}

#[derive(Serialize)]
struct ServerTimeJson {
    on_cpu: f64,
    runnable: f64,
    throttled: Option<f64>,
    blocked: f64,
}

impl ServerTimeJson {
    fn of(time: ServerTime) -> Self {
        let ServerTime { on_cpu_ns, runnable_ns, throttled_ns, blocked_ns } = time;
        ServerTimeJson {
            on_cpu: ms(on_cpu_ns),
            runnable: ms(runnable_ns),
            throttled: throttled_ns.map(ms),
            blocked: ms(blocked_ns),
        }
    }
}

impl<'a> WebhookJson<'a> {
    pub(super) fn of(call: &'a Webhook) -> Self {
        WebhookJson {
            name: &call.name,
            client: PeerJson::of(&call.client),
            server: PeerJson::of(&call.server),
            side: call.side.name(),
            method: call.method.as_deref(),
            path: call.path.as_deref(),
            deadline_ms: call.deadline_ns.map(ms),
            latency_ms: call.latency_ns.map(ms),
            phases_ms: PhasesJson::of(call.phases),
            server_time_ms: call.server_time.map(ServerTimeJson::of),
            connection_age_ms: call.connection_age_ns.map(ms),
            status: call.status,
            allowed: call.allowed,
            message: call.message.as_deref(),
            outcome: call.outcome.name(),
            seen: call.seen.name(),
            overlapping: call.overlapping,
            retransmits: call.retransmits,
            connects: call.connects,
            unacknowledged_bytes: call.unacknowledged_bytes,
        }
    }
}

impl<'a> PeerJson<'a> {
    fn of(peer: &'a Peer) -> Self {
        PeerJson {
            address: peer.address.map(|address| address.to_string()),
            port: peer.port,
            host: peer.host.as_deref(),
            pod: peer.pod.as_deref(),
            process: peer.process.as_ref().map(ProcessJson::of),
        }
    }
}

impl PhasesJson {
    fn of(phases: CallPhases) -> Self {
        let CallPhases { connect_ns, tls_ns, send_ns, server_ns, receive_ns } = phases;
        PhasesJson {
            connect: connect_ns.map(ms),
            tls: tls_ns.map(ms),
            send: send_ns.map(ms),
            server: server_ns.map(ms),
            receive: receive_ns.map(ms),
        }
    }
}
