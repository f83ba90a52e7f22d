//! Frames out of bytes from anywhere. Knows no files; memory is bounded by the largest frame.

use std::io::{self, Read};

use super::format::{
    End, FRAME_HEADER_LEN, Lost, MAGIC, MAX_FRAME, MAX_HEADER, PREAMBLE_LEN, SegmentHeader, VERSION,
    checksum, kind,
};
use crate::input::Input;

/// One thing read.
#[derive(Debug, PartialEq)]
pub enum Item {
    Segment(Box<SegmentHeader>),
    /// Still open when the segment began.
    Checkpoint(Input),
    Input(Input),
    /// So many inputs are missing here.
    Lost(u64),
    /// The segment is complete; whether another follows.
    End {
        more: bool,
    },
    /// An intact frame of a kind that this version does not know.
    Unknown(u8),
    /// An intact frame whose payload this version cannot read.
    Undecoded(String),
}

/// Why there is no further item.
#[derive(Debug)]
pub(super) enum Stop {
    /// The bytes end between two frames.
    Boundary,
    /// The bytes end within something.
    Cut,
    NotARecording,
    Version(u16),
    Damaged(String),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Stop::Cut } else { Stop::Io(error) }
    }
}

/// Reads the segments of one stream of bytes, usually a buffered file.
pub struct SegmentReader<R> {
    bytes: R,
    /// Bytes of all complete items so far: where the next one begins.
    at: u64,
    payload: Vec<u8>,
}

impl<R: Read> SegmentReader<R> {
    pub fn new(bytes: R) -> Self {
        SegmentReader { bytes, at: 0, payload: Vec::new() }
    }

    /// Where the next item begins, in bytes; after the last one: where the damage or the end is.
    pub fn at_byte(&self) -> u64 {
        self.at
    }

    /// The next item, or `None` at the end of what can be read.
    pub fn next_item(&mut self) -> Option<Item> {
        self.read().ok()
    }

    pub(super) fn read(&mut self) -> Result<Item, Stop> {
        let mut first = [0];
        if self.read_up_to(&mut first)? == 0 {
            return Err(Stop::Boundary);
        }
        if first[0] == MAGIC[0] {
            return self.segment();
        }
        if self.at == 0 {
            return Err(Stop::NotARecording);
        }
        if first[0] == kind::HEADER {
            return Err(Stop::Damaged("a header without the begin of a segment".to_owned()));
        }
        let (len, item) = self.frame(first[0], MAX_FRAME)?;
        self.at += len;
        Ok(item)
    }

    fn segment(&mut self) -> Result<Item, Stop> {
        let mut rest = [0; PREAMBLE_LEN - 1];
        let got = self.read_up_to(&mut rest)?;
        let magic = &rest[..got.min(MAGIC.len() - 1)];
        if *magic != MAGIC[1..=magic.len()] {
            let why = || Stop::Damaged("neither a frame nor a segment begins here".to_owned());
            return Err(if self.at == 0 { Stop::NotARecording } else { why() });
        }
        let [.., low, high] = rest;
        if got < rest.len() {
            return Err(Stop::Cut);
        }
        let version = u16::from_le_bytes([low, high]);
        if version != VERSION {
            return Err(Stop::Version(version));
        }
        let mut first = [0];
        self.bytes.read_exact(&mut first)?;
        if first[0] != kind::HEADER {
            return Err(Stop::Damaged("its first frame is not a header".to_owned()));
        }
        let (len, item) = self.frame(first[0], MAX_HEADER)?;
        if let Item::Undecoded(why) = item {
            return Err(Stop::Damaged(why));
        }
        self.at += PREAMBLE_LEN as u64 + len;
        Ok(item)
    }

    /// The rest of a frame whose kind was read, and its length on disk.
    fn frame(&mut self, kind: u8, limit: usize) -> Result<(u64, Item), Stop> {
        let mut head = [0; FRAME_HEADER_LEN - 1];
        self.bytes.read_exact(&mut head)?;
        let [a, b, c, d, e, f, g, h] = head;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let expected = u32::from_le_bytes([e, f, g, h]);
        if len > limit {
            return Err(Stop::Damaged(format!("a frame of {len} bytes, longer than any")));
        }
        self.payload.clear();
        // Grows with what is there, not with what the length promises.
        let got = self.bytes.by_ref().take(len as u64).read_to_end(&mut self.payload)?;
        if got < len {
            return Err(Stop::Cut);
        }
        // A fuzzer cannot guess checksums; what lies behind them is what it is to find faults in.
        if !cfg!(fuzzing) && checksum(kind, &self.payload) != expected {
            return Err(Stop::Damaged("a checksum does not match".to_owned()));
        }
        let item = item(kind, &self.payload).unwrap_or_else(|error| Item::Undecoded(error.to_string()));
        Ok(((FRAME_HEADER_LEN + len) as u64, item))
    }

    /// Fills `buffer` as far as there are bytes.
    fn read_up_to(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.bytes.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

fn item(kind: u8, payload: &[u8]) -> Result<Item, rmp_serde::decode::Error> {
    Ok(match kind {
        kind::HEADER => Item::Segment(Box::new(rmp_serde::from_slice(payload)?)),
        kind::CHECKPOINT => Item::Checkpoint(rmp_serde::from_slice(payload)?),
        kind::INPUT => Item::Input(rmp_serde::from_slice(payload)?),
        kind::LOST => Item::Lost(rmp_serde::from_slice::<Lost>(payload)?.frames),
        kind::END => Item::End { more: rmp_serde::from_slice::<End>(payload)?.more },
        other => Item::Unknown(other),
    })
}
