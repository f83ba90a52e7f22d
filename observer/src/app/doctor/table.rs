//! The doctor's findings for people.

use super::{Check, Doctor, State};
use crate::{
    health::{ProbePlan, Status},
    probes::{invocation::Program, spec},
    sink::table::{Options, Tone, grid, paragraph},
};

pub(super) fn render(doctor: &Doctor, options: Options) -> String {
    let node = doctor.host.node_name.as_deref().map(|node| format!(", Kubernetes node {node}"));
    let mut out = paragraph(options, &format!("host {}{}", doctor.host.hostname, node.unwrap_or_default()));
    out.push('\n');
    let mut section = |head: &[&str], rows: &[Vec<String>]| out.push_str(&grid(options, head, rows, tone));
    section(&["CHECK", "STATE", "FOUND", "WITHOUT IT"], &checks(doctor.checks()));
    section(&["FITNESS", "STATE", "FOUND", "OTHERWISE"], &checks(doctor.fitness()));
    section(&["RUNTIME", "VERSION", "WASM", "FEATURES"], &runtimes(doctor));
    section(&["ENGINE", "PID", "FILE"], &engines(doctor));
    section(&["SOCKET", "ANSWERS"], &sockets(doctor));
    section(&["PROBE", "STATE", "HOOKS", "GIVES", "COSTS"], &probes(doctor));
    section(&["HOOK", "TAKEN BY", "WHY NOT BETTER"], &shortfalls(doctor));
    section(&["NOT TOLD", "BY THESE CAUSES", "FOR WANT OF"], &not_told(doctor));
    verdict(doctor).iter().for_each(|line| out.push_str(&paragraph(options, line)));
    out
}

/// That of a state.
fn tone(cell: &str) -> Tone {
    match cell {
        _ if cell == State::Ok.name() => Tone::Good,
        _ if cell == State::Lacks.name() => Tone::Bad,
        IN_PART => Tone::Warn,
        _ if cell == State::Untested.name() => Tone::Warn,
        _ => Tone::Plain,
    }
}

fn checks(checks: Vec<Check>) -> Vec<Vec<String>> {
    let row = |check: Check| {
        let costs = match (check.costs, check.remedy) {
            (Some(costs), Some(remedy)) => format!("{costs}; {remedy}"),
            (costs, _) => costs.unwrap_or_default().to_owned(),
        };
        vec![check.name.to_owned(), check.state.name().to_owned(), check.found, costs]
    };
    checks.into_iter().map(row).collect()
}

fn runtimes(doctor: &Doctor) -> Vec<Vec<String>> {
    let row = |runtime: &super::Runtime| {
        let (version, features) = match &runtime.version {
            Ok(known) => (known.version.clone(), known.features.join(" ")),
            Err(error) => ("unknown".to_owned(), error.why.clone()),
        };
        let wasm = match (runtime.wasm(), &runtime.version) {
            (Some(""), _) => "yes".to_owned(),
            (Some(engine), _) => engine.to_owned(),
            // A runtime that lists its features lists this one, too; runc has never had it.
            (None, Ok(known)) if !known.features.is_empty() => "no".to_owned(),
            (None, _) if runtime.program == Program::Runc => "no".to_owned(),
            (None, _) => "unknown".to_owned(),
        };
        vec![runtime.path.clone(), version, wasm, features]
    };
    doctor.runtimes.iter().map(row).collect()
}

fn engines(doctor: &Doctor) -> Vec<Vec<String>> {
    let file = |exe: &Option<String>| exe.clone().unwrap_or_else(|| "unknown".to_owned());
    let engines = doctor.engines.iter();
    engines.map(|engine| vec![engine.comm.clone(), engine.tgid.to_string(), file(&engine.exe)]).collect()
}

fn sockets(doctor: &Doctor) -> Vec<Vec<String>> {
    let answer = |socket: &super::EngineSocket| match &socket.answer {
        Ok(engine) => format!("{} {}", engine.name, engine.version),
        Err(error) => format!("no: {}", error.why),
    };
    doctor.sockets.iter().map(|socket| vec![socket.path.clone(), answer(socket)]).collect()
}

fn probes(doctor: &Doctor) -> Vec<Vec<String>> {
    let row = |plan: &ProbePlan| {
        let taken = plan.hooks.iter().filter(|hook| hook.rung.is_some()).count();
        let spec = spec(plan.family);
        vec![
            plan.family.name().to_owned(),
            state(plan.status).to_owned(),
            format!("{taken}/{}", plan.hooks.len()),
            spec.gives.to_owned(),
            spec.cost.to_owned(),
        ]
    };
    doctor.probes.iter().map(row).collect()
}

const IN_PART: &str = "in part";

/// What a status means for a probe that has not been attached.
fn state(status: Status) -> &'static str {
    match status {
        Status::Attached => State::Ok.name(),
        Status::Degraded => IN_PART,
        Status::Failed => State::Lacks.name(),
        Status::Waiting | Status::Off | Status::NotApplicable | Status::Shed => status.name(),
    }
}

/// Hooks that are not taken the best way, or not at all; those together of which the same is to be said.
fn shortfalls(doctor: &Doctor) -> Vec<Vec<String>> {
    let mut rows: Vec<[String; 3]> = Vec::new();
    for plan in &doctor.probes {
        for hook in &plan.hooks {
            let Some(why) = &hook.why else { continue };
            let name = format!("{}/{}", plan.family.name(), hook.name);
            let rung = hook.rung.unwrap_or("nothing");
            match rows.iter_mut().find(|[_, taken, same]| taken == rung && same == why) {
                Some([names, ..]) => names.push_str(&format!(", {name}")),
                None => rows.push([name, rung.to_owned(), why.clone()]),
            }
        }
    }
    rows.into_iter().map(Vec::from).collect()
}

/// Known problems that would stay unknown here.
fn not_told(doctor: &Doctor) -> Vec<Vec<String>> {
    let row = |problem: super::NotTold| {
        let causes = problem.causes.map_or_else(|| "all".to_owned(), |causes| causes.join(" "));
        let wants: Vec<&str> = problem.wants.into_iter().collect();
        vec![problem.id, causes, wants.join(" ")]
    };
    doctor.not_told().into_iter().map(row).collect()
}

fn verdict(doctor: &Doctor) -> Vec<String> {
    let failed: Vec<&str> = doctor.failed_probes().map(|plan| plan.family.name()).collect();
    let lacking = |check: Check| (check.state == State::Lacks).then_some(check.name);
    let mut unfit: Vec<&str> = doctor.fitness().into_iter().filter_map(lacking).collect();
    unfit.dedup();
    let mut lines = Vec::new();
    if !unfit.is_empty() {
        lines.push(format!("Not as it should be for its work: {}.", unfit.join(", ")));
    }
    if failed.is_empty() {
        lines.push("This node can be observed.".to_owned());
    } else {
        lines.push(format!("Not all can be observed: {} cannot attach. Not to be seen:", failed.join(", ")));
        lines.extend(doctor.failed_probes().map(|plan| format!("- {}", spec(plan.family).gives)));
    }
    lines
}
