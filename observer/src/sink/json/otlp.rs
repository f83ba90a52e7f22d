//! What became of the telemetry of others.

use serde::Serialize;

use crate::health::OtlpCounts;

#[derive(Serialize)]
pub(super) struct OtlpJson {
    received: Received,
    rejected: u64,
    refused_requests: u64,
    own: u64,
    seen_before: u64,
    /// Null: nothing is passed on.
    forward: Option<Forward>,
    silent_connections: u64,
    refused_connections: u64,
    failed_handshakes: u64,
    unauthorized_requests: u64,
}

#[derive(Serialize)]
struct Received {
    spans: u64,
    logs: u64,
    metrics: u64,
}

#[derive(Serialize)]
struct Forward {
    resumed: u64,
    forwarded: u64,
    waiting: u64,
    waiting_in_memory: u64,
    dropped: u64,
}

impl OtlpJson {
    pub(super) fn of(counts: &OtlpCounts) -> Self {
        OtlpJson {
            received: Received {
                spans: counts.received_spans,
                logs: counts.received_logs,
                metrics: counts.received_metrics,
            },
            rejected: counts.rejected,
            refused_requests: counts.refused_requests,
            own: counts.own,
            seen_before: counts.seen_before,
            forward: counts.forwards.then_some(Forward {
                resumed: counts.resumed,
                forwarded: counts.forwarded,
                waiting: counts.waiting,
                waiting_in_memory: counts.waiting_in_memory,
                dropped: counts.dropped,
            }),
            silent_connections: counts.silent_connections,
            refused_connections: counts.refused_connections,
            failed_handshakes: counts.failed_handshakes,
            unauthorized_requests: counts.unauthorized_requests,
        }
    }
}
