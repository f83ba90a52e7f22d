//! `stats`: how often, how long, within an interval.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{cpu::CpuUseJson, node::NodeUseJson};
use crate::{
    output::{Resident, Stats},
    sink::units::{ms, rfc3339},
};

#[derive(Serialize)]
pub(super) struct StatsBody<'a> {
    probe: &'static str,
    key: &'a BTreeMap<&'static str, String>,
    count: u64,
    failed: u64,
    outcomes: &'a BTreeMap<&'static str, u64>,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
    /// Why there are no percentiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    worst: &'a [String],
    #[serde(flatten)]
    resident: Option<ResidentJson>,
    #[serde(flatten)]
    cpu: Option<CpuUseJson>,
    #[serde(flatten)]
    node: Option<NodeUseJson>,
    from: String,
    to: String,
}

#[derive(Serialize)]
pub(super) struct ResidentJson {
    rss_bytes: u64,
    rss_peak_bytes: u64,
    rss_growth_bytes: i64,
    working_set_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear_memory_bytes: Option<u64>,
}

impl ResidentJson {
    pub(super) fn of(resident: Resident) -> Self {
        ResidentJson {
            rss_bytes: resident.rss_bytes,
            rss_peak_bytes: resident.rss_peak_bytes,
            rss_growth_bytes: resident.rss_growth_bytes,
            working_set_bytes: resident.working_set_bytes,
            limit_bytes: resident.limit_bytes,
            linear_memory_bytes: resident.linear_bytes,
        }
    }
}

impl<'a> StatsBody<'a> {
    pub(super) fn of(stats: &'a Stats) -> Self {
        StatsBody {
            probe: stats.probe,
            key: &stats.key,
            count: stats.count,
            failed: stats.failed,
            outcomes: &stats.outcomes,
            p50_ms: stats.p50_ns.map(ms),
            p90_ms: stats.p90_ns.map(ms),
            p99_ms: stats.p99_ns.map(ms),
            max_ms: stats.max_ns.map(ms),
            why: stats.max_ns.is_none().then_some("none of these has a duration that is known"),
            worst: &stats.worst,
            resident: stats.resident.map(ResidentJson::of),
            cpu: stats.cpu.as_ref().map(CpuUseJson::of),
            node: stats.node.as_deref().map(NodeUseJson::of),
            from: rfc3339(stats.from),
            to: rfc3339(stats.to),
        }
    }
}
