//! Replays recordings through the pipeline and compares what is said with what should be.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use crate::{
    app::{catalogue, replay},
    input::{End, EndReason, Fact, FactKind, Input},
    output::{Finding, Grade, Output, Subject},
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

/// What was said of each entry, or why a recording cannot be replayed.
type Replayed = Result<BTreeMap<String, Said>, String>;

/// Runs all cases of these entries, which are added to the built-in ones; each recording is replayed once a scenario.
pub(super) fn run(own: &[Entry], folder: &Path) -> Vec<Outcome> {
    let mut replayed: BTreeMap<(&str, Option<&str>), Replayed> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for (entry, case) in own.iter().flat_map(|entry| entry.recorded.iter().map(move |case| (entry, case))) {
        let path = folder.join(&case.replay);
        let got = if path.exists() {
            let scenario = scenario(entry, case);
            let said = replayed
                .entry((&case.replay, scenario))
                .or_insert_with(|| said(own, scenario, &path).map_err(|error| format!("{error:#}")));
            judge(said, entry, case)
        } else {
            Got::NoRecording
        };
        let (cause, replay) = (case.cause.clone(), case.replay.clone());
        outcomes.push(Outcome { entry: entry.id.clone(), cause, replay, expect: case.expect, got });
    }
    outcomes
}

/// The one in which the cause of a case is told, where it is not told in all.
fn scenario<'a>(entry: &'a Entry, case: &Case) -> Option<&'a str> {
    let cause = entry.causes.iter().find(|cause| Some(&cause.id) == case.cause.as_ref());
    cause.and_then(|cause| cause.scenarios.first().map(String::as_str))
}

fn judge(said: &Replayed, entry: &Entry, case: &Case) -> Got {
    let nothing = Said::default();
    match said {
        Ok(said) => {
            let said = said.get(&entry.id).unwrap_or(&nothing);
            Got::Said { text: said.text(), is_right: said.is(case) }
        }
        Err(why) => Got::Unreadable(why.clone()),
    }
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
    fn take(&mut self, finding: &Finding) {
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

fn said(own: &[Entry], scenario: Option<&str>, path: &Path) -> Result<BTreeMap<String, Said>> {
    let mut reader = RecordingReader::open(path)?;
    let mut settings = replay::recorded_settings(&reader.header().header)?;
    let mut last = reader.header().begins;
    // Rules judge whatever the recording holds, also of a run that only looked at starts.
    settings.follow = true;
    settings.scenario = scenario.map(str::to_owned);
    // What was recorded with little patience is too short for more.
    let is_hurried = !std::mem::replace(&mut settings.catalogue, own.to_vec()).is_empty();
    let rules = if is_hurried { hurried(own, scenario)? } else { catalogue::rules(&settings)? };
    let mut pipeline = Pipeline::new(settings).with_rules(rules);
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    let mut take = |output| match output {
        Output::Finding(finding) => said.entry(finding.id.clone()).or_default().take(&finding),
        Output::Unproven(unproven) => said.entry(unproven.id).or_default().unproven = true,
        _ => {}
    };
    let mut ended = false;
    for input in &mut reader {
        last = last.max(input.time());
        ended = matches!(input, Input::Fact(Fact { what: FactKind::End(_), .. }));
        pipeline.step(&input, &mut take);
    }
    if !ended {
        let end = End { why: EndReason::Interrupted, command_exit: None };
        pipeline.step(&Input::Fact(Fact { time: last, what: FactKind::End(end) }), &mut take);
    }
    Ok(said)
}
