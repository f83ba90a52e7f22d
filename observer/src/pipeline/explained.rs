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
