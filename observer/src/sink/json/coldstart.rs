//! `coldstart`.

use serde::Serialize;

use super::{
    container::{ContainerJson, ProcessJson},
    module::ModuleJson,
};
use crate::{
    output::{ColdStart, Failure, Milestones, Phase, PhaseName},
    sink::{errno, units::ms},
};

const NO_MARKER: &str = "not seen before the start was over";
const NOT_COUNTED: &str = "page faults and reads of its processes were not counted";

#[derive(Serialize)]
pub(super) struct ColdStartBody<'a> {
    container: ContainerJson<'a>,
    /// `null`: it runs none, or that could not be read, which `container.unknown` says.
    module: Option<ModuleJson<'a>>,
    t0: &'static str,
    total_ms: f64,
    ready: &'static str,
    milestones_ms: MilestonesJson,
    #[serde(skip_serializing_if = "MilestonesWhy::is_empty")]
    milestones_why: MilestonesWhy,
    cold: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cold_why: Option<&'static str>,
    phases: Vec<PhaseJson<'a>>,
    unattributed_ms: f64,
    major_faults: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    major_faults_why: Option<&'static str>,
    read_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_bytes_why: Option<&'static str>,
    lost: u64,
    failure: Option<FailureJson<'a>>,
}

impl<'a> ColdStartBody<'a> {
    pub(super) fn of(start: &'a ColdStart) -> Self {
        let phases = start.phases.iter().filter(|phase| phase.name != PhaseName::Unattributed);
        ColdStartBody {
            container: ContainerJson::of(&start.container),
            module: start.container.module.as_deref().map(ModuleJson::of),
            t0: start.t0.name(),
            total_ms: ms(start.total_ns),
            ready: start.ready.name(),
            milestones_ms: MilestonesJson::of(&start.milestones),
            milestones_why: MilestonesWhy::of(&start.milestones),
            cold: start.cold,
            cold_why: start.cold.is_none().then_some(NOT_COUNTED),
            phases: phases.map(PhaseJson::of).collect(),
            unattributed_ms: ms(start.unattributed_ns),
            major_faults: start.major_faults,
            major_faults_why: start.major_faults.is_none().then_some(NOT_COUNTED),
            read_bytes: start.read_bytes,
            read_bytes_why: start.read_bytes.is_none().then_some(NOT_COUNTED),
            lost: start.lost,
            failure: start.failure.as_ref().map(FailureJson::of),
        }
    }
}

#[derive(Serialize)]
struct MilestonesJson {
    exec: Option<f64>,
    first_output: Option<f64>,
    listen: Option<f64>,
    exit: Option<f64>,
}

impl MilestonesJson {
    fn of(milestones: &Milestones) -> Self {
        MilestonesJson {
            exec: milestones.exec_ns.map(ms),
            first_output: milestones.first_output_ns.map(ms),
            listen: milestones.listen_ns.map(ms),
            exit: milestones.exit_ns.map(ms),
        }
    }
}

#[derive(Serialize)]
struct MilestonesWhy {
    #[serde(skip_serializing_if = "Option::is_none")]
    exec: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_output: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<&'static str>,
}

impl MilestonesWhy {
    fn of(milestones: &Milestones) -> Self {
        let why = |milestone: Option<u64>| milestone.is_none().then_some(NO_MARKER);
        MilestonesWhy {
            exec: why(milestones.exec_ns),
            first_output: why(milestones.first_output_ns),
            listen: why(milestones.listen_ns),
            exit: why(milestones.exit_ns),
        }
    }

    fn is_empty(&self) -> bool {
        [self.exec, self.first_output, self.listen, self.exit].iter().all(Option::is_none)
    }
}

#[derive(Serialize)]
struct PhaseJson<'a> {
    name: &'static str,
    layer: &'static str,
    start_ms: f64,
    duration_ms: f64,
    process: Option<ProcessJson<'a>>,
    detail: Option<&'a str>,
}

impl<'a> PhaseJson<'a> {
    fn of(phase: &'a Phase) -> Self {
        PhaseJson {
            name: phase.name.name(),
            layer: phase.layer.name(),
            start_ms: ms(phase.start_ns),
            duration_ms: ms(phase.duration_ns),
            process: phase.process.as_ref().map(ProcessJson::of),
            detail: phase.detail.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct FailureJson<'a> {
    phase: &'static str,
    call: Option<&'a str>,
    errno: Option<i32>,
    errno_name: Option<&'static str>,
    object: Option<&'a str>,
    text: &'a str,
    process: Option<ProcessJson<'a>>,
}

impl<'a> FailureJson<'a> {
    fn of(failure: &'a Failure) -> Self {
        FailureJson {
            phase: failure.phase.name(),
            call: failure.call.as_deref(),
            errno: failure.errno,
            errno_name: failure.errno.and_then(errno::name),
            object: failure.object.as_deref(),
            text: &failure.text,
            process: failure.process.as_ref().map(ProcessJson::of),
        }
    }
}
