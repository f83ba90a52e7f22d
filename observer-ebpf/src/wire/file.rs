//! Files opened by runtimes and payloads: only those that mark a phase, and failures.

use super::{Syscall, records};

records! { File {
    /// openat or openat2 returned. Text: the path as the caller gave it.
    1 File text 256 {
        syscall: Syscall,
        /// O_* flags (openat only).
        flags: u32,
        role: u32,
        path_len: u32,
        pad: u32,
    }
} }
