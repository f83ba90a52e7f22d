//! Where segments are written: the writer thread's side. A write that fails is undone as a whole, so what is
//! on disk always ends with a complete frame, however full the disk.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::{
    RecordError, directory,
    format::{self, End, Lost, MAGIC, MAX_FRAME, MAX_HEADER, SegmentHeader, kind},
};
use crate::time::Time;

enum Target {
    File(PathBuf),
    Directory(Directory),
}

/// Segments of earlier runs count towards the limit and are the first to be dropped.
struct Directory {
    path: PathBuf,
    /// Number and bytes of finished segments, oldest first.
    kept: VecDeque<(u64, u64)>,
    next: u64,
    /// The first segment of this run.
    first: u64,
    segment_bytes: u64,
    total_bytes: u64,
}

pub(super) struct Store {
    target: Target,
    header: SegmentHeader,
    file: Option<File>,
    /// Bytes of the current file that are complete frames.
    len: u64,
    pub dropped_segments: u64,
    pub segments: u64,
    /// Written to all segments.
    pub bytes: u64,
}

impl Store {
    /// Finds out what `path` is and claims it; the first segment is begun by [`Store::begin`].
    pub fn new(
        path: &Path,
        header: SegmentHeader,
        segment_bytes: u64,
        total_bytes: u64,
    ) -> Result<Self, RecordError> {
        let named_as_directory = path.as_os_str().as_bytes().ends_with(b"/");
        // Without a trailing slash, which would make look-ups follow a link.
        let path: PathBuf = path.components().collect();
        let target = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Err(RecordError::SymbolicLink(path)),
            Ok(found) if found.is_dir() => {
                Target::Directory(Directory::open(path, segment_bytes, total_bytes)?)
            }
            Ok(found) if !found.is_file() => return Err(RecordError::NotRegular(path)),
            Ok(_) if named_as_directory => return Err(RecordError::NotOurs(path)),
            Ok(_) => {
                remove_old(&path)?;
                Target::File(path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && named_as_directory => {
                fs::DirBuilder::new()
                    .mode(0o700)
                    .create(&path)
                    .map_err(|error| RecordError::io("create the directory", &path, error))?;
                Target::Directory(Directory::open(path, segment_bytes, total_bytes)?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Target::File(path),
            Err(error) => return Err(RecordError::io("create", path, error)),
        };
        Ok(Store { target, header, file: None, len: 0, dropped_segments: 0, segments: 0, bytes: 0 })
    }

    /// What is written to now.
    pub fn path(&self) -> PathBuf {
        match &self.target {
            Target::File(path) => path.clone(),
            Target::Directory(directory) => directory::path_of(&directory.path, directory.next),
        }
    }

    /// Begins a segment with these frames as its checkpoint.
    pub fn begin(&mut self, begins: Time, checkpoint: &[u8]) -> io::Result<()> {
        self.header.begins = begins;
        self.header.number = self.segments;
        let mut unit = Vec::new();
        match &mut self.target {
            Target::File(path) if self.file.is_none() => self.file = Some(create(path)?),
            Target::File(_) => push(&mut unit, kind::END, &End { more: true }),
            Target::Directory(_) => self.rotate()?,
        }
        unit.extend_from_slice(&format::preamble());
        format::push_frame(&mut unit, kind::HEADER, &self.header, MAX_HEADER)
            .map_err(|bytes| io::Error::other(format!("a header of {bytes} bytes")))?;
        unit.extend_from_slice(checkpoint);
        if let Err(error) = self.append(&unit) {
            self.discard();
            return Err(error);
        }
        self.segments += 1;
        Ok(())
    }

    /// Appends whole frames, or nothing.
    pub fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        let Some(file) = &self.file else { return Err(io::Error::other("no segment could be begun")) };
        if let Err(error) = file.write_all_at(frames, self.len) {
            // Also without this the next write begins at the same place.
            let _ = file.set_len(self.len);
            return Err(error);
        }
        self.len += frames.len() as u64;
        self.bytes += frames.len() as u64;
        Ok(())
    }

    /// Closes a directory's current segment, makes room, and opens the next.
    fn rotate(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            let mut end = Vec::new();
            push(&mut end, kind::END, &End { more: true });
            // If this fails the segment reads as cut at its end, and that is what it is.
            let _ = self.append(&end);
        }
        let Target::Directory(directory) = &mut self.target else { return Ok(()) };
        if self.file.take().is_some() {
            directory.kept.push_back((directory.next, self.len));
            directory.next += 1;
        }
        self.len = 0;
        let (all, own) = directory.make_room();
        self.dropped_segments += all;
        self.header.dropped_segments += own;
        self.file = Some(directory.create_next()?);
        Ok(())
    }

    /// Forgets a file that holds nothing, so that the next attempt starts afresh.
    fn discard(&mut self) {
        if self.len == 0 && self.file.take().is_some() {
            let _ = fs::remove_file(self.path());
        }
    }
}

impl Directory {
    fn open(path: PathBuf, segment_bytes: u64, total_bytes: u64) -> Result<Self, RecordError> {
        let failed = |error| RecordError::io("list", &path, error);
        let me = rustix::process::geteuid().as_raw();
        // What others put into a shared directory is neither counted nor removed.
        let kept: VecDeque<_> = directory::list(&path)
            .map_err(failed)?
            .into_iter()
            .filter(|segment| segment.metadata.uid() == me)
            .map(|segment| (segment.number, segment.metadata.len()))
            .collect();
        let next = kept.back().map_or(1, |(number, _)| number.saturating_add(1));
        Ok(Directory { path, kept, next, first: next, segment_bytes, total_bytes })
    }

    /// Drops the oldest segments until another full one fits; gives how many, and how many of this run.
    fn make_room(&mut self) -> (u64, u64) {
        let (mut all, mut own) = (0, 0);
        let mut total: u64 = self.kept.iter().map(|(_, bytes)| bytes).sum();
        while total.saturating_add(self.segment_bytes) > self.total_bytes {
            let Some((number, bytes)) = self.kept.pop_front() else { break };
            // One that cannot be removed is no longer ours to count.
            let _ = fs::remove_file(directory::path_of(&self.path, number));
            total -= bytes;
            all += 1;
            own += u64::from(number >= self.first);
        }
        (all, own)
    }

    fn create_next(&mut self) -> io::Result<File> {
        // A name that is taken (by someone else in a shared directory) is passed over, within reason.
        for _ in 0..100 {
            match create(&directory::path_of(&self.path, self.next)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.next = self.next.saturating_add(1);
                }
                result => return result,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// A new file, for its owner only. `create_new` follows no link and takes over nothing that exists.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// An earlier recording, or an empty file, makes way. Anything else stays: `--record` must not be able to
/// destroy what it did not make. Removed rather than emptied, for whoever is reading it.
fn remove_old(path: &Path) -> Result<(), RecordError> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut start = Vec::new();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|error| RecordError::io("read the existing", path, error))?;
    if !start.is_empty() && start != MAGIC {
        return Err(RecordError::NotOurs(path.to_owned()));
    }
    fs::remove_file(path).map_err(|error| RecordError::io("replace", path, error))
}

pub(super) fn lost_frame(frames: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, kind::LOST, &Lost { frames });
    bytes
}

pub(super) fn end_frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, kind::END, &End { more: false });
    bytes
}

/// Frames of a few bytes, which always fit.
fn push(out: &mut Vec<u8>, kind: u8, payload: &impl serde::Serialize) {
    let pushed = format::push_frame(out, kind, payload, MAX_FRAME);
    debug_assert!(pushed.is_ok());
}
