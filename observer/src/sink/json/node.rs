//! How the node itself was doing.

use serde::Serialize;

use super::hardware::HardwareJson;
use crate::{
    output::{Histogram, NodeUse},
    sink::units::ms,
};

#[derive(Serialize)]
pub(super) struct NodeUseJson {
    node_interval_ms: f64,
    run_queue_waits: Option<u64>,
    run_queue_p50_ms: Option<f64>,
    run_queue_p99_ms: Option<f64>,
    steal_percent: Option<f64>,
    #[serde(flatten)]
    hardware: HardwareJson,
}

impl NodeUseJson {
    pub(super) fn of(node: &NodeUse) -> Self {
        let percentile = |p: u64| node.run_queue.as_ref().and_then(|waits| waits.percentile(p)).map(ms);
        NodeUseJson {
            node_interval_ms: ms(node.interval_ns),
            run_queue_waits: node.run_queue.as_ref().map(Histogram::count),
            run_queue_p50_ms: percentile(50),
            run_queue_p99_ms: percentile(99),
            steal_percent: node.steal_percent(),
            hardware: HardwareJson::of(node),
        }
    }
}
