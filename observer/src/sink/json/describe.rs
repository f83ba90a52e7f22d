//! `describe`: what is known of one pod or container.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    api::ApiJson,
    coldstart::ColdStartBody,
    container::ContainerJson,
    cpu::CpuUseJson,
    event::{EventBody, StdioJson},
    finding::{CheckJson, FindingBody, UnprovenBody},
    module::ModuleJson,
    network::NetworkJson,
    stats::ResidentJson,
    summary::NotMeasuredJson,
};
use crate::{
    output::{Condition, Described, Description, Event, PastExit, Since},
    sink::units::rfc3339,
};

#[derive(Serialize)]
pub(super) struct DescribeBody<'a> {
    asked: &'a str,
    source: &'static str,
    /// From when on was watched.
    from: String,
    known: &'static str,
    said: &'a str,
    kubernetes: Option<ApiJson<'a>>,
    containers: Vec<DescribedJson<'a>>,
    left_out: u64,
    findings: Vec<FindingBody<'a>>,
    unproven: Vec<UnprovenBody<'a>>,
    checked: Vec<CheckJson<'a>>,
    not_measured: Vec<NotMeasuredJson<'a>>,
}

#[derive(Serialize)]
struct DescribedJson<'a> {
    container: ContainerJson<'a>,
    /// `null`: it runs none, or that was not read, which `container.unknown` says.
    module: Option<ModuleJson<'a>>,
    condition: &'static str,
    since: Option<&'static str>,
    restarts: Option<u32>,
    exits: Vec<ExitJson<'a>>,
    log_path: Option<&'a str>,
    stdio: Vec<StdioJson<'a>>,
    memory: Option<ResidentJson>,
    cpu: Option<CpuUseJson>,
    limits: LimitsJson,
    /// Counted since it is watched, by probe.
    outcomes: &'a BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    recent: Vec<RecentJson<'a>>,
    coldstart: Option<ColdStartBody<'a>>,
    /// At this moment.
    network: Option<NetworkJson>,
    /// Why a null above is one.
    unknown: Vec<&'static str>,
}

#[derive(Serialize)]
struct ExitJson<'a> {
    id: &'a str,
    attempt: Option<u32>,
    time: Option<String>,
    code: Option<i32>,
    signal: Option<i32>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct LimitsJson {
    memory_bytes: Option<u64>,
    cpus: Option<f64>,
}

#[derive(Serialize)]
struct RecentJson<'a> {
    time: String,
    #[serde(flatten)]
    event: EventBody<'a>,
}

impl<'a> DescribeBody<'a> {
    pub(super) fn of(description: &'a Description) -> Self {
        DescribeBody {
            asked: &description.asked,
            source: description.source.name(),
            from: rfc3339(description.from),
            known: description.known.name(),
            said: &description.said,
            kubernetes: description.api.as_ref().map(ApiJson::of),
            containers: description.containers.iter().map(DescribedJson::of).collect(),
            left_out: description.left_out,
            findings: description.findings.iter().map(FindingBody::of).collect(),
            unproven: description.unproven.iter().map(UnprovenBody::of).collect(),
            checked: description.checked.iter().map(CheckJson::of).collect(),
            not_measured: description.not_measured.iter().map(NotMeasuredJson::of).collect(),
        }
    }
}

impl<'a> DescribedJson<'a> {
    fn of(described: &'a Described) -> Self {
        let runs = described.condition == Some(Condition::Running);
        let unknown = [
            described.since.is_none().then_some("since: it was not watched while it lived"),
            described.restarts.is_none().then_some("restarts: no engine has said how often it was started"),
            (runs && described.resident.is_none()).then_some("memory: its control group was not sampled"),
            (runs && described.cpu.is_none()).then_some("cpu: two samples of its control group are needed"),
            (runs && described.network.is_none()).then_some("network: its processes could not be looked at"),
            described.start.is_none().then_some("coldstart: it was not watched when it started"),
        ];
        DescribedJson {
            container: ContainerJson::of(&described.container),
            module: described.container.module.as_deref().map(ModuleJson::of),
            condition: described.condition.unwrap_or(Condition::Unknown).name(),
            since: described.since.map(Since::name),
            restarts: described.restarts,
            exits: described.exits.iter().map(ExitJson::of).collect(),
            log_path: described.log_path.as_deref(),
            stdio: described.streams.iter().map(StdioJson::of).collect(),
            memory: described.resident.map(ResidentJson::of),
            cpu: described.cpu.as_ref().map(CpuUseJson::of),
            limits: LimitsJson {
                memory_bytes: described.limits.memory_bytes,
                cpus: described.limits.milli_cpus.map(|cpus| cpus as f64 / 1_000.0),
            },
            outcomes: &described.outcomes,
            recent: described.recent.iter().map(RecentJson::of).collect(),
            coldstart: described.start.as_ref().map(ColdStartBody::of),
            network: described.network.as_ref().map(NetworkJson::of),
            unknown: unknown.into_iter().flatten().collect(),
        }
    }
}

impl<'a> ExitJson<'a> {
    fn of(exit: &'a PastExit) -> Self {
        ExitJson {
            id: &exit.id,
            attempt: exit.attempt,
            time: exit.time.map(rfc3339),
            code: exit.code,
            signal: exit.signal,
            reason: exit.reason.as_deref(),
        }
    }
}

impl<'a> RecentJson<'a> {
    fn of(event: &'a Event) -> Self {
        RecentJson { time: rfc3339(event.time), event: EventBody::of(event) }
    }
}
