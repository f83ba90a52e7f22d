//! Files opened by runtimes and payloads: only those that mark a phase, and failures to open or find one.

use super::{Syscall, records};

/// Values of [`File::op`].
pub mod op {
    pub const OPEN: u32 = 1;
    /// stat, statx: failures only.
    pub const STAT: u32 = 2;
    /// access, faccessat: failures only.
    pub const ACCESS: u32 = 3;
    /// readlink, readlinkat: failures only, but not for what is no link.
    pub const READLINK: u32 = 4;
}

records! { File {
    /// A call on a path returned. Text: the path as the caller gave it.
    1 File text 256 {
        syscall: Syscall,
        /// O_* flags (openat only).
        flags: u32,
        role: u32,
        path_len: u32,
        op: u32,
    }
} }
