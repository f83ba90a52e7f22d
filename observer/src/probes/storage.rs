//! Operations on files that failed for want of room, or as the device failed or is read-only: of all processes; and those
//! that containers are not permitted.

use observer_ebpf::{
    Family,
    wire::storage::{Failed as Wire, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, chars, fixed,
    packet::{self, Owner},
    spec::{Spec, covered, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::Storage,
    gives: "which files could not be written for want of room, or as their device failed, and which containers may not use",
    cost: "a comparison at the exit of calls that write, allocate or sync, or make a file; more only for those that fail",
    hooks: &[
        // Those of `output`, `stdio`, `file` and `security`, which hand on what fails.
        covered("write", &syscall!("write", "exit_write", ["fd", "buf", "count"])),
        covered("writev", &syscall!("writev", "exit_writev", ["fd", "vec", "vlen"])),
        covered(
            "sendfile64",
            &syscall!("sendfile64", "exit_sendfile", ["out_fd", "in_fd", "offset", "count"]),
        ),
        covered("splice", &syscall!("splice", "exit_splice", ["fd_in", "off_in", "fd_out"])),
        covered("pwritev2", &syscall!("pwritev2", "exit_pwritev2", ["fd", "vec", "vlen"])),
        covered("openat", &syscall!("openat", "exit_openat", ["dfd", "filename", "flags", "mode"])),
        covered("openat2", &syscall!("openat2", "exit_openat2", ["dfd", "filename", "how"])),
        covered("open", &syscall!(optional "open", "exit_open", ["filename", "flags", "mode"])),
        covered("keyctl", &syscall!(optional "keyctl", "exit_keyctl", ["option"])),
        syscall!("pwrite64", "exit_pwrite", ["fd", "buf", "count"]),
        syscall!(optional "copy_file_range", "exit_copy_range", ["fd_in", "off_in", "fd_out"]),
        syscall!("fallocate", "exit_fallocate", ["fd", "mode", "offset", "len"]),
        syscall!("ftruncate", "exit_ftruncate", ["fd", "length"]),
        syscall!("fsync", "exit_fsync", ["fd"]),
        syscall!("fdatasync", "exit_fdatasync", ["fd"]),
        syscall!(optional "mkdir", "exit_mkdir", ["pathname"]),
        syscall!("mkdirat", "exit_mkdirat", ["dfd", "pathname"]),
        syscall!(optional "link", "exit_link", ["oldname", "newname"]),
        syscall!("linkat", "exit_linkat", ["olddfd", "oldname", "newdfd", "newname"]),
        syscall!(optional "rename", "exit_rename", ["oldname", "newname"]),
        syscall!(optional "renameat", "exit_renameat", ["olddfd", "oldname", "newdfd", "newname"]),
        syscall!("renameat2", "exit_renameat", ["olddfd", "oldname", "newdfd", "newname"]),
        syscall!(optional "symlink", "exit_symlink", ["oldname", "newname"]),
        syscall!("symlinkat", "exit_symlinkat", ["oldname", "newdfd", "newname"]),
        syscall!(optional "inotify_add_watch", "exit_inotify", ["fd", "pathname", "mask"]),
        syscall!(optional "add_key", "exit_add_key", ["_type", "_description"]),
    ],
};

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Op {
    Write,
    Writev,
    Pwrite,
    Pwritev,
    Sendfile,
    Splice,
    CopyRange,
    Fallocate,
    Truncate,
    Fsync,
    Fdatasync,
    Open,
    Mkdir,
    Link,
    Rename,
    Symlink,
    Inotify,
    AddKey,
    Keyctl,
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Descriptor,
    Path,
    /// No file.
    Key,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Op::Write => "write",
            Op::Writev => "writev",
            Op::Pwrite => "pwrite64",
            Op::Pwritev => "pwritev2",
            Op::Sendfile => "sendfile",
            Op::Splice => "splice",
            Op::CopyRange => "copy_file_range",
            Op::Fallocate => "fallocate",
            Op::Truncate => "ftruncate",
            Op::Fsync => "fsync",
            Op::Fdatasync => "fdatasync",
            Op::Open => "openat",
            Op::Mkdir => "mkdirat",
            Op::Link => "linkat",
            Op::Rename => "renameat",
            Op::Symlink => "symlinkat",
            Op::Inotify => "inotify_add_watch",
            Op::AddKey => "add_key",
            Op::Keyctl => "keyctl",
        }
    }

    pub const fn on(self) -> On {
        match self {
            Op::Write
            | Op::Writev
            | Op::Pwrite
            | Op::Pwritev
            | Op::Sendfile
            | Op::Splice
            | Op::CopyRange
            | Op::Fallocate
            | Op::Truncate
            | Op::Fsync
            | Op::Fdatasync => On::Descriptor,
            Op::Open | Op::Mkdir | Op::Link | Op::Rename | Op::Symlink | Op::Inotify => On::Path,
            Op::AddKey | Op::Keyctl => On::Key,
        }
    }

    /// Of the kernel side's number.
    ///
    /// # Errors
    /// [`Malformed`] for one that there is not.
    pub fn of(number: u32) -> Result<Op, Malformed> {
        Ok(match number {
            op::WRITE => Op::Write,
            op::WRITEV => Op::Writev,
            op::PWRITE => Op::Pwrite,
            op::PWRITEV => Op::Pwritev,
            op::SENDFILE => Op::Sendfile,
            op::SPLICE => Op::Splice,
            op::COPY_RANGE => Op::CopyRange,
            op::FALLOCATE => Op::Fallocate,
            op::TRUNCATE => Op::Truncate,
            op::FSYNC => Op::Fsync,
            op::FDATASYNC => Op::Fdatasync,
            op::OPEN => Op::Open,
            op::MKDIR => Op::Mkdir,
            op::LINK => Op::Link,
            op::RENAME => Op::Rename,
            op::SYMLINK => Op::Symlink,
            op::INOTIFY => Op::Inotify,
            op::ADD_KEY => Op::AddKey,
            op::KEYCTL => Op::Keyctl,
            other => return Err(Malformed::Operation(other)),
        })
    }
}

/// By what failures are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alike {
    /// The container's init, else the process.
    pub who: u32,
    pub op: Op,
    pub errno: i32,
    pub device: Device,
}

/// A file system's device, as the kernel numbers it. All zeros: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
}

impl Device {
    /// As kernel structures have it.
    pub const fn of(kernel: u32) -> Device {
        Device { major: kernel >> 20, minor: kernel & 0xf_ffff }
    }

    pub fn is_known(self) -> bool {
        self != Device::default()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub alike: Alike,
    /// `None`: it could not be read.
    pub caller: Option<Owner>,
    /// How many alike have failed since this was last told.
    pub count: u64,
    /// The process that began the caller.
    pub parent: u32,
    pub asked_bytes: Option<u64>,
    /// The descriptor, or the one that a path begins at.
    pub fd: i32,
    /// What kind of file system it is, where the kernel side knows the device.
    pub kind: Option<String>,
    /// A path as the caller gave it; of a descriptor the file's own name; of a key its kind. `None`: not readable.
    pub text: Option<String>,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, rest) = fixed::<Wire>(bytes)?;
    let (text, _) = chars::take(rest, wire.text_len as usize)?;
    let device = Device::of(wire.device);
    Ok(Event {
        alike: Alike { who: wire.who, op: Op::of(wire.op)?, errno: wire.errno as i32, device },
        caller: packet::owner(&wire.caller),
        count: wire.count,
        parent: wire.parent,
        asked_bytes: (wire.asked != 0).then_some(wire.asked),
        fd: wire.fd,
        kind: Some(chars::comm(&wire.kind)).filter(|kind| device.is_known() && !kind.is_empty()),
        text: Some(text).filter(|text| !text.is_empty()),
    })
}
