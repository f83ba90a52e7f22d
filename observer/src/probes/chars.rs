//! Text from the kernel: untrusted, possibly cut, not necessarily UTF-8.

use super::Malformed;

/// The first `len` bytes as text; what is not UTF-8 is replaced. Control characters stay: sinks escape.
pub(super) fn take(bytes: &[u8], len: usize) -> Result<(String, &[u8]), Malformed> {
    let (text, rest) = bytes.split_at_checked(len).ok_or(Malformed::Text)?;
    Ok((String::from_utf8_lossy(text).into_owned(), rest))
}

/// A NUL-padded name.
pub(super) fn comm(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
