//! `event` of probe `net`: what became of a connection.

use std::net::SocketAddr;

use serde::Serialize;

use crate::{
    output::{Drop, Net},
    sink::{errno, units::ms},
};

#[derive(Serialize)]
pub(super) struct NetJson<'a> {
    action: &'static str,
    outcome: &'static str,
    server: Option<EndpointJson>,
    local: Option<EndpointJson>,
    latency_ms: Option<f64>,
    age_ms: Option<f64>,
    errno: Option<i32>,
    errno_name: Option<&'static str>,
    retransmits: u32,
    syn_retransmits: u32,
    rtt_ms: Option<f64>,
    sent_bytes: Option<u64>,
    received_bytes: Option<u64>,
    drop: Option<DropJson<'a>>,
}

#[derive(Serialize)]
pub(super) struct EndpointJson {
    address: String,
    port: u16,
}

impl EndpointJson {
    pub(super) fn of(endpoint: SocketAddr) -> Self {
        EndpointJson { address: endpoint.ip().to_string(), port: endpoint.port() }
    }
}

#[derive(Serialize)]
struct DropJson<'a> {
    reason: &'a str,
    r#where: PlaceJson,
    of_answer: bool,
}

#[derive(Serialize)]
struct PlaceJson {
    netns: Option<u32>,
}

impl<'a> NetJson<'a> {
    pub(super) fn of(net: &'a Net) -> Self {
        let drop = |Drop { reason, netns, of_answer }: &'a Drop| DropJson {
            reason,
            r#where: PlaceJson { netns: *netns },
            of_answer: *of_answer,
        };
        NetJson {
            action: net.action.name(),
            outcome: net.outcome.name(),
            server: net.server.map(EndpointJson::of),
            local: net.local.map(EndpointJson::of),
            latency_ms: net.latency_ns.map(ms),
            age_ms: net.age_ns.map(ms),
            errno: net.errno,
            errno_name: net.errno.and_then(errno::name),
            retransmits: net.retransmits,
            syn_retransmits: net.syn_retransmits,
            rtt_ms: net.rtt_ns.map(ms),
            sent_bytes: net.sent_bytes,
            received_bytes: net.received_bytes,
            drop: net.drop.as_ref().map(drop),
        }
    }
}
