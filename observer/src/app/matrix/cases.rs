//! Replays recordings through the pipeline and compares what is said with what should be.

use std::path::Path;

use anyhow::Result;

use crate::{
    app::{catalogue, replay},
    input::{End, EndReason, Fact, FactKind, Input},
    output::{Grade, Output, Subject},
    pipeline::Pipeline,
    record::RecordingReader,
    rules::{
        Rules,
        catalogue::{Case, Entry, Expect},
    },
};

/// What came of a case.
#[derive(Debug)]
pub(super) struct Outcome {
    pub entry: String,
    pub cause: Option<String>,
    pub replay: String,
    pub expect: Expect,
    pub got: Got,
}

#[derive(Debug)]
pub(super) enum Got {
    /// It is not beside the entry.
    NoRecording,
    Unreadable(String),
    /// What was said of the entry, and whether that is what should be.
    Said {
        text: String,
        is_right: bool,
    },
}

impl Outcome {
    pub fn has_failed(&self) -> bool {
        match &self.got {
            Got::NoRecording => false,
            Got::Unreadable(_) => true,
            Got::Said { is_right, .. } => !is_right,
        }
    }
}

/// Runs the cases of an entry; `own` are the entries that are added to the built-in ones.
pub(super) fn run(entry: &Entry, own: &[Entry], folder: &Path) -> Vec<Outcome> {
    let outcome = |case: &Case| {
        let path = folder.join(&case.replay);
        let got = if path.exists() {
            judge(entry, case, own, &path).unwrap_or_else(|error| Got::Unreadable(format!("{error:#}")))
        } else {
            Got::NoRecording
        };
        let (cause, replay) = (case.cause.clone(), case.replay.clone());
        Outcome { entry: entry.id.clone(), cause, replay, expect: case.expect, got }
    };
    entry.recorded.iter().map(outcome).collect()
}

fn judge(entry: &Entry, case: &Case, own: &[Entry], path: &Path) -> Result<Got> {
    let cause = entry.causes.iter().find(|cause| Some(&cause.id) == case.cause.as_ref());
    let scenario = cause.and_then(|cause| cause.scenarios.first().cloned());
    let said = said(entry, own, scenario, path)?;
    Ok(Got::Said { text: said.text(), is_right: said.is(case) })
}

/// A cause, of what it was told, and the best grade of it.
#[derive(Debug)]
struct Told {
    cause: String,
    of: String,
    grade: Grade,
}

/// What was said of an entry.
#[derive(Debug, Default)]
struct Said {
    /// In the order in which they were first told.
    findings: Vec<Told>,
    unproven: bool,
}

impl Said {
    fn take(&mut self, output: &Output, entry: &Entry) {
        match output {
            Output::Finding(finding) if finding.id == entry.id => {
                let of = subject(&finding.subject);
                let same = |told: &&mut Told| told.cause == finding.cause && told.of == of;
                match self.findings.iter_mut().find(same) {
                    Some(told) => told.grade = told.grade.max(finding.grade),
                    None => {
                        let (cause, grade) = (finding.cause.clone(), finding.grade);
                        self.findings.push(Told { cause, of, grade });
                    }
                }
            }
            Output::Unproven(unproven) if unproven.id == entry.id => self.unproven = true,
            _ => {}
        }
    }

    fn is(&self, case: &Case) -> bool {
        // A recording may hold several faults, but of one thing there is one cause.
        let is_alone = |told: &Told| self.findings.iter().filter(|other| other.of == told.of).count() == 1;
        let wanted = |told: &&Told| case.cause.as_ref().is_none_or(|wanted| *wanted == told.cause);
        let told =
            |grade| self.findings.iter().filter(wanted).any(|told| told.grade == grade && is_alone(told));
        match (case.expect, &case.cause) {
            (Expect::Proved, _) => told(Grade::Proved),
            (Expect::Likely, _) => told(Grade::Likely),
            (Expect::Unproven, _) => self.unproven && self.findings.is_empty(),
            (Expect::None, Some(cause)) => self.findings.iter().all(|told| told.cause != *cause),
            (Expect::None, None) => self.findings.is_empty() && !self.unproven,
        }
    }

    fn text(&self) -> String {
        let findings = self.findings.iter().map(|told| format!("{} {}", told.grade.name(), told.cause));
        let unproven = self.unproven.then(|| "unproven".to_owned());
        let parts: Vec<String> = findings.chain(unproven).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }
}

/// Whom it is about, as one word.
fn subject(subject: &Subject) -> String {
    let container = subject.container.as_ref().map(|container| container.id.as_str());
    let process = subject.process.as_ref().map(|process| process.pid.to_string());
    let parts = [container.map(str::to_owned), subject.object.clone(), process];
    parts.into_iter().flatten().next().unwrap_or_default()
}

fn hurried(own: &[Entry], scenario: Option<&str>) -> Result<Rules> {
    let entries = super::built_in()?.iter().chain(own).map(Entry::hurried).collect();
    Rules::compile(entries, scenario).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

fn said(entry: &Entry, own: &[Entry], scenario: Option<String>, path: &Path) -> Result<Said> {
    let mut reader = RecordingReader::open(path)?;
    let mut settings = replay::recorded_settings(&reader.header().header)?;
    let mut last = reader.header().begins;
    // Rules judge whatever the recording holds, also of a run that only looked at starts.
    settings.follow = true;
    // What was recorded with little patience is too short for more.
    let is_hurried = !std::mem::replace(&mut settings.catalogue, own.to_vec()).is_empty();
    settings.scenario = scenario;
    let rules =
        if is_hurried { hurried(own, settings.scenario.as_deref())? } else { catalogue::rules(&settings)? };
    let mut pipeline = Pipeline::new(settings).with_rules(rules);
    let mut said = Said::default();
    let mut ended = false;
    for input in &mut reader {
        last = last.max(input.time());
        ended = matches!(input, Input::Fact(Fact { what: FactKind::End(_), .. }));
        pipeline.step(&input, |output| said.take(&output, entry));
    }
    if !ended {
        let end = End { why: EndReason::Interrupted, command_exit: None };
        let input = Input::Fact(Fact { time: last, what: FactKind::End(end) });
        pipeline.step(&input, |output| said.take(&output, entry));
    }
    Ok(said)
}
