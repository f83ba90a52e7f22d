//! Sockets of containers: listen; and accept or connect of a runtime that waits to be started.

use super::{Syscall, records};
use crate::control::COMM_LEN;

/// Values of [`Socket::op`].
pub mod op {
    pub const LISTEN: u32 = 1;
    pub const ACCEPT: u32 = 2;
}

records! { Socket {
    /// A socket call returned.
    1 Socket text 0 {
        syscall: Syscall,
        fd: u32,
        op: u32,
        role: u32,
        init: u32,
        major_faults: u64,
        read_bytes: u64,
        comm: [u8; COMM_LEN],
    }
} }
