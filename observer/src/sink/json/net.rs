//! `event` of probe `net`: what became of a connection.

use serde::Serialize;

use super::address::{AddressJson, BackendJson, DropJson};
use crate::{
    output::{Net, tls_alert},
    sink::{errno, units::ms},
};

#[derive(Serialize)]
pub(super) struct NetJson<'a> {
    action: &'static str,
    outcome: &'static str,
    server: Option<AddressJson>,
    backend: Option<BackendJson<'a>>,
    local: Option<AddressJson>,
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
    alert: Option<AlertJson>,
}

/// Of an alert that was encrypted neither number nor name is known.
#[derive(Serialize)]
struct AlertJson {
    by: &'static str,
    number: Option<u8>,
    name: Option<&'static str>,
    encrypted: bool,
}

impl<'a> NetJson<'a> {
    pub(super) fn of(net: &'a Net) -> Self {
        NetJson {
            action: net.action.name(),
            outcome: net.outcome.name(),
            server: net.server.map(AddressJson::of),
            backend: net.backend.as_ref().map(BackendJson::of),
            local: net.local.map(AddressJson::of),
            latency_ms: net.latency_ns.map(ms),
            age_ms: net.age_ns.map(ms),
            errno: net.errno,
            errno_name: net.errno.and_then(errno::name),
            retransmits: net.retransmits,
            syn_retransmits: net.syn_retransmits,
            rtt_ms: net.rtt_ns.map(ms),
            sent_bytes: net.sent_bytes,
            received_bytes: net.received_bytes,
            drop: net.drop.as_ref().map(DropJson::of),
            alert: net.alert.map(|alert| AlertJson {
                by: alert.by.name(),
                number: alert.description,
                name: alert.description.and_then(tls_alert::name),
                encrypted: alert.description.is_none(),
            }),
        }
    }
}
