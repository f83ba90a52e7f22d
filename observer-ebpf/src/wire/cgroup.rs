//! Control groups: made, and entered by a process.

use super::records;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The control group of a task, as `kn->id`: equal to the inode of its directory. 0: not read.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Ids {
    /// In the hierarchy of the memory controller (v1), or the nearest one that has it (v2).
    pub memory: u64,
    /// In the unified hierarchy (v2).
    pub unified: u64,
}

records! { Cgroup {
    /// A watched process made a control group. Text: its path within its hierarchy.
    1 Mkdir text 256 {
        id: u64,
        hierarchy: u32,
        path_len: u32,
    }
    /// A process was moved into a control group by a watched process. Text: the path.
    2 Attach text 256 {
        id: u64,
        hierarchy: u32,
        /// The process that was moved.
        target: u32,
        role: u32,
        path_len: u32,
    }
} }
