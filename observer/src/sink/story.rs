//! What a report tells: the findings as they stand at the end, what was suspected, and what happened when. Bounded;
//! what there was no room for is counted.

use std::collections::BTreeMap;

use crate::{
    output::{Container, Finding, FindingStatus, Grade, Output, Subject, Unproven},
    pipeline::needs_attention,
    sink::words,
    time::Wall,
};

/// Findings and suspicions that are kept.
const MAX_FOUND: usize = 200;
/// Lines of the timeline: its beginning and its end.
const MAX_LINES: usize = 200;

/// See the module.
#[derive(Default)]
pub(super) struct Story {
    findings: BTreeMap<String, Finding>,
    /// In the order in which they were opened.
    order: Vec<String>,
    unproven: Vec<Unproven>,
    first: Vec<Line>,
    last: std::collections::VecDeque<Line>,
    pub left_out: u64,
}

/// Something that happened.
pub(super) struct Line {
    pub time: Wall,
    pub who: String,
    pub what: String,
    pub is_finding: bool,
}

impl Story {
    pub fn take(&mut self, output: &Output) {
        match output {
            Output::Finding(finding) => self.finding(finding),
            Output::Unproven(unproven) if self.unproven.len() < MAX_FOUND => {
                self.unproven.push((**unproven).clone());
            }
            Output::Unproven(_) => self.left_out += 1,
            Output::Event(event) if needs_attention(output) => {
                let who = match (&event.container, &event.process) {
                    (Some(container), _) => name(container),
                    (None, Some(process)) => format!("{} ({})", process.comm, process.pid),
                    (None, None) => String::new(),
                };
                let line = Line { time: event.time, who, what: words::event(event), is_finding: false };
                self.line(line);
            }
            _ => {}
        }
    }

    /// Worst first: by severity, then by how sure they are.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut all: Vec<&Finding> = self.order.iter().filter_map(|print| self.findings.get(print)).collect();
        all.sort_by_key(|finding| (finding.severity, std::cmp::Reverse(finding.grade)));
        all
    }

    pub fn unproven(&self) -> &[Unproven] {
        &self.unproven
    }

    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.first.iter().chain(&self.last)
    }

    fn finding(&mut self, finding: &Finding) {
        let is_new = !self.findings.contains_key(&finding.fingerprint);
        if is_new && self.findings.len() >= MAX_FOUND {
            self.left_out += 1;
            return;
        }
        if is_new {
            self.order.push(finding.fingerprint.clone());
        }
        self.findings.insert(finding.fingerprint.clone(), finding.clone());
        if is_new || finding.status == FindingStatus::Resolved {
            let state = match (finding.status, finding.grade) {
                (FindingStatus::Resolved, _) => "resolved",
                (_, Grade::Proved) => "proved",
                (_, Grade::Likely) => "likely",
            };
            let what = format!("{state}: {} / {}: {}", finding.id, finding.cause, finding.cause_title.en);
            let line = Line { time: finding.time, who: subject(&finding.subject), what, is_finding: true };
            self.line(line);
        }
    }

    fn line(&mut self, line: Line) {
        if self.first.len() < MAX_LINES / 2 {
            self.first.push(line);
            return;
        }
        self.last.push_back(line);
        if self.last.len() > MAX_LINES / 2 {
            self.last.pop_front();
            self.left_out += 1;
        }
    }
}

/// Who a finding is about, in a few words. Not escaped.
pub(super) fn subject(subject: &Subject) -> String {
    let container = subject.container.as_ref().map(name);
    let process = subject.process.as_ref().filter(|_| subject.container.is_none());
    let process = process.map(|process| format!("{} ({})", process.comm, process.pid));
    let parts: Vec<String> = [container, process, subject.object.clone()].into_iter().flatten().collect();
    if parts.is_empty() { subject.kind.to_owned() } else { parts.join(", ") }
}

fn name(container: &Container) -> String {
    // Ids that engines make up are cut as people know them; others are names.
    let length = if container.id.len() == 64 { 12 } else { 64 };
    let name = container.name.clone().unwrap_or_else(|| container.id.chars().take(length).collect());
    match (&container.namespace, &container.pod) {
        (Some(namespace), Some(pod)) => format!("{namespace}/{pod} ({name})"),
        _ => name,
    }
}
