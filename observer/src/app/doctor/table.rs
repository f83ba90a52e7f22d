//! The doctor's findings for people. Names of files and answers of programs are others' text: control
//! characters in it are shown, not obeyed.

use std::fmt::Write;

use super::{Check, Doctor, State};
use crate::{
    health::{ProbePlan, Status},
    probes::{invocation::Program, spec},
};

pub(super) fn render(doctor: &Doctor) -> String {
    let mut out = String::new();
    let name = escape(&doctor.host.hostname);
    let node = doctor.host.node_name.as_deref().map(|node| format!(", Kubernetes node {}", escape(node)));
    let _ = writeln!(out, "host {name}{}\n", node.unwrap_or_default());
    section(&mut out, &["CHECK", "STATE", "FOUND", "WITHOUT IT"], &checks(doctor.checks()));
    section(&mut out, &["FITNESS", "STATE", "FOUND", "OTHERWISE"], &checks(doctor.fitness()));
    section(&mut out, &["RUNTIME", "VERSION", "WASM", "FEATURES"], &runtimes(doctor));
    section(&mut out, &["ENGINE", "PID", "FILE"], &engines(doctor));
    section(&mut out, &["SOCKET", "ANSWERS"], &sockets(doctor));
    section(&mut out, &["PROBE", "STATE", "HOOKS", "GIVES", "COSTS"], &probes(doctor));
    section(&mut out, &["HOOK", "TAKEN BY", "WHY NOT BETTER"], &shortfalls(doctor));
    section(&mut out, &["NOT TOLD", "BY THESE CAUSES", "FOR WANT OF"], &not_told(doctor));
    out.push_str(&verdict(doctor));
    out
}

/// A table with a head, unless it is empty.
fn section(out: &mut String, head: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
}

fn checks(checks: Vec<Check>) -> Vec<Vec<String>> {
    let row = |check: Check| {
        let costs = match (check.costs, check.remedy) {
            (Some(costs), Some(remedy)) => format!("{costs}; {remedy}"),
            (costs, _) => costs.unwrap_or_default().to_owned(),
        };
        vec![check.name.to_owned(), check.state.name().to_owned(), escape(&check.found), costs]
    };
    checks.into_iter().map(row).collect()
}

fn runtimes(doctor: &Doctor) -> Vec<Vec<String>> {
    let row = |runtime: &super::Runtime| {
        let (version, features) = match &runtime.version {
            Ok(known) => (escape(&known.version), known.features.join(" ")),
            Err(error) => ("unknown".to_owned(), error.why.clone()),
        };
        let wasm = match (runtime.wasm(), &runtime.version) {
            (Some(""), _) => "yes".to_owned(),
            (Some(engine), _) => escape(engine),
            // A runtime that lists its features lists this one, too; runc has never had it.
            (None, Ok(known)) if !known.features.is_empty() => "no".to_owned(),
            (None, _) if runtime.program == Program::Runc => "no".to_owned(),
            (None, _) => "unknown".to_owned(),
        };
        vec![escape(&runtime.path), version, wasm, escape(&features)]
    };
    doctor.runtimes.iter().map(row).collect()
}

fn engines(doctor: &Doctor) -> Vec<Vec<String>> {
    let file = |exe: &Option<String>| exe.as_deref().map_or_else(|| "unknown".to_owned(), escape);
    let engines = doctor.engines.iter();
    engines.map(|engine| vec![escape(&engine.comm), engine.tgid.to_string(), file(&engine.exe)]).collect()
}

fn sockets(doctor: &Doctor) -> Vec<Vec<String>> {
    let answer = |socket: &super::EngineSocket| match &socket.answer {
        Ok(engine) => escape(&format!("{} {}", engine.name, engine.version)),
        Err(error) => format!("no: {}", escape(&error.why)),
    };
    doctor.sockets.iter().map(|socket| vec![escape(&socket.path), answer(socket)]).collect()
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

/// What a status means for a probe that has not been attached.
fn state(status: Status) -> &'static str {
    match status {
        Status::Attached => State::Ok.name(),
        Status::Degraded => "in part",
        Status::Failed => State::Lacks.name(),
        Status::Waiting | Status::Off | Status::NotApplicable | Status::Shed => status.name(),
    }
}

/// Hooks that are not taken the best way, or not at all.
fn shortfalls(doctor: &Doctor) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for plan in &doctor.probes {
        for hook in &plan.hooks {
            let Some(why) = &hook.why else { continue };
            let name = format!("{}/{}", plan.family.name(), hook.name);
            rows.push(vec![name, hook.rung.unwrap_or("nothing").to_owned(), escape(why)]);
        }
    }
    rows
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

fn verdict(doctor: &Doctor) -> String {
    let failed: Vec<&str> = doctor.failed_probes().map(|plan| plan.family.name()).collect();
    let lacking = |check: Check| (check.state == State::Lacks).then_some(check.name);
    let mut unfit: Vec<&str> = doctor.fitness().into_iter().filter_map(lacking).collect();
    unfit.dedup();
    let unfit = match &unfit[..] {
        [] => String::new(),
        unfit => format!("Not as it should be for its work: {}.\n", unfit.join(", ")),
    };
    if failed.is_empty() {
        format!("{unfit}This node can be observed.\n")
    } else {
        let mut text =
            format!("{unfit}Not all can be observed: {} cannot attach. Not to be seen:\n", failed.join(", "));
        for plan in doctor.failed_probes() {
            let _ = writeln!(text, "  {}", spec(plan.family).gives);
        }
        text
    }
}

/// Control and other invisible characters as `\u{..}`.
fn escape(text: &str) -> String {
    let invisible = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if invisible(letter) {
            escaped.extend(letter.escape_unicode());
        } else {
            escaped.push(letter);
        }
    }
    escaped
}
