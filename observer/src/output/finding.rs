//! What follows from all that was seen: which known problem, which cause, how sure, on what evidence.

use super::{Container, Process, Since, Target, names};
use crate::{layer::Layer, time::Wall};

/// A problem of the matrix, found. Texts are the catalogue's.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub time: Wall,
    /// The same for the same entry, cause and subject, in every run.
    pub fingerprint: String,
    pub status: FindingStatus,
    pub id: String,
    pub cause: String,
    pub grade: Grade,
    pub layer: Layer,
    pub slice: Option<String>,
    pub section: String,
    pub severity: &'static str,
    pub respond_within: String,
    pub title: Bilingual,
    pub cause_title: Bilingual,
    pub subject: Subject,
    pub since: Since,
    pub first_seen: Wall,
    pub last_seen: Wall,
    /// How often its rule was satisfied anew.
    pub count: u64,
    pub evidence: Vec<Proof>,
    pub checked: Vec<Check>,
    pub fix_type: String,
    pub remedy: Bilingual,
    pub verify: String,
    /// Why it is less sure than it could be.
    pub confidence_note: Option<String>,
    /// Spans of others that it explains, as far as that is known by now.
    pub targets: Vec<Target>,
}

#[cfg(test)]
impl Finding {
    /// About nothing, and open.
    pub fn of_nobody(fingerprint: &str) -> Finding {
        Finding {
            time: Wall(0),
            fingerprint: fingerprint.to_owned(),
            status: FindingStatus::Open,
            id: "row".to_owned(),
            cause: "cause".to_owned(),
            grade: Grade::Likely,
            layer: Layer::L3,
            slice: None,
            section: String::new(),
            severity: "P1",
            respond_within: String::new(),
            title: Bilingual::default(),
            cause_title: Bilingual::default(),
            subject: Subject::default(),
            since: Since::Start,
            first_seen: Wall(0),
            last_seen: Wall(0),
            count: 1,
            evidence: Vec::new(),
            checked: Vec::new(),
            fix_type: String::new(),
            remedy: Bilingual::default(),
            verify: String::new(),
            confidence_note: None,
            targets: Vec::new(),
        }
    }
}

/// A sentence in the catalogue's two languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bilingual {
    pub en: String,
    pub zh: String,
}

names! {
    FindingStatus {
        Open = "open",
        Updated = "updated",
        Resolved = "resolved",
    }
}

names! {
    Grade {
        /// The symptom, and what normally goes with the cause.
        Likely = "likely",
        /// The cause itself was seen.
        Proved = "proved",
    }
}

/// What a finding is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// `container`, `pod`, `node`, `service`, `image` or `connection`.
    pub kind: &'static str,
    pub container: Option<Container>,
    pub process: Option<Process>,
    /// What is neither: an address, an image, a file system.
    pub object: Option<String>,
}

/// Something that was seen, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    pub time: Wall,
    pub probe: &'static str,
    pub signal: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub text: String,
    pub since: Since,
}

/// What was looked at in a layer, and whether it was how it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub layer: Layer,
    pub what: String,
    pub signal: &'static str,
    pub value: Option<f64>,
    pub unit: &'static str,
    pub state: CheckState,
    pub threshold: Option<f64>,
    /// `limit`, `baseline`, `scenario` or `matrix`.
    pub basis: &'static str,
    pub why: Option<String>,
}

names! {
    CheckState {
        Ok = "ok",
        Abnormal = "abnormal",
        NotMeasured = "not-measured",
    }
}

/// A symptom of an entry, none of whose causes is proved or likely.
#[derive(Clone, Debug, PartialEq)]
pub struct Unproven {
    pub time: Wall,
    pub id: String,
    pub title: Bilingual,
    pub causes: Vec<String>,
    pub subject: Subject,
    pub seen: Vec<Proof>,
    pub missing: Vec<Missing>,
    pub count: u64,
}

/// What it would have taken to say more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub what: String,
    pub why: String,
    pub how: String,
}

/// What came of all rules, counted; and what was looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub proved: u64,
    pub likely: u64,
    pub unproven: u64,
    pub checked: Vec<Check>,
}
