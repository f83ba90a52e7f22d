//! What is usual on this node, as far as earlier runs have learned it.

use serde::{Deserialize, Serialize};

/// How the values of one measure of one workload, image or node are spread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    /// The measure, by the name of its signal.
    pub what: String,
    /// Whose; empty: the node's.
    pub who: String,
    /// How many values it was learned from.
    pub count: u64,
    pub median: f64,
    pub p90: f64,
}
