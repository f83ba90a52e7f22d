//! Writes to standard output and error.

use super::{Syscall, records};
use crate::control::COMM_LEN;

/// Values of [`Output::op`].
pub mod op {
    pub const WRITE: u32 = 1;
    pub const WRITEV: u32 = 2;
    pub const SENDFILE: u32 = 3;
    pub const SPLICE: u32 = 4;
}

records! { Output {
    /// A write to fd 1 or 2 returned, or any write of a runtime failed.
    1 Output text 0 {
        syscall: Syscall,
        fd: u32,
        op: u32,
        role: u32,
        /// The container's init as the kernel side knows it, else 0.
        init: u32,
        /// Major faults and bytes read from disk by this process so far.
        major_faults: u64,
        read_bytes: u64,
        comm: [u8; COMM_LEN],
    }
} }
