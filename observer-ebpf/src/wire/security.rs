//! What confines a process: seccomp, prctl, capset, user and group ids, resource limits.

use super::{Syscall, records};

/// Values of [`Security::op`].
pub mod op {
    pub const SECCOMP: u32 = 1;
    pub const PRCTL: u32 = 2;
    pub const CAPSET: u32 = 3;
    pub const SETRESUID: u32 = 4;
    pub const SETRESGID: u32 = 5;
    pub const SETGROUPS: u32 = 6;
    pub const KEYCTL: u32 = 7;
    /// Only where a limit could not be set.
    pub const PRLIMIT: u32 = 8;
}

/// The `prctl` options that are reported.
pub mod pr {
    pub const SET_KEEPCAPS: u64 = 8;
    pub const SET_SECCOMP: u64 = 22;
    pub const SET_NO_NEW_PRIVS: u64 = 38;
}

records! { Security {
    /// A confining call returned.
    1 Security text 0 {
        syscall: Syscall,
        /// The call's first argument: the prctl option, the seccomp operation; the resource whose limit was to be set.
        arg: u64,
        op: u32,
        role: u32,
    }
} }
