//! Operations on files that failed for want of room, or as the device failed or is read-only: of all processes; and those
//! that containers are not permitted. Counted in the kernel; of those alike one a second is told.

use super::{packet::Owner, records};

/// Values of [`Failed::op`].
pub mod op {
    // On a descriptor.
    pub const WRITE: u32 = 1;
    pub const WRITEV: u32 = 2;
    pub const PWRITE: u32 = 3;
    pub const PWRITEV: u32 = 4;
    pub const SENDFILE: u32 = 5;
    pub const SPLICE: u32 = 6;
    pub const COPY_RANGE: u32 = 7;
    pub const FALLOCATE: u32 = 8;
    pub const TRUNCATE: u32 = 9;
    pub const FSYNC: u32 = 10;
    pub const FDATASYNC: u32 = 11;
    // On a path: everything from here on.
    pub const OPEN: u32 = 32;
    pub const MKDIR: u32 = 33;
    pub const LINK: u32 = 34;
    pub const RENAME: u32 = 35;
    pub const SYMLINK: u32 = 36;
    pub const INOTIFY: u32 = 37;
    // On no file.
    pub const ADD_KEY: u32 = 64;
    pub const KEYCTL: u32 = 65;
}

/// Bytes of the name of a kind of file system that are handed over.
pub const MAX_KIND: usize = 16;

/// What is alike is counted together: the key of the kernel's map.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(C)]
pub struct Alike {
    /// The container's init, else the process.
    pub who: u32,
    pub op: u16,
    pub errno: u16,
    /// As in [`Failed`].
    pub device: u32,
}

/// What was counted of it: the value.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(C)]
pub struct Counted {
    pub count: u64,
    /// Of them, those that records have told.
    pub told: u64,
    /// CLOCK_BOOTTIME of the last record.
    pub told_ns: u64,
    /// CLOCK_BOOTTIME of the last failure.
    pub last_ns: u64,
}

/// Kinds of failures that are counted at once; what does not fit is lost.
pub const MAX_ALIKE: u32 = 4_096;

/// Of failures that are alike one is told within this time.
pub const EVERY_NS: u64 = 1_000_000_000;

records! { Storage {
    /// A call failed. Text: of one on a path its argument, of one on a descriptor the file's own name, without its
    /// directories; of a key its kind.
    1 Failed text 256 {
        caller: Owner,
        /// How many alike have failed since this was last told, this one included.
        count: u64,
        /// Bytes that were asked for, where that is an argument; else 0.
        asked: u64,
        errno: u32,
        op: u32,
        /// As the kernel numbers devices (20 bits of minor): of the file's file system; of a relative path the
        /// directory's that it begins at. 0: not known.
        device: u32,
        /// The descriptor, or the one that a path begins at (AT_FDCWD: the working directory).
        fd: i32,
        /// What kind of file system that is, padded with zeros or whatever comes behind them.
        kind: [u8; MAX_KIND],
        who: u32,
        /// The process that began the caller: it may still be there when the caller is not.
        parent: u32,
        text_len: u32,
        pad: u32,
    }
} }
