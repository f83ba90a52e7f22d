//! How the node itself is doing, from samples of what it counts.

use super::hardware::Slowest;
use crate::{
    input::NodeCounts,
    output::{Histogram, NodeUse},
};

pub(super) fn node_use(counts: &NodeCounts, slowest: &mut Slowest) -> NodeUse {
    NodeUse {
        interval_ns: counts.interval_ns,
        run_queue: counts.run_queue.as_deref().map(Histogram::of),
        cpu_ticks: counts.cpu_time.map(|time| (time.all, time.stolen)),
        hardware: slowest.hardware_use(&counts.hardware),
    }
}
