//! Why a recording cannot be made or read, for people; owns no recovery.

use std::{io, path::PathBuf};

use super::format::VERSION;

/// Why a recording cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is a symbolic link; give the path that it leads to", .0.display())]
    SymbolicLink(PathBuf),
    #[error("{} exists and is not a recording; remove it or record to another path", .0.display())]
    NotOurs(PathBuf),
    #[error("{} is neither a file nor a directory; a recording is one of these", .0.display())]
    NotRegular(PathBuf),
    #[error("{} holds no segment-NNNNNN.obsrec; give a recording's file or its directory", .0.display())]
    NoSegments(PathBuf),
    #[error("{} is empty: the recording was cut before its first byte, or never begun", .0.display())]
    Empty(PathBuf),
    #[error("{} is not a recording of observer", .0.display())]
    NotARecording(PathBuf),
    #[error("{} has format {found}, this observer reads {VERSION}; read it with the one that wrote it", path.display())]
    Version { path: PathBuf, found: u16 },
    #[error("{} ends at byte {at_byte}, within its header; nothing of it can be replayed", path.display())]
    HeaderCut { path: PathBuf, at_byte: u64 },
    #[error("the header of {} is damaged ({why}); nothing of it can be replayed", path.display())]
    HeaderDamaged { path: PathBuf, why: String },
    #[error("the header does not fit: {bytes} bytes, at most {limit} can be stored")]
    HeaderTooLarge { bytes: usize, limit: usize },
    #[error("{} was not written to its end within {seconds} s; what is missing at its end is lost", path.display())]
    Unfinished { path: PathBuf, seconds: u64 },
}

impl RecordError {
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        RecordError::Io { doing, path: path.into(), source }
    }
}
