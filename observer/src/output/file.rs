//! Operations on files that failed for want of room, as the device failed or is read-only, or that are not permitted.

use super::names;
use crate::input::Filesystem;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// A component of the node asked for it, not a workload.
    pub component: bool,
    pub outcome: FileOutcome,
    pub call: &'static str,
    pub errno: i32,
    /// As the caller sees it. `None`: not known.
    pub path: Option<String>,
    /// Of a file that was open, its own name; of a path what was asked for; of a key its kind.
    pub name: Option<String>,
    /// Where room was wanted. `None`: not known, or no file system's.
    pub filesystem: Option<Filesystem>,
    /// What kind of file system it is, where no more is known.
    pub filesystem_kind: Option<String>,
    pub asked_bytes: Option<u64>,
    /// How many alike are told by this one.
    pub count: u64,
}

names! {
    FileOutcome {
        /// No room for bytes.
        Bytes = "bytes",
        /// No room for files.
        Inodes = "inodes",
        Quota = "quota",
        /// A file system in memory is as full as it may be.
        TmpfsSize = "tmpfs-size",
        /// More was asked for than there is room for, and there is plenty of room.
        TooLarge = "too-large",
        InotifyWatches = "inotify-watches",
        KeyQuota = "key-quota",
        IoError = "io-error",
        ReadOnly = "read-only",
        /// Whoever asked may not: of containers only.
        Denied = "denied",
        /// There was no room, but it cannot be said of what.
        Unknown = "unknown",
    }
}

impl File {
    /// What people call the file system.
    pub fn place(&self) -> Option<&str> {
        let filesystem = self.filesystem.as_ref()?;
        let is_device = filesystem.source.starts_with('/');
        Some(if is_device { &filesystem.source } else { &filesystem.mount })
    }
}
