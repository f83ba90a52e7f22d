//! A request to a block device that somebody waited long for.

use crate::probes::hardware::Slow;

/// The device is the node's: for whom it was is not told by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Io(pub Slow);
