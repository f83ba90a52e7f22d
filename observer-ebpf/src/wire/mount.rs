//! The mount family and the change of root.

use super::{Syscall, records};

/// Values of [`Mount::op`].
pub mod op {
    pub const MOUNT: u32 = 1;
    pub const UMOUNT: u32 = 2;
    pub const PIVOT_ROOT: u32 = 3;
    pub const CHROOT: u32 = 4;
    pub const OPEN_TREE: u32 = 5;
    pub const MOVE_MOUNT: u32 = 6;
    pub const FSOPEN: u32 = 7;
    pub const FSCONFIG: u32 = 8;
    pub const FSMOUNT: u32 = 9;
    pub const MOUNT_SETATTR: u32 = 10;
}

records! { Mount {
    /// A call of the mount family returned. Text: the target, for `mount` and failures only.
    1 Mount text 256 {
        syscall: Syscall,
        op: u32,
        role: u32,
        target_len: u32,
        pad: u32,
    }
} }
