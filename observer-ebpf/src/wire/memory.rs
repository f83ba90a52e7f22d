//! Large address-space reservations: how linear memories of Wasm engines begin.

use super::{Syscall, records};
use crate::control::COMM_LEN;

/// Mappings smaller than this are not reported, bytes.
pub const MIN_RESERVATION: u64 = 4 << 30;

records! { Memory {
    /// mmap of at least [`MIN_RESERVATION`] bytes returned: any of a runtime; of a payload those without access, and
    /// those for which there was no room.
    2 Memory text 0 {
        syscall: Syscall,
        /// Where the caller would have liked it; 0: anywhere.
        hint: u64,
        bytes: u64,
        /// When the process started: with its pid, its identity.
        start_ns: u64,
        prot: u32,
        flags: u32,
        role: u32,
        /// The container's init, 0 before there is one.
        init: u32,
        comm: [u8; COMM_LEN],
    }
} }
