//! `health`.

use serde::Serialize;

use super::otlp::OtlpJson;
use crate::{health::ProbeHealth, output::Health};

#[derive(Serialize)]
pub(super) struct HealthBody<'a> {
    probes: Vec<ProbeJson<'a>>,
    #[serde(rename = "self")]
    own: OwnJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp: Option<OtlpJson>,
}

#[derive(Serialize)]
struct ProbeJson<'a> {
    name: &'static str,
    status: &'static str,
    hook: Option<&'a str>,
    why: Option<&'a str>,
    records: u64,
    lost: u64,
}

#[derive(Serialize)]
struct OwnJson {
    cpu_percent: Option<f64>,
    rss_bytes: Option<u64>,
    bpf_run_ns: Option<u64>,
    /// Why a null above is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<&'static str>,
}

impl<'a> HealthBody<'a> {
    pub(super) fn of(health: &'a Health) -> Self {
        let bpf_run_ns = health.own.and_then(|own| own.bpf_run_ns);
        let unknown = [
            health.cpu_percent.is_none().then_some("cpu_percent: needs two measurements"),
            health.own.is_none().then_some("rss_bytes: not measured"),
            bpf_run_ns
                .is_none()
                .then_some("bpf_run_ns: the kernel does not count it (kernel.bpf_stats_enabled)"),
        ];
        HealthBody {
            probes: health.probes.iter().map(ProbeJson::of).collect(),
            own: OwnJson {
                cpu_percent: health.cpu_percent,
                rss_bytes: health.own.map(|own| own.rss_bytes),
                bpf_run_ns,
                unknown: unknown.into_iter().flatten().collect(),
            },
            otlp: health.otlp.as_ref().map(OtlpJson::of),
        }
    }
}

impl<'a> ProbeJson<'a> {
    fn of(probe: &'a ProbeHealth) -> Self {
        ProbeJson {
            name: probe.name,
            status: probe.status.name(),
            hook: probe.hook.as_deref(),
            why: probe.why.as_deref(),
            records: probe.records,
            lost: probe.lost,
        }
    }
}
