//! Certificates on the node's disk.

use serde::{Deserialize, Serialize};

/// A certificate, as far as it says until when it is valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub path: String,
    /// Seconds since the epoch.
    pub not_after: i64,
}
