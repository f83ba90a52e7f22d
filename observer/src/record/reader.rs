//! A recording read back, from a file or a directory of segments, an input at a time.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{
    RecordError, directory,
    format::SegmentHeader,
    stream::{Item, SegmentReader, Stop},
};
use crate::{input::Input, time::Time};

const BUFFER: usize = 256 << 10;

/// How a file of a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With its last frame.
    Complete,
    /// Before it: it was cut here, or is still being written.
    Cut { at_byte: u64 },
    /// What is at this place cannot be right; nothing behind it in this file was read.
    Damaged { at_byte: u64, why: String },
}

/// A file of the recording that was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    pub ended: Ended,
}

/// What was read, and what was not. Final once the reader has no further input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    pub inputs: u64,
    pub segments: u64,
    /// Inputs that the writer could not write.
    pub lost: u64,
    /// Frames of kinds that a newer observer may know.
    pub unknown_frames: u64,
    /// Frames of a known kind that this version cannot read, and why the first could not be.
    pub undecoded_frames: u64,
    pub first_undecoded: Option<String>,
    /// Segments that should be there but are not.
    pub missing_segments: u64,
    /// Segments in the directory that are of other runs than its last: open them by their own paths.
    pub other_segments: u64,
    /// Segments of this run that were not read, as they were not asked for.
    pub skipped_segments: u64,
    pub damages: Vec<Damage>,
    /// How the last file ended.
    pub ended: Option<Ended>,
}

type FileReader = SegmentReader<BufReader<File>>;

/// Yields a recording's inputs in the order in which they were written.
///
/// The checkpoint of the first segment is part of them. Those of later segments repeat what was already
/// yielded and are left out, except for what began in a part that could not be read.
pub struct RecordingReader {
    first: SegmentHeader,
    path: PathBuf,
    current: Option<FileReader>,
    /// Files still to be read.
    files: VecDeque<PathBuf>,
    next_number: u64,
    /// Whether the segment's last frame was seen, and what it says.
    end: Option<bool>,
    latest: Time,
    /// Something after this time could not be read.
    gap: Option<Time>,
    report: ReadReport,
}

impl RecordingReader {
    /// Opens a recording: a file, or a directory, of which the last run's segments are read.
    ///
    /// # Errors
    /// When there is nothing that could be replayed. Devices and pipes are refused, not waited for.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let metadata = fs::metadata(path).map_err(|error| RecordError::io("read", path, error))?;
        let (files, other_segments) =
            if metadata.is_dir() { last_run(path)? } else { (VecDeque::from([path.to_owned()]), 0) };
        let mut files = files;
        let path = files.pop_front().ok_or_else(|| RecordError::NoSegments(path.to_owned()))?;
        let (current, first) = open_segment(&path)?;
        let report = ReadReport { segments: 1, other_segments, ..ReadReport::default() };
        Ok(RecordingReader {
            path,
            current: Some(current),
            files,
            next_number: first.number.saturating_add(1),
            first,
            end: None,
            latest: Time(0),
            gap: None,
            report,
        })
    }

    /// The last part of a recording: where it begins is the time that is given with it. Of a directory only the
    /// segments from there on are read; the checkpoint of the first of them says how things were.
    ///
    /// # Errors
    /// As [`RecordingReader::open`].
    pub fn open_last(path: &Path, ns: u64) -> Result<(Self, Time), RecordError> {
        let mut reader = RecordingReader::open(path)?;
        let last = reader.files.back().unwrap_or(&reader.path);
        let mut last = RecordingReader::open(last)?;
        let latest = (&mut last).map(|input| input.time()).max().unwrap_or(last.first.begins);
        let from = Time(latest.0.saturating_sub(ns));
        // One that cannot be read is damage, told when it is reached.
        let begins = |path: &PathBuf| open_segment(path).is_ok_and(|(_, header)| header.begins <= from);
        if let Some(at) = reader.files.iter().rposition(begins) {
            let skipped = reader.files.drain(..at).count();
            let path = reader.files.pop_front().unwrap_or_default();
            let (current, first) = open_segment(&path)?;
            reader.next_number = first.number.saturating_add(1);
            reader.report.skipped_segments = skipped as u64 + 1;
            (reader.path, reader.current, reader.first) = (path, Some(current), first);
        }
        Ok((reader, from))
    }

    /// The header of the first segment that is there.
    pub fn header(&self) -> &SegmentHeader {
        &self.first
    }

    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    fn next_input(&mut self) -> Option<Input> {
        loop {
            match self.current.as_mut()?.read() {
                Ok(Item::Input(input)) => {
                    self.gap = None;
                    return Some(self.yielded(input));
                }
                Ok(Item::Checkpoint(input)) => {
                    let unseen = self.gap.is_some_and(|gap| input.time() > gap);
                    if self.report.segments == 1 || unseen {
                        return Some(self.yielded(input));
                    }
                }
                Ok(Item::Segment(header)) => self.segment(&header),
                Ok(Item::Lost(frames)) => self.report.lost = self.report.lost.saturating_add(frames),
                Ok(Item::End { more }) => self.end = Some(more),
                Ok(Item::Unknown(_)) => self.report.unknown_frames += 1,
                Ok(Item::Undecoded(why)) => {
                    self.report.undecoded_frames += 1;
                    self.report.first_undecoded.get_or_insert(why);
                }
                Err(stop) => self.file_ended(stop),
            }
        }
    }

    fn yielded(&mut self, input: Input) -> Input {
        self.latest = self.latest.max(input.time());
        self.report.inputs += 1;
        input
    }

    fn segment(&mut self, header: &SegmentHeader) {
        let missing = header.number.saturating_sub(self.next_number);
        if missing > 0 {
            self.report.missing_segments = self.report.missing_segments.saturating_add(missing);
            self.gap.get_or_insert(self.latest);
        }
        self.next_number = header.number.saturating_add(1);
        self.report.segments += 1;
        self.end = None;
    }

    fn file_ended(&mut self, stop: Stop) {
        let at_byte = self.current.as_ref().map_or(0, SegmentReader::at_byte);
        let last = self.files.is_empty();
        let ended = match (stop, self.end) {
            (Stop::Boundary, Some(more)) if more != last => Ended::Complete,
            (Stop::Boundary | Stop::Cut, _) => Ended::Cut { at_byte },
            (stop, _) => Ended::Damaged { at_byte, why: explain(stop) },
        };
        self.close(ended);
        self.open_next();
    }

    fn close(&mut self, ended: Ended) {
        if ended != Ended::Complete {
            self.report.damages.push(Damage { path: self.path.clone(), ended: ended.clone() });
            self.gap.get_or_insert(self.latest);
        }
        self.report.ended = Some(ended);
        self.current = None;
    }

    fn open_next(&mut self) {
        while let Some(path) = self.files.pop_front() {
            self.path = path;
            match open_segment(&self.path) {
                Ok((reader, header)) => {
                    self.segment(&header);
                    self.current = Some(reader);
                    return;
                }
                // Dropped by the writer meanwhile; the next segment's number tells.
                Err(RecordError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.close(Ended::Damaged { at_byte: 0, why: error.to_string() }),
            }
        }
    }
}

impl Iterator for RecordingReader {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        self.next_input()
    }
}

fn explain(stop: Stop) -> String {
    match stop {
        Stop::Boundary | Stop::Cut => "it ends here".to_owned(),
        Stop::NotARecording => "no segment begins here".to_owned(),
        Stop::Version(found) => format!("a segment of format {found} begins here"),
        Stop::Damaged(why) => why,
        Stop::Io(error) => format!("cannot be read: {error}"),
    }
}

/// The segments of the newest run in a directory, and how many others there are.
fn last_run(path: &Path) -> Result<(VecDeque<PathBuf>, u64), RecordError> {
    let all = directory::list(path).map_err(|error| RecordError::io("list", path, error))?;
    let mut run = None;
    let mut first = all.len();
    let mut failure = RecordError::NoSegments(path.to_owned());
    for (index, segment) in all.iter().enumerate().rev() {
        match open_segment(&segment.path) {
            Ok((_, header)) if run.is_none_or(|run| run == header.run) => {
                run = Some(header.run);
                first = index;
            }
            Ok(_) => break,
            // Within a run it is damage, reported when it is reached.
            Err(error) => failure = error,
        }
    }
    if run.is_none() {
        return Err(failure);
    }
    Ok((all.into_iter().skip(first).map(|segment| segment.path).collect(), first as u64))
}

fn open_segment(path: &Path) -> Result<(FileReader, SegmentHeader), RecordError> {
    let mut reader = SegmentReader::new(BufReader::with_capacity(BUFFER, open_regular(path)?));
    let path = path.to_owned();
    match reader.read() {
        Ok(Item::Segment(header)) => Ok((reader, *header)),
        Ok(_) | Err(Stop::NotARecording) => Err(RecordError::NotARecording(path)),
        Err(Stop::Boundary) => Err(RecordError::Empty(path)),
        Err(Stop::Cut) => {
            let at_byte = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            Err(RecordError::HeaderCut { path, at_byte })
        }
        Err(Stop::Version(found)) => Err(RecordError::Version { path, found }),
        Err(Stop::Damaged(why)) => Err(RecordError::HeaderDamaged { path, why }),
        Err(Stop::Io(error)) => Err(RecordError::io("read", path, error)),
    }
}

/// Opens without waiting, whatever it is, and keeps only a regular file.
fn open_regular(path: &Path) -> Result<File, RecordError> {
    let is_file = |metadata: fs::Metadata| {
        if metadata.is_file() { Ok(()) } else { Err(RecordError::NotRegular(path.to_owned())) }
    };
    let failed = |error| RecordError::io("open", path, error);
    // Looked at before it is opened, as opening a device can have effects; and after, as it may have changed.
    is_file(fs::metadata(path).map_err(failed)?)?;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(failed)?;
    is_file(file.metadata().map_err(failed)?)?;
    Ok(file)
}
