//! Lines, out of writes: a line may come in several, and a write may hold several. Holds the beginnings of lines that
//! are not whole yet, of so many streams and so many bytes at most, and gives away only lines with keywords in them.

use std::collections::BTreeMap;

use observer_ebpf::wire::{
    flag,
    text::{Ended, MAX_COMPONENT_PIECE, Piece, Skipped},
};
use regex::bytes::Regex;

use super::{BadKeyword, Event, Found, Keyword, Line, MAX_LINE, keyword::Keywords, redact::Redactor};
use crate::probes::{
    Malformed, fixed,
    packet::{self, Owner},
};

/// Streams of which the beginning of a line is held; the one that was silent longest goes.
const MAX_STREAMS: usize = 4_096;
/// Bytes of a line that are looked at; the rest up to its end is passed over.
const MAX_HELD: usize = 2_048;
/// Bytes of a line before a keyword that are kept, where not all of it is.
const BEFORE: usize = 64;

/// The process and the object that it writes to, or its descriptor where that is not known.
type Key = (u32, u64, u32);

/// See the module. By default it looks for nothing.
#[derive(Default)]
pub struct Lines {
    wanted: Option<Wanted>,
    open: BTreeMap<Key, Open>,
    /// The open lines by when they were last added to.
    used: BTreeMap<u64, Key>,
    uses: u64,
}

/// The beginning of a line.
struct Open {
    used: u64,
    start: u64,
    fd: u32,
    bytes: Vec<u8>,
}

/// What is looked for, and what is done to a line that holds it.
struct Wanted {
    keywords: Keywords,
    redactor: Redactor,
}

impl Lines {
    /// Looks for these.
    ///
    /// # Errors
    /// [`BadKeyword`]: one of them cannot be looked for.
    pub fn new(keywords: Vec<Keyword>) -> Result<Lines, BadKeyword> {
        let wanted = Wanted { keywords: Keywords::new(keywords)?, redactor: Redactor::default() };
        Ok(Lines { wanted: Some(wanted), ..Lines::default() })
    }

    /// Forgets the beginnings of lines: what comes next need not be their rest.
    pub fn forget(&mut self) {
        self.open.clear();
        self.used.clear();
    }

    /// Takes in one record. Most give [`Event::Ordinary`].
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no record of this version.
    pub fn decode(&mut self, number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
        match number {
            1 => self.piece(bytes),
            2 => fixed::<Skipped>(bytes).map(|(wire, _)| Event::Skipped {
                writer: packet::process(&wire.writer),
                count: wire.skipped,
            }),
            3 => {
                let (wire, _) = fixed::<Ended>(bytes)?;
                Ok(self.ended(wire.writer.start_ns, packet::process(&wire.writer)))
            }
            other => Err(Malformed::Operation(u32::from(other))),
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<Event, Malformed> {
        let (wire, text) = fixed::<Piece>(bytes)?;
        let text = text.get(..wire.len as usize).ok_or(Malformed::Text)?;
        if text.len() > MAX_COMPONENT_PIECE {
            return Err(Malformed::Text);
        }
        let writer = packet::process(&wire.writer);
        let key = (wire.writer.tgid, wire.ino, if wire.ino == 0 { wire.fd } else { 0 });
        let begun = self.close(key).filter(|open| open.start == wire.writer.start_ns);
        if text.is_empty() && wire.header.flags & flag::UNREADABLE != 0 {
            return Ok(Event::Skipped { writer, count: 1 });
        }
        if self.wanted.is_none() {
            return Ok(Event::Ordinary);
        }
        let mut held = begun.map(|open| open.bytes).unwrap_or_default();
        let mut lines = Vec::new();
        let mut parts = text.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            add(&mut held, part);
            self.find(&held, &writer, false, &mut lines);
            held.clear();
        }
        add(&mut held, last);
        if wire.omitted > 0 {
            // Where the line ends was not handed over.
            self.find(&held, &writer, true, &mut lines);
        } else if !held.is_empty() {
            self.hold(key, Open { used: 0, start: wire.writer.start_ns, fd: wire.fd, bytes: held });
        }
        Ok(told(writer, wire.fd, lines))
    }

    /// What a process left without a line's end is a line when it ends.
    fn ended(&mut self, start: u64, writer: Owner) -> Event {
        let keys: Vec<Key> = self
            .open
            .range((writer.tgid, 0, 0)..=(writer.tgid, u64::MAX, u32::MAX))
            .map(|(key, _)| *key)
            .collect();
        let (mut fd, mut lines) = (0, Vec::new());
        for key in keys {
            let Some(open) = self.close(key).filter(|open| open.start == start) else { continue };
            let before = lines.len();
            self.find(&open.bytes, &writer, false, &mut lines);
            if lines.len() > before {
                fd = open.fd;
            }
        }
        told(writer, fd, lines)
    }

    fn hold(&mut self, key: Key, mut open: Open) {
        self.uses += 1;
        open.used = self.uses;
        if self.open.len() >= MAX_STREAMS
            && let Some((_, silent)) = self.used.pop_first()
        {
            self.open.remove(&silent);
        }
        self.used.insert(self.uses, key);
        self.open.insert(key, open);
    }

    fn close(&mut self, key: Key) -> Option<Open> {
        let open = self.open.remove(&key)?;
        self.used.remove(&open.used);
        Some(open)
    }

    fn find(&self, line: &[u8], writer: &Owner, is_cut: bool, lines: &mut Vec<Line>) {
        let Some(wanted) = self.wanted.as_ref().filter(|_| !line.is_empty()) else { return };
        let plain = plain(line);
        let mut redacted = None;
        for (keyword, regex) in wanted.keywords.find(&plain) {
            let redacted = redacted.get_or_insert_with(|| wanted.redactor.redact(&plain));
            let (text, is_shortened) = kept(redacted, regex);
            lines.push(Line {
                keyword: keyword.id.clone(),
                layer: keyword.layer.clone(),
                is_named: keyword.is_of(&writer.comm),
                text,
                is_cut: is_cut || is_shortened || line.len() >= MAX_HELD,
                captures: captures(redacted, regex),
            });
        }
    }
}

fn told(writer: Owner, fd: u32, lines: Vec<Line>) -> Event {
    if lines.is_empty() { Event::Ordinary } else { Event::Found(Found { writer, fd, lines }) }
}

fn add(held: &mut Vec<u8>, part: &[u8]) {
    let room = MAX_HELD.saturating_sub(held.len());
    held.extend_from_slice(&part[..part.len().min(room)]);
}

/// Logs in JSON and logfmt quote what is quoted in the message; a line may end as on a terminal.
fn plain(line: &[u8]) -> Vec<u8> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut plain = Vec::with_capacity(line.len());
    let mut rest = line.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' || rest.peek().is_none_or(|next| !matches!(next, b'"' | b'\\')) {
            plain.push(byte);
        }
    }
    plain
}

/// As much of a line as is kept, with the keyword in it; whether that is not all.
fn kept(line: &[u8], keyword: &Regex) -> (String, bool) {
    let beyond = keyword.find(line).filter(|found| found.end() > MAX_LINE);
    let from = beyond.map_or(0, |found| found.start().saturating_sub(BEFORE));
    let (text, is_cut) = bounded(&line[from..]);
    (text, is_cut || from > 0)
}

/// At most [`MAX_LINE`] bytes of text; whether that is not all.
fn bounded(bytes: &[u8]) -> (String, bool) {
    let mut text = String::from_utf8_lossy(bytes.get(..MAX_LINE).unwrap_or(bytes)).into_owned();
    let is_cut = bytes.len() > MAX_LINE || text.len() > MAX_LINE;
    while text.len() > MAX_LINE {
        text.pop();
    }
    (text, is_cut)
}

/// Of the line without its secrets: none of them is captured. If the keyword went with one, nothing is.
fn captures(line: &[u8], keyword: &Regex) -> Vec<(String, String)> {
    let Some(found) = keyword.captures(line) else { return Vec::new() };
    let group = |name: &str| Some((name.to_owned(), bounded(found.name(name)?.as_bytes()).0));
    keyword.capture_names().flatten().filter_map(group).collect()
}

#[cfg(test)]
mod tests;
