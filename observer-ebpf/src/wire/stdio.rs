//! Standard streams of followed containers: the object behind descriptors 1 and 2 of a container's init, and
//! what was counted of it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::records;
use crate::control::COMM_LEN;

/// Values of [`Opened::since`].
pub mod since {
    pub const START: u32 = 0;
    pub const ATTACH: u32 = 1;
}

/// The object that a descriptor refers to. All zero: the descriptor is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Object {
    pub ino: u64,
    /// `inode->i_mode`: S_IF* and permissions.
    pub mode: u32,
    /// `inode->i_rdev` of devices.
    pub rdev: u32,
}

/// A pipe at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PipeState {
    /// Bytes taken out of it by processes known to read it, since it is followed.
    pub taken: u64,
    /// Bytes in it.
    pub queued: u32,
    /// Open reading ends.
    pub readers: u32,
    /// Bits of [`state`].
    pub state: u32,
    /// The process known to read it, 0 for none.
    pub reader: u32,
}

/// Bits of [`PipeState::state`].
pub mod state {
    /// It is still there.
    pub const ALIVE: u32 = 1 << 0;
    /// It is full, and someone waits for room.
    pub const WAITING: u32 = 1 << 1;
    /// Something of it could not be read.
    pub const UNREADABLE: u32 = 1 << 2;
}

/// What a container wrote to one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Written {
    pub bytes: u64,
    /// CLOCK_BOOTTIME of the first and the last write; 0: none.
    pub first_ns: u64,
    pub last_ns: u64,
    /// Writes that failed because nobody reads (EPIPE).
    pub broken: u64,
}

/// Key of the kernel's map of streams: a container and an object that it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StreamKey {
    pub ino: u64,
    pub init: u32,
    pub pad: u32,
}

/// Value of that map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Stream {
    /// Tells an object of another file system with the same number. Means nothing outside the kernel.
    pub inode: u64,
    pub written: Written,
}

/// Value of the kernel's map of followed pipes, by inode number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pipe {
    /// As in [`Stream`].
    pub inode: u64,
    pub taken: u64,
    /// The process known to read it, 0 for none.
    pub reader: u32,
    /// Containers that were given it; 0: it is only expected to be given.
    pub users: u32,
    /// The process of which [`Reader`] told last: one that reads at once is known before it is told.
    pub told: u32,
    pub pad: u32,
}

records! { Stdio {
    /// Descriptor `fd` of a container's init refers to this object.
    1 Opened text 0 {
        init: u32,
        fd: u32,
        since: u32,
        role: u32,
        object: Object,
        pipe: PipeState,
    }
    /// A container's init ends: what was counted of one of its streams, and what its descriptor refers to now.
    2 Closing text 0 {
        init: u32,
        fd: u32,
        /// Of the init: bits of [`crate::control::role`].
        role: u32,
        pad: u32,
        /// The object that was followed; its counts.
        object: Object,
        written: Written,
        pipe: PipeState,
        now: Object,
    }
    /// A process holds the reading end of a followed pipe.
    3 Reader text 0 {
        ino: u64,
        reader: u32,
        ppid: u32,
        start_ns: u64,
        comm: [u8; COMM_LEN],
    }
} }
