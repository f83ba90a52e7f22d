//! A message of the domain name system, as far as it is there: what was asked, and what kind of answer came. No
//! address and no other content of an answer is kept.
//!
//! By hand, because messages are cut: a library reads the whole or nothing. One is the oracle in the tests.

use serde::{Deserialize, Serialize};

/// What is kept of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: u16,
    pub is_reply: bool,
    /// 0 is a query; others are not followed.
    pub opcode: u8,
    /// As in the header, without what EDNS adds.
    pub rcode: u8,
    /// The rest is to be asked for by TCP.
    pub is_truncated: bool,
    /// The first one; nobody asks more.
    pub question: Option<Question>,
    /// Answers there are, by the header.
    pub answers: u16,
    /// How many of them are of the type that was asked for; `None`: not all of them could be read.
    pub matching: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// As master files write names: labels and dots, `\DDD` for what is no printable character.
    pub name: String,
    pub qtype: RecordType,
}

/// What is asked for, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordType(pub u16);

impl RecordType {
    pub const A: RecordType = RecordType(1);
    pub const AAAA: RecordType = RecordType(28);
    pub const SVCB: RecordType = RecordType(64);
    pub const HTTPS: RecordType = RecordType(65);
    const ANY: RecordType = RecordType(255);

    /// `TYPE` and the number for those without a name here, as RFC 3597 writes them.
    pub fn name(self) -> String {
        let name = match self.0 {
            1 => "A",
            2 => "NS",
            5 => "CNAME",
            6 => "SOA",
            12 => "PTR",
            15 => "MX",
            16 => "TXT",
            28 => "AAAA",
            33 => "SRV",
            35 => "NAPTR",
            43 => "DS",
            46 => "RRSIG",
            48 => "DNSKEY",
            64 => "SVCB",
            65 => "HTTPS",
            255 => "ANY",
            257 => "CAA",
            other => return format!("TYPE{other}"),
        };
        name.to_owned()
    }
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    #[error("shorter than a header")]
    Short,
    #[error("a name that is none")]
    Name,
}

const HEADER: usize = 12;
/// Bytes of a name on the wire (RFC 1035, 3.1).
const MAX_NAME: usize = 255;
/// Pointers followed in one name: each has to point further back.
const MAX_POINTERS: usize = 64;

/// A message, of which the end may be missing.
///
/// # Errors
/// [`NotAMessage`] if not even what was asked can be told.
pub fn parse(bytes: &[u8]) -> Result<Message, NotAMessage> {
    let header = bytes.get(..HEADER).ok_or(NotAMessage::Short)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = word(2);
    let (questions, answers) = (word(4), word(6));
    let mut at = HEADER;
    let question = if questions == 0 {
        None
    } else {
        let (name, end) = name(bytes, at)?;
        let qtype = be16(bytes, end).ok_or(NotAMessage::Short)?;
        at = end + 4;
        Some(Question { name, qtype: RecordType(qtype) })
    };
    let matching = question
        .as_ref()
        .filter(|_| questions == 1)
        .and_then(|question| matching(bytes, at, answers, question.qtype));
    Ok(Message {
        id: word(0),
        is_reply: flags >> 15 != 0,
        opcode: (flags >> 11) as u8 & 0xf,
        rcode: flags as u8 & 0xf,
        is_truncated: flags >> 9 & 1 != 0,
        question,
        answers,
        matching,
    })
}

/// How many of the answers are of this type; `None` if one cannot be read.
fn matching(bytes: &[u8], mut at: usize, answers: u16, qtype: RecordType) -> Option<u16> {
    let mut found = 0;
    for _ in 0..answers {
        at = skip_name(bytes, at)?;
        let kind = be16(bytes, at)?;
        // Type, class, time to live; then the length of what follows.
        let len = be16(bytes, at + 8)?;
        at += 10 + usize::from(len);
        if at > bytes.len() {
            return None;
        }
        found += u16::from(kind == qtype.0 || qtype == RecordType::ANY);
    }
    Some(found)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let word = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([word[0], word[1]]))
}

/// Past a name, whatever it says.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let len = usize::from(*bytes.get(at)?);
        match len >> 6 {
            0 if len == 0 => return Some(at + 1),
            0 => at += 1 + len,
            3 => return Some(at + 2),
            _ => return None,
        }
    }
}

/// A name, and where what follows it begins.
fn name(bytes: &[u8], start: usize) -> Result<(String, usize), NotAMessage> {
    let mut text = String::new();
    let (mut at, mut end, mut wire, mut pointers) = (start, None, 0, 0);
    loop {
        let len = usize::from(*bytes.get(at).ok_or(NotAMessage::Name)?);
        match len >> 6 {
            0 if len == 0 => break,
            0 => {
                let label = bytes.get(at + 1..at + 1 + len).ok_or(NotAMessage::Name)?;
                wire += 1 + len;
                if wire >= MAX_NAME {
                    return Err(NotAMessage::Name);
                }
                if !text.is_empty() {
                    text.push('.');
                }
                write_label(label, &mut text);
                at += 1 + len;
            }
            3 => {
                let low = usize::from(*bytes.get(at + 1).ok_or(NotAMessage::Name)?);
                let target = (len & 0x3f) << 8 | low;
                end.get_or_insert(at + 2);
                pointers += 1;
                if target >= at || pointers > MAX_POINTERS {
                    return Err(NotAMessage::Name);
                }
                at = target;
            }
            _ => return Err(NotAMessage::Name),
        }
    }
    if text.is_empty() {
        text.push('.');
    }
    Ok((text, end.unwrap_or(at + 1)))
}

fn write_label(label: &[u8], text: &mut String) {
    for byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
            0x21..=0x7e => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
}

#[cfg(test)]
mod tests;
