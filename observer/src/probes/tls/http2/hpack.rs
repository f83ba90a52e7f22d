//! Headers of HTTP/2 (RFC 7541), on connections that may be older than the observer: what is referred to and was said
//! before is counted as not resolved, and never guessed. Keeps the values of the few headers that tell a webhook call,
//! and of all others no more than their sizes.

mod huffman;

use std::collections::VecDeque;

/// Bytes of a value that are kept.
const MAX_VALUE: usize = 1_024;
/// The largest table that is kept; of a larger one the oldest entries are forgotten early, and not resolved then.
const MAX_TABLE: usize = 65_536;
/// What both sides begin with.
const DEFAULT_TABLE: usize = 4_096;
/// What an entry counts besides its bytes.
const OVERHEAD: usize = 32;

/// Headers that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Authority,
    Method,
    Path,
    Status,
    ContentEncoding,
    ContentLength,
    Host,
    UserAgent,
    Traceparent,
}

/// What a block of headers says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Those that are looked at, in order.
    pub fields: Vec<(Name, Vec<u8>)>,
    /// Fields that refer to what was said before the observer listened.
    pub unresolved: usize,
}

/// It is no block of headers, or not on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What is known of a header's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    One(Name),
    /// Not looked at.
    Other,
    /// It was said before the observer listened.
    Unknown,
}

/// An entry of the table that encoder and decoder share.
#[derive(Clone, Debug)]
struct Entry {
    which: Which,
    value: Vec<u8>,
    /// What it counts, at least: the length of a name that is referred to is taken for 0. Who keeps an entry for too long
    /// does no harm: nobody refers to what is gone.
    size: usize,
}

/// One way of a connection.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The youngest first.
    table: VecDeque<Entry>,
    size: usize,
    max: usize,
    /// There may be older entries than those known.
    late: bool,
}

/// Of a connection from its beginning on.
impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { table: VecDeque::new(), size: 0, max: DEFAULT_TABLE, late: false }
    }
}

impl Decoder {
    /// Something was missed: what was said so far can be referred to no more, as it is not known how far back it is.
    pub fn forget(&mut self) {
        self.table.clear();
        (self.size, self.late) = (0, true);
        // It may have been made larger meanwhile. Keeping too much does no harm, see `Entry::size`.
        self.max = MAX_TABLE;
    }

    /// Takes in a block.
    ///
    /// # Errors
    /// [`Broken`]; the rest of the connection can then be read only as one that is joined late.
    pub fn block(&mut self, bytes: &[u8]) -> Result<Block, Broken> {
        let mut block = Block::default();
        let mut rest = bytes;
        while let Some(first) = rest.first().copied() {
            if self.field(first, &mut rest, &mut block).is_none() {
                self.forget();
                return Err(Broken);
            }
        }
        Ok(block)
    }

    fn field(&mut self, first: u8, rest: &mut &[u8], block: &mut Block) -> Option<()> {
        if first & 0x80 != 0 {
            let index = integer(rest, 7)?;
            match self.entry(index)? {
                (Which::One(name), value) => block.fields.push((name, value)),
                (Which::Other, _) => {}
                (Which::Unknown, _) => block.unresolved += 1,
            }
            return Some(());
        }
        if first & 0xe0 == 0x20 {
            self.max = integer(rest, 5)?.min(MAX_TABLE);
            self.evict(0);
            return Some(());
        }
        let is_kept = first & 0x40 != 0;
        let index = integer(rest, if is_kept { 6 } else { 4 })?;
        // The length of a name that is referred to is not looked up: see `Entry::size`.
        let (which, name_len) = if index == 0 {
            let name = text(rest)?;
            (named(&name.kept), name.len)
        } else {
            (self.entry(index)?.0, 0)
        };
        let value = text(rest)?;
        let kept = if matches!(which, Which::One(_)) { value.kept } else { Vec::new() };
        match which {
            Which::One(name) => block.fields.push((name, kept.clone())),
            Which::Other => {}
            Which::Unknown => block.unresolved += 1,
        }
        if is_kept {
            self.insert(Entry { which, value: kept, size: name_len + value.len + OVERHEAD });
        }
        Some(())
    }

    /// `None`: there is no such entry.
    fn entry(&self, index: usize) -> Option<(Which, Vec<u8>)> {
        if let Some((which, value)) = fixed(index) {
            return Some((which, value.as_bytes().to_vec()));
        }
        match self.table.get(index.checked_sub(FIXED + 1)?) {
            Some(entry) => Some((entry.which, entry.value.clone())),
            None => self.late.then_some((Which::Unknown, Vec::new())),
        }
    }

    fn insert(&mut self, entry: Entry) {
        self.evict(entry.size);
        if entry.size <= self.max {
            self.size += entry.size;
            self.table.push_front(entry);
        }
    }

    /// Makes room for an entry.
    fn evict(&mut self, size: usize) {
        while self.size + size > self.max
            && let Some(oldest) = self.table.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

/// Entries of the table that everybody has.
const FIXED: usize = 61;

/// `None`: not in that table, or index 0, which is nothing.
fn fixed(index: usize) -> Option<(Which, &'static str)> {
    let one = |name, value| Some((Which::One(name), value));
    match index {
        1 => one(Name::Authority, ""),
        2 => one(Name::Method, "GET"),
        3 => one(Name::Method, "POST"),
        4 => one(Name::Path, "/"),
        5 => one(Name::Path, "/index.html"),
        8 => one(Name::Status, "200"),
        9 => one(Name::Status, "204"),
        10 => one(Name::Status, "206"),
        11 => one(Name::Status, "304"),
        12 => one(Name::Status, "400"),
        13 => one(Name::Status, "404"),
        14 => one(Name::Status, "500"),
        26 => one(Name::ContentEncoding, ""),
        28 => one(Name::ContentLength, ""),
        38 => one(Name::Host, ""),
        58 => one(Name::UserAgent, ""),
        0 => None,
        other => (other <= FIXED).then_some((Which::Other, "")),
    }
}

fn named(name: &[u8]) -> Which {
    Which::One(match name {
        b":authority" => Name::Authority,
        b":method" => Name::Method,
        b":path" => Name::Path,
        b":status" => Name::Status,
        b"content-encoding" => Name::ContentEncoding,
        b"content-length" => Name::ContentLength,
        b"host" => Name::Host,
        b"user-agent" => Name::UserAgent,
        b"traceparent" => Name::Traceparent,
        _ => return Which::Other,
    })
}

/// A number whose first bits are the last `bits` of the first byte.
fn integer(rest: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value < most {
        return Some(value);
    }
    for shift in [0, 7, 14, 21] {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A text as far as it is kept, and how long it is.
struct Text {
    kept: Vec<u8>,
    len: usize,
}

fn text(rest: &mut &[u8]) -> Option<Text> {
    let is_packed = rest.first()? & 0x80 != 0;
    let len = integer(rest, 7)?;
    let (bytes, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    let mut text = Text { kept: Vec::new(), len: 0 };
    let mut push = |byte| {
        text.len += 1;
        if text.kept.len() < MAX_VALUE {
            text.kept.push(byte);
        }
    };
    if is_packed {
        huffman::unpack(bytes, push)?;
    } else {
        bytes.iter().copied().for_each(&mut push);
    }
    Some(text)
}

#[cfg(test)]
mod tests;
