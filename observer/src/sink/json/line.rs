//! JSON in which nothing can act on a terminal: what serde_json leaves as it is (DEL, C1, text direction) is
//! written as `\u` escapes, which mean the same.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::sink::escape::is_hostile;

struct Quiet;

impl Formatter for Quiet {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_hostile) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            // All of them are in the basic plane: one escape is enough.
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", c as u32)?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

pub(in crate::sink) fn to_vec(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Quiet))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::to_vec;

    #[test]
    fn escapes_mean_the_same() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\x1b\"é";
        let json = String::from_utf8(to_vec(&text).unwrap()).unwrap();
        assert_eq!(json, r#""a\u009b31m\u007f\u202e\u001b\"é""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
