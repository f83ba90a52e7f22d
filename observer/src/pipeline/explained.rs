//! Which spans of others open findings explain: told with the finding from when on it is known.

use std::collections::BTreeMap;

use crate::{
    correlate::Correlator,
    output::{Finding, FindingStatus, Output},
    time::{Time, Wall},
};

/// Findings that are open at once; rules keep no more either.
const MAX_OPEN: usize = 1_024;

#[derive(Default)]
pub(super) struct Explained {
    /// By fingerprint, as they were told last.
    open: BTreeMap<String, Box<Finding>>,
}

impl Explained {
    /// Hands on what was concluded.
    pub fn say(
        &mut self,
        said: Vec<Output>,
        now: Time,
        mut correlator: Option<&mut Correlator>,
        out: &mut impl FnMut(Output),
    ) {
        for output in said {
            match output {
                Output::Finding(finding) => self.told(finding, now, correlator.as_deref_mut(), out),
                other => out(other),
            }
        }
    }

    /// Hands on a finding, and asks for the spans that it explains.
    fn told(
        &mut self,
        mut finding: Box<Finding>,
        now: Time,
        correlator: Option<&mut Correlator>,
        out: &mut impl FnMut(Output),
    ) {
        if let Some(before) = self.open.get(&finding.fingerprint) {
            finding.targets.clone_from(&before.targets);
        }
        let is_new = finding.status == FindingStatus::Open;
        out(Output::Finding(finding.clone()));
        let Some(correlator) = correlator else {
            // Nobody has sent spans.
            if is_new {
                out(Output::Settled(finding));
            }
            return;
        };
        if finding.status == FindingStatus::Resolved {
            self.open.remove(&finding.fingerprint);
            return;
        }
        if is_new {
            correlator.found(now, finding.clone());
        }
        if self.open.len() < MAX_OPEN || self.open.contains_key(&finding.fingerprint) {
            self.open.insert(finding.fingerprint.clone(), finding);
        }
    }

    /// It is known what these explain: told as they are by now.
    pub fn settle(&mut self, settled: Vec<Finding>, now: Wall, out: &mut impl FnMut(Output)) {
        for finding in settled {
            let Some(open) = self.open.get_mut(&finding.fingerprint) else {
                out(Output::Settled(Box::new(finding)));
                continue;
            };
            open.targets = finding.targets;
            if !open.targets.is_empty() {
                (open.time, open.status) = (now.max(open.time), FindingStatus::Updated);
                out(Output::Finding(open.clone()));
            }
            out(Output::Settled(open.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Container, Subject, Target};

    fn finding(status: FindingStatus) -> Output {
        let container = Some(Container { id: "c".repeat(64), ..Container::default() });
        let subject = Subject { container, ..Subject::default() };
        Output::Finding(Box::new(Finding { status, subject, ..Finding::of_nobody("f") }))
    }

    /// What was told, in order: the status of a finding, or that it is settled; and how many spans it explains.
    fn told(of: &[Output]) -> Vec<(&'static str, usize)> {
        let one = |output: &Output| match output {
            Output::Finding(finding) => (finding.status.name(), finding.targets.len()),
            Output::Settled(finding) => ("settled", finding.targets.len()),
            other => panic!("{other:?}"),
        };
        of.iter().map(one).collect()
    }

    fn target() -> Target {
        let (name, state) = (String::new(), String::new());
        Target { trace: [1; 16], span: [2; 8], name, service: None, state, host_name: None, host_id: None }
    }

    #[test]
    fn without_spans_of_others_a_finding_is_settled_at_once_and_once() {
        let (mut explained, mut all) = (Explained::default(), Vec::new());
        for status in FindingStatus::ALL {
            explained.say(vec![finding(*status)], Time(0), None, &mut |output| all.push(output));
        }
        assert_eq!(told(&all), [("open", 0), ("settled", 0), ("updated", 0), ("resolved", 0)]);
    }

    #[test]
    fn what_it_explains_is_told_from_then_on() {
        let (mut explained, mut all) = (Explained::default(), Vec::new());
        let mut correlator = Correlator::default();
        let mut say = |explained: &mut Explained, status, all: &mut Vec<Output>| {
            explained
                .say(vec![finding(status)], Time(0), Some(&mut correlator), &mut |output| all.push(output));
        };
        say(&mut explained, FindingStatus::Open, &mut all);
        let tied = Finding { targets: vec![target()], ..Finding::of_nobody("f") };
        explained.settle(vec![tied], Wall(9), &mut |output| all.push(output));
        say(&mut explained, FindingStatus::Resolved, &mut all);
        let expected = [("open", 0), ("updated", 1), ("settled", 1), ("resolved", 1)];
        assert_eq!(told(&all), expected);
        // It was over before that was known.
        let late = Finding { targets: vec![target()], ..Finding::of_nobody("f") };
        all.clear();
        explained.settle(vec![late], Wall(9), &mut |output| all.push(output));
        assert_eq!(told(&all), [("settled", 1)]);
    }
}
