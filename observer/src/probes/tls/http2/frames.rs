//! Frames of one way of a connection (RFC 9113, section 4): put together from what passes, followed from header to
//! header. Blocks of headers are understood here, since each depends on those before it.

use super::hpack::{Block, Decoder};
use crate::time::Time;

/// Kinds of frames that are looked at.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;
/// Kinds beyond that nobody has defined.
const LAST: u8 = 0x10;
/// Bytes of a frame that are kept: of a block of headers, also in several frames, and of a body.
const MAX_BLOCK: usize = 16 << 10;
const MAX_DATA: usize = 4_352;
/// A longer frame has to be allowed first, and hardly anybody does.
const LONGEST: usize = 1 << 20;

/// A stretch of what passed one way.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    pub bytes: &'a [u8],
    /// Bytes that passed this way before it.
    pub at: u32,
    /// Bytes behind it that were not handed over.
    pub omitted: u32,
    /// It is the beginning of what was passed to the library at once.
    pub begins: bool,
    pub time: Time,
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
    /// Of its payload something is missing.
    pub is_cut: bool,
    /// When its first byte passed.
    pub began: Time,
    /// Of headers, with all that continues them; `None`: they cannot be read.
    pub block: Option<Block>,
}

impl Frame {
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & END_STREAM != 0
    }

    pub fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// The payload without what fills it up and what is said of priorities.
    fn content(&self) -> Option<&[u8]> {
        let mut content = &self.payload[..];
        if self.flags & PADDED != 0 && matches!(self.kind, kind::DATA | kind::HEADERS | kind::PUSH_PROMISE) {
            let (padding, behind) = content.split_first()?;
            // Of a cut payload the end is not there anyway.
            let end =
                if self.is_cut { behind.len() } else { behind.len().checked_sub(usize::from(*padding))? };
            content = &behind[..end];
        }
        match self.kind {
            kind::HEADERS if self.flags & PRIORITY != 0 => content.get(5..),
            kind::PUSH_PROMISE => content.get(4..),
            _ => Some(content),
        }
    }

    pub fn body(&self) -> &[u8] {
        self.content().unwrap_or_default()
    }
}

enum Stage {
    /// Where a frame begins is not known.
    Lost,
    /// What the client says first; so much of it was there.
    Preface(usize),
    Head {
        bytes: Vec<u8>,
        began: Time,
    },
    Payload {
        frame: Frame,
        left: usize,
    },
}

/// One way of a connection.
pub struct Way {
    stage: Stage,
    /// Bytes that have passed.
    at: u32,
    headers: Decoder,
    /// Headers that are to be continued.
    open: Option<Frame>,
}

impl Way {
    pub fn new(from_beginning: bool, of_client: bool) -> Way {
        let mut headers = Decoder::default();
        if !from_beginning {
            headers.forget();
        }
        let stage = match (from_beginning, of_client) {
            (false, _) => Stage::Lost,
            (true, true) => Stage::Preface(0),
            (true, false) => between(),
        };
        Way { stage, at: 0, headers, open: None }
    }

    pub fn is_lost(&self) -> bool {
        matches!(self.stage, Stage::Lost)
    }

    /// The frames that are whole by it, and whether something of them was missed since the last time.
    pub fn take(&mut self, stretch: &Stretch) -> (Vec<Frame>, bool) {
        let was_lost = self.is_lost();
        let mut frames = Vec::new();
        let gap = stretch.at.wrapping_sub(self.at);
        self.at = stretch.at.wrapping_add(stretch.bytes.len() as u32).wrapping_add(stretch.omitted);
        self.skip(gap as usize, &mut frames);
        // Where it was lost before it listens again, something was missed as well.
        let missed = self.is_lost() && !was_lost;
        if self.is_lost() && stretch.begins && begins_frame(stretch.bytes) {
            self.stage = between();
        }
        self.read(stretch.bytes, stretch.time, &mut frames);
        self.skip(stretch.omitted as usize, &mut frames);
        (frames, missed || (self.is_lost() && !was_lost))
    }

    fn read(&mut self, mut rest: &[u8], time: Time, frames: &mut Vec<Frame>) {
        while !rest.is_empty() {
            match &mut self.stage {
                Stage::Lost => return,
                Stage::Preface(seen) => {
                    let len = rest.len().min(PREFACE.len() - *seen);
                    if rest[..len] != PREFACE[*seen..*seen + len] {
                        return self.lose();
                    }
                    *seen += len;
                    rest = &rest[len..];
                    if *seen == PREFACE.len() {
                        self.stage = between();
                    }
                }
                Stage::Head { bytes, began } => {
                    if bytes.is_empty() {
                        *began = time;
                    }
                    let len = rest.len().min(HEAD - bytes.len());
                    bytes.extend_from_slice(&rest[..len]);
                    rest = &rest[len..];
                    if bytes.len() == HEAD {
                        let Some((frame, left)) = head(bytes, *began) else { return self.lose() };
                        self.stage = Stage::Payload { frame, left };
                        self.ended(frames);
                    }
                }
                Stage::Payload { frame, left } => {
                    let len = rest.len().min(*left);
                    let room = kept(frame.kind).saturating_sub(frame.payload.len());
                    frame.payload.extend_from_slice(&rest[..len.min(room)]);
                    frame.is_cut |= len > room;
                    *left -= len;
                    rest = &rest[len..];
                    self.ended(frames);
                }
            }
        }
    }

    /// Bytes have passed unseen.
    fn skip(&mut self, len: usize, frames: &mut Vec<Frame>) {
        if len == 0 {
            return;
        }
        match &mut self.stage {
            Stage::Payload { frame, left } if *left >= len => {
                *left -= len;
                frame.is_cut = true;
                self.ended(frames);
            }
            _ => self.lose(),
        }
    }

    fn lose(&mut self) {
        self.stage = Stage::Lost;
        self.headers.forget();
        self.open = None;
    }

    /// Hands over the frame if nothing of it is to come.
    fn ended(&mut self, frames: &mut Vec<Frame>) {
        if !matches!(self.stage, Stage::Payload { left: 0, .. }) {
            return;
        }
        let Stage::Payload { frame, .. } = std::mem::replace(&mut self.stage, between()) else { return };
        let frame = match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE => frame,
            kind::CONTINUATION => match self.open.take() {
                Some(open) if open.stream == frame.stream => joined(open, &frame),
                _ => return self.lose(),
            },
            _ if self.open.is_some() => return self.lose(),
            _ => return frames.push(frame),
        };
        if frame.flags & END_HEADERS == 0 {
            self.open = Some(frame);
            return;
        }
        let block = match frame.content() {
            Some(content) if !frame.is_cut => self.headers.block(content).ok(),
            _ => None,
        };
        if block.is_none() {
            self.headers.forget();
        }
        if frame.kind == kind::HEADERS {
            frames.push(Frame { block, ..frame });
        }
    }
}

/// A frame of headers with what continues it, as one.
fn joined(mut open: Frame, more: &Frame) -> Frame {
    // What fills it up is between them.
    let content = open.content().map(<[u8]>::to_vec);
    open.is_cut |= more.is_cut || content.is_none();
    open.payload = content.unwrap_or_default();
    if open.kind == kind::PUSH_PROMISE {
        open.payload.splice(..0, [0; 4]);
    }
    if open.payload.len() + more.payload.len() <= MAX_BLOCK {
        open.payload.extend_from_slice(&more.payload);
    } else {
        open.is_cut = true;
    }
    open.flags = open.flags & !(PADDED | PRIORITY) | more.flags & END_HEADERS;
    open
}

fn between() -> Stage {
    Stage::Head { bytes: Vec::with_capacity(HEAD), began: Time(0) }
}

fn kept(of: u8) -> usize {
    match of {
        kind::DATA => MAX_DATA,
        kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => MAX_BLOCK,
        kind::RST_STREAM | kind::GOAWAY => 8,
        _ => 0,
    }
}

/// What a header says: the frame, and how long its payload is. `None`: it is none.
fn head(bytes: &[u8], began: Time) -> Option<(Frame, usize)> {
    let &[a, b, c, kind, flags, s1, s2, s3, s4] = bytes else { return None };
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    let stream = u32::from_be_bytes([s1, s2, s3, s4]) & !(1 << 31);
    let is_one = len <= LONGEST
        && match kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => stream != 0,
            kind::RST_STREAM => stream != 0 && len == 4,
            kind::SETTINGS => stream == 0 && len.is_multiple_of(6),
            kind::PUSH_PROMISE => stream != 0 && len >= 4,
            kind::PING => stream == 0 && len == 8,
            kind::GOAWAY => stream == 0 && len >= 8,
            kind::WINDOW_UPDATE => len == 4,
            // Kinds that are not known are to be passed over.
            _ => kind <= LAST,
        };
    let frame = Frame { kind, flags, stream, payload: Vec::new(), is_cut: false, began, block: None };
    is_one.then_some((frame, len))
}

/// Whether bytes look like the beginning of a frame, of whose connection nothing is known.
fn begins_frame(bytes: &[u8]) -> bool {
    let Some(first) = bytes.get(..HEAD) else { return false };
    let is_known = first[3] <= kind::CONTINUATION && first[0] == 0 && first[5] & 0x80 == 0;
    is_known && head(first, Time(0)).is_some()
}
