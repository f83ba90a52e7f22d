//! What of the resolved options the pipeline must know.

use serde::{Deserialize, Serialize};

use crate::{filter::Filter, input::Normal, probes::webhook::Target, rules::catalogue::Entry};

/// Recorded, so that a replay uses the same. What older recordings do not say has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How long a start is given to listen after it began, nanoseconds.
    pub ready_wait_ns: u64,
    /// How often health is reported, nanoseconds.
    pub health_interval_ns: u64,
    /// Whether containers are followed beyond their start, and events about them wanted.
    #[serde(default)]
    pub follow: bool,
    /// How often counts are reported of what is followed, nanoseconds.
    #[serde(default = "ten_seconds")]
    pub stats_interval_ns: u64,
    pub filter: Filter,
    /// What the user says to be webhooks; kernel records name them by their place here, from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Target>,
    /// Whose thresholds and priorities apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Entries of the matrix that the user adds, or has in place of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalogue: Vec<Entry>,
    /// Whether what is seen is tied to spans that others send, and how it is told.
    #[serde(default)]
    pub evidence: Relation,
    /// What earlier runs have learned to be usual here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub normals: Vec<Normal>,
}

/// How evidence stands to the span that it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// Nothing is tied to anything.
    #[default]
    Off,
    /// A span of ours, which points to it.
    Link,
    /// A child of it, where it belongs to no other.
    Child,
}

const fn ten_seconds() -> u64 {
    10_000_000_000
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ready_wait_ns: 10_000_000_000,
            health_interval_ns: 60_000_000_000,
            follow: false,
            stats_interval_ns: ten_seconds(),
            filter: Filter::default(),
            webhooks: Vec::new(),
            scenario: None,
            catalogue: Vec::new(),
            evidence: Relation::Off,
            normals: Vec::new(),
        }
    }
}
