//! Large address-space reservations: how linear memories of Wasm engines begin.

use super::{Syscall, records};

/// Mappings smaller than this are not reported, bytes.
pub const MIN_RESERVATION: u64 = 4 << 30;

records! { Memory {
    /// mmap of at least [`MIN_RESERVATION`] bytes returned.
    1 Memory text 0 {
        syscall: Syscall,
        bytes: u64,
        prot: u32,
        flags: u32,
        role: u32,
        pad: u32,
    }
} }
