//! Files opened by runtimes and payloads: only those that mark a phase, and failures to open or find one. And what
//! engines keep of images and containers.

use super::{Syscall, records};

/// A wait for a lock that is shorter is of no interest, nanoseconds.
pub const MIN_LOCK_WAIT_NS: u64 = 1_000_000;

/// Values of [`File::op`].
pub mod op {
    pub const OPEN: u32 = 1;
    /// stat, statx: failures only.
    pub const STAT: u32 = 2;
    /// access, faccessat: failures only.
    pub const ACCESS: u32 = 3;
    /// readlink, readlinkat: failures only, but not for what is no link.
    pub const READLINK: u32 = 4;
    /// flock of an engine's helper, where it had to wait. The path is the file's name only.
    pub const FLOCK: u32 = 5;
    /// renameat, of engines: a fetched blob, a snapshot. The path is the new one.
    pub const RENAME: u32 = 6;
    /// mkdirat, of engines: a container's, a sandbox's.
    pub const MKDIR: u32 = 7;
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
