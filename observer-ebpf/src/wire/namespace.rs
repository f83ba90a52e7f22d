//! New namespaces: clone, clone3, unshare, setns.

use super::{Syscall, records};

/// Values of [`Namespace::op`].
pub mod op {
    pub const CLONE: u32 = 1;
    pub const CLONE3: u32 = 2;
    pub const UNSHARE: u32 = 3;
    pub const SETNS: u32 = 4;
    pub const SETHOSTNAME: u32 = 5;
}

records! { Namespace {
    /// A call that makes or enters a namespace returned.
    1 Namespace text 0 {
        syscall: Syscall,
        /// CLONE_* flags (for setns: its `nstype`, 0 when the caller left it open).
        flags: u64,
        op: u32,
        role: u32,
    }
} }
