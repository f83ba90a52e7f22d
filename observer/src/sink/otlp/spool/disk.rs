//! Segments and the cursor on disk.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{MAX_DISK, SpoolError, Waiting};
use crate::span::Signal;

/// A segment is closed once it has this many bytes, and deleted once all of it was taken.
const SEGMENT: u64 = 8 << 20;
/// Checksum, length, signal, records.
const HEAD: usize = 4 + 4 + 1 + 4;
/// A longer one is damage.
const MAX_FRAME: usize = 64 << 20;
/// Segment, place in it, checksum.
const CURSOR: usize = 8 + 8 + 4;

/// Where a frame is.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    at: u64,
    len: u32,
    records: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) records: u64,
    pub(super) damaged: u64,
}

pub(super) struct Disk {
    folder: PathBuf,
    cursor: File,
    /// The last segment, and how long it is.
    writing: (u64, File, u64),
    reading: Option<(u64, File)>,
    frames: VecDeque<Place>,
    bytes: u64,
    /// The oldest segment that is still there.
    oldest: u64,
    /// Held as long as this is.
    _lock: File,
}

impl Disk {
    pub(super) fn open(folder: &Path) -> Result<(Self, Found), SpoolError> {
        let failed = |why: io::Error| SpoolError::Folder { path: folder.to_owned(), why };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = open(&folder.join("lock")).map_err(failed)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(SpoolError::Locked { path: folder.to_owned() });
        }
        let segments = segments(folder).map_err(failed)?;
        let cursor = open(&folder.join("cursor")).map_err(failed)?;
        let from = read_cursor(&cursor);
        let last = segments.last().copied().unwrap_or(from.0);
        let file = open(&path(folder, last)).map_err(failed)?;
        let mut disk = Disk {
            folder: folder.to_owned(),
            cursor,
            writing: (last, file, 0),
            reading: None,
            frames: VecDeque::new(),
            bytes: 0,
            oldest: segments.first().copied().unwrap_or(last),
            _lock: lock,
        };
        let found = disk.find(&segments, from).map_err(failed)?;
        disk.keep_place().map_err(failed)?;
        Ok((disk, found))
    }

    /// Walks through what is there, from the cursor on.
    fn find(&mut self, segments: &[u64], from: (u64, u64)) -> io::Result<Found> {
        let mut found = Found::default();
        for segment in segments.iter().copied().filter(|segment| *segment >= from.0) {
            let file = open(&path(&self.folder, segment))?;
            let end = file.metadata()?.len();
            let mut at = if segment == from.0 { from.1.min(end) } else { 0 };
            while let Some(place) = place(&file, segment, at, end) {
                at += (HEAD + place.len as usize) as u64;
                self.add(place);
                found.records += u64::from(place.records);
            }
            if segment == self.writing.0 {
                // The rest was never whole: the run ended as it was written.
                file.set_len(at)?;
                self.writing.2 = at;
            } else if at < end {
                found.damaged += 1;
            }
        }
        Ok(found)
    }

    fn add(&mut self, place: Place) {
        self.bytes += u64::from(place.len) + HEAD as u64;
        self.frames.push_back(place);
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes + (HEAD + bytes) as u64 <= MAX_DISK
    }

    /// Whole, or not at all.
    pub(super) fn push(&mut self, signal: Signal, records: u32, request: &[u8]) -> io::Result<()> {
        if self.writing.2 >= SEGMENT {
            let next = self.writing.0 + 1;
            self.writing = (next, open(&path(&self.folder, next))?, 0);
        }
        let (segment, file, end) = &mut self.writing;
        let len = u32::try_from(request.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut frame = Vec::with_capacity(HEAD + request.len());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&len.to_le_bytes());
        frame.push(signal as u8);
        frame.extend_from_slice(&records.to_le_bytes());
        frame.extend_from_slice(request);
        let checksum = crc32fast::hash(&frame[4..]).to_le_bytes();
        frame[..4].copy_from_slice(&checksum);
        if let Err(why) = file.write_all_at(&frame, *end) {
            // What is left of it would be in the way of the next.
            let _ = file.set_len(*end);
            return Err(why);
        }
        let place = Place { segment: *segment, at: *end, len, records };
        *end += frame.len() as u64;
        self.add(place);
        Ok(())
    }

    /// The frame at this place in the line; if it cannot be read, how many records it held.
    pub(super) fn read(&mut self, index: usize) -> Option<Result<Waiting, u32>> {
        let place = *self.frames.get(index)?;
        Some(self.read_at(place).ok_or(place.records))
    }

    fn read_at(&mut self, place: Place) -> Option<Waiting> {
        if self.reading.as_ref().is_none_or(|(segment, _)| *segment != place.segment) {
            self.reading = Some((place.segment, open(&path(&self.folder, place.segment)).ok()?));
        }
        let (_, file) = self.reading.as_ref()?;
        let mut frame = vec![0; HEAD + place.len as usize];
        file.read_exact_at(&mut frame, place.at).ok()?;
        let (checksum, rest) = frame.split_first_chunk::<4>()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let signal = *Signal::ALL.get(usize::from(frame[8]))?;
        Some(Waiting { signal, records: place.records, request: frame.split_off(HEAD) })
    }

    /// Forgets the first frame, and says how many records it held.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let place = self.frames.pop_front()?;
        self.bytes -= u64::from(place.len) + HEAD as u64;
        Some(place.records)
    }

    /// Writes down where the first frame is, and deletes what is before.
    pub(super) fn keep_place(&mut self) -> io::Result<()> {
        let end = (self.writing.0, self.writing.2);
        let (segment, at) = self.frames.front().map_or(end, |place| (place.segment, place.at));
        let mut cursor = [0; CURSOR];
        cursor[..8].copy_from_slice(&segment.to_le_bytes());
        cursor[8..16].copy_from_slice(&at.to_le_bytes());
        let checksum = crc32fast::hash(&cursor[..16]).to_le_bytes();
        cursor[16..].copy_from_slice(&checksum);
        self.cursor.write_all_at(&cursor, 0)?;
        while self.oldest < segment {
            // It may have been damaged to the point of not being there.
            let _ = fs::remove_file(path(&self.folder, self.oldest));
            self.oldest += 1;
        }
        Ok(())
    }
}

fn path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:016}.segment"))
}

/// To read and to write, for its owner alone: what is received may hold secrets.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Numbers of the segments that are there, in order.
fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(".segment")?.parse().ok());
        segments.extend(number);
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Where to go on; from the first segment on, where that is not known.
fn read_cursor(file: &File) -> (u64, u64) {
    let mut cursor = [0; CURSOR];
    if file.read_exact_at(&mut cursor, 0).is_err() {
        return (0, 0);
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&cursor[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let is_whole = crc32fast::hash(&cursor[..16]).to_le_bytes() == cursor[16..];
    if is_whole { (number(0), number(8)) } else { (0, 0) }
}

/// The frame that begins here, if it is whole. Its checksum is looked at when it is read.
fn place(file: &File, segment: u64, at: u64, end: u64) -> Option<Place> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, at).ok()?;
    let [_, _, _, _, a, b, c, d, signal, e, f, g, h] = head;
    let len = u32::from_le_bytes([a, b, c, d]);
    let is_whole = len as usize <= MAX_FRAME && at + HEAD as u64 + u64::from(len) <= end;
    let is_known = usize::from(signal) < Signal::ALL.len();
    (is_whole && is_known).then_some(Place { segment, at, len, records: u32::from_le_bytes([e, f, g, h]) })
}
