//! File systems, as they were when somebody looked.

use serde::{Deserialize, Serialize};

pub use crate::probes::storage::{Alike, Device};

/// A file system, and how much room is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    pub device: Device,
    /// `ext4`, `tmpfs`, ..
    pub kind: String,
    /// What is mounted: `/dev/sda1`, or whatever whoever mounted it called it.
    pub source: String,
    /// Where it is mounted, as whoever was looked for sees it.
    pub mount: String,
    pub room: Room,
}

/// What `statfs` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub total_bytes: u64,
    /// Without what is kept back for root.
    pub available_bytes: u64,
    /// 0: this kind of file system does not say.
    pub total_inodes: u64,
    pub free_inodes: u64,
}

impl Room {
    pub fn available_percent(&self) -> Option<f64> {
        percent(self.available_bytes, self.total_bytes)
    }

    pub fn free_inodes_percent(&self) -> Option<f64> {
        percent(self.free_inodes, self.total_inodes)
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// Where a call failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAt {
    /// As the caller sees it, from its root on. `None`: it could not be found out.
    pub path: Option<String>,
    /// The one that room was wanted of: below an overlay, the one that its upper directory is in.
    pub filesystem: Filesystem,
}

/// A file system that the node lives on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFilesystem {
    /// What it is to the node.
    pub purpose: Purpose,
    pub filesystem: Filesystem,
}

/// Which thresholds a file system has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Purpose {
    /// No kubelet is known to watch it.
    #[default]
    Root,
    /// The kubelet's own.
    Nodefs,
    /// Where images are.
    Imagefs,
    /// Either, of K3s, whose kubelet has thresholds of its own.
    K3s,
}

impl Purpose {
    pub const fn name(self) -> &'static str {
        match self {
            Purpose::Root => "root",
            Purpose::Nodefs => "nodefs",
            Purpose::Imagefs => "imagefs",
            Purpose::K3s => "k3s",
        }
    }
}
