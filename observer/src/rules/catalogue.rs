//! The problem matrix as it is written: one file an entry, no code. What its conditions mean is
//! [`super::grammar`]'s; whether they make sense is [`super::compile`]'s.

use serde::{Deserialize, Serialize};

/// A known problem: what it looks like, what causes it, what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub id: String,
    /// Where the matrix that it comes from has it.
    pub section: String,
    pub title: String,
    pub title_zh: String,
    pub class: Class,
    pub severity: Severity,
    pub respond_within: String,
    pub fix_type: String,
    /// How long mending it takes, minutes.
    #[serde(default)]
    pub expected_minutes: Option<u32>,
    /// A slice that goes through all layers: `network`.
    #[serde(default)]
    pub slice: Option<String>,
    #[serde(default)]
    pub components: Vec<String>,
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// What people would search for.
    #[serde(default)]
    pub symptoms: Vec<String>,
    /// Numbers of known cases that it explains.
    #[serde(default)]
    pub cases: Vec<String>,
    pub detect: Detect,
    /// Why nothing finds it, where nothing does.
    #[serde(default)]
    pub why_not: Option<String>,
    pub symptom: String,
    pub symptom_zh: String,
    #[serde(default)]
    pub remedy: Option<String>,
    #[serde(default)]
    pub remedy_zh: Option<String>,
    pub verify: String,
    /// How long a finding stays open without new evidence, where that is longer than its conditions look back.
    #[serde(default)]
    pub stays_open: Option<Period>,
    #[serde(default)]
    pub warm_up: Option<Period>,
    #[serde(default)]
    pub seen: Option<Symptom>,
    #[serde(default, rename = "cause")]
    pub causes: Vec<Cause>,
    #[serde(default, rename = "case")]
    pub recorded: Vec<Case>,
}

impl Entry {
    /// The same with little patience, for tests that make a fault and cannot wait: no warm-up, and seconds where
    /// evidence must be spread over more, or must stay without a refutation for longer. Counts stay as they are.
    #[must_use]
    pub fn hurried(&self) -> Entry {
        let mut entry = self.clone();
        entry.warm_up = Some(Period(0));
        for cause in &mut entry.causes {
            cause.warm_up = None;
            cause.settle = cause.settle.map(|settle| settle.min(HURRIED));
            cause.when.iter_mut().for_each(hurry);
        }
        if let Some(seen) = &mut entry.seen {
            seen.when.iter_mut().for_each(hurry);
        }
        entry
    }
}

impl Cause {
    /// Whether anything finds it: here, or here by what the Kubernetes API says.
    pub fn is_found(&self, entry: &Entry) -> bool {
        match self.detect.unwrap_or(entry.detect) {
            Detect::Node => true,
            Detect::KubernetesApi => !self.when.is_empty(),
            Detect::NotYet | Detect::NotOnANode => false,
        }
    }
}

const HURRIED: Period = Period::seconds(2);
/// For what must hold all the time, and for what must grow in each part of it: samples come every five seconds.
const HURRIED_GAUGES: [(&str, Period); 2] = [("min(", Period::seconds(12)), ("grew(", Period::seconds(35))];

fn hurry(condition: &mut String) {
    let gauge = HURRIED_GAUGES.iter().find(|(func, _)| condition.starts_with(func));
    if let Some((_, least)) = gauge
        && let Some((before, after)) = condition.split_once(" over ")
    {
        let rest = after.split_once(' ').map(|(_, rest)| format!(" {rest}")).unwrap_or_default();
        *condition = format!("{before} over {least}{rest}");
    }
    let Some((before, after)) = condition.split_once(" spanning ") else { return };
    let rest = after.split_once(' ').map(|(_, rest)| format!(" {rest}")).unwrap_or_default();
    *condition = format!("{before} spanning {HURRIED}{rest}");
}

/// The symptom alone, told as unproven where no cause is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symptom {
    pub by: Vec<String>,
    pub when: Vec<String>,
    #[serde(default)]
    pub unless: Vec<String>,
}

/// One cause of an entry. Causes are in order of rank: of those that match, the first is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    pub id: String,
    pub title: String,
    pub title_zh: String,
    pub layer: String,
    /// The best that it can be.
    pub grade: Grade,
    pub about: About,
    /// The label that names what it is about, where that is no container, pod or node.
    #[serde(default)]
    pub object: Option<String>,
    /// Labels by which evidence belongs together; none: the node's.
    #[serde(default)]
    pub by: Vec<String>,
    #[serde(default)]
    pub when: Vec<String>,
    #[serde(default)]
    pub unless: Vec<String>,
    /// How long `unless` must not hold from the first evidence on.
    #[serde(default)]
    pub settle: Option<Period>,
    /// Only where one of these is asked for.
    #[serde(default)]
    pub scenarios: Vec<String>,
    #[serde(default)]
    pub warm_up: Option<Period>,
    /// What a container does from its stop signal to this long after its end is no evidence; `off`: it is.
    #[serde(default)]
    pub teardown: Option<Teardown>,
    /// An open finding of these entries, about the same container or the node, takes this one in.
    #[serde(default)]
    pub explained_by: Vec<String>,
    #[serde(default)]
    pub detect: Option<Detect>,
    #[serde(default)]
    pub why_not: Option<String>,
    #[serde(default)]
    pub severity: Option<Severity>,
    #[serde(default)]
    pub slice: Option<String>,
    #[serde(default)]
    pub fix_type: Option<String>,
    #[serde(default)]
    pub remedy: Option<String>,
    #[serde(default)]
    pub remedy_zh: Option<String>,
    #[serde(default)]
    pub verify: Option<String>,
}

/// A recording, and what must be said of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// None: whatever the entry could say.
    #[serde(default)]
    pub cause: Option<String>,
    /// In the folder `cases` beside the entry.
    pub replay: String,
    pub expect: Expect,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $name)] $variant),* }

        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name),* }
            }
        }
    };
}

words! {
    Class {
        Deploy = "deploy",
        Runtime = "runtime",
        Network = "network",
        Storage = "storage",
        Policy = "policy",
        Performance = "performance",
        Scenario = "scenario",
    }
}

words! {
    /// How bad it is; `P0` is worst.
    Severity {
        P0 = "P0",
        P1 = "P1",
        P2 = "P2",
        P3 = "P3",
    }
}

words! {
    /// Who can find it.
    Detect {
        Node = "node",
        KubernetesApi = "kubernetes-api",
        NotYet = "not-yet",
        NotOnANode = "not-on-a-node",
    }
}

words! {
    Grade {
        /// The cause itself was seen.
        Proved = "proved",
        /// The symptom, and what normally goes with the cause.
        Likely = "likely",
    }
}

words! {
    About {
        Container = "container",
        Pod = "pod",
        Node = "node",
        Service = "service",
        Image = "image",
        Connection = "connection",
    }
}

words! {
    Expect {
        Proved = "proved",
        Likely = "likely",
        Unproven = "unproven",
        None = "none",
    }
}

/// A time, as `90s`, `5m`, `500ms`; nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub u64);

/// What a container says while it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Teardown {
    /// Counts.
    Off,
    /// Does not count until this long after its end.
    For(Period),
}

impl Period {
    pub const fn seconds(seconds: u64) -> Period {
        Period(seconds * 1_000_000_000)
    }

    /// Of a number with a unit: `ms`, `s`, `m`, `h`.
    ///
    /// # Errors
    /// What it should look like.
    pub fn parse(text: &str) -> Result<Period, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let scale = match unit {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            _ => return Err(format!("{text:?} is no time: write it like 500ms, 90s, 5m or 1h")),
        };
        let number: u64 = number.parse().map_err(|_| format!("{text:?} is no time: it needs a number"))?;
        number.checked_mul(scale).map(Period).ok_or_else(|| format!("{text:?} is too long"))
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Period, String> {
        Period::parse(&text)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ns if ns % 1_000_000_000 == 0 => write!(f, "{}s", ns / 1_000_000_000),
            ns => write!(f, "{}ms", ns / 1_000_000),
        }
    }
}

impl From<Period> for String {
    fn from(period: Period) -> String {
        period.to_string()
    }
}

impl TryFrom<String> for Teardown {
    type Error = String;

    fn try_from(text: String) -> Result<Teardown, String> {
        if text == "off" { Ok(Teardown::Off) } else { Period::parse(&text).map(Teardown::For) }
    }
}

impl From<Teardown> for String {
    fn from(teardown: Teardown) -> String {
        match teardown {
            Teardown::Off => "off".to_owned(),
            Teardown::For(period) => period.to_string(),
        }
    }
}
