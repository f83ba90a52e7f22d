//! Text of watched processes is untrusted: here it becomes harmless for a terminal and for HTML.

use std::borrow::Cow;

/// Control characters, and those that reorder or hide the text around them.
pub(super) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `\x1b` for control characters, `\u{202e}` for the others that could deceive.
pub(super) fn terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c as u32 {
            _ if !is_hostile(c) => out.push(c),
            code @ 0..=0xff => out.push_str(&format!("\\x{code:02x}")),
            code => out.push_str(&format!("\\u{{{code:x}}}")),
        }
    }
    Cow::Owned(out)
}

/// For element content and quoted attributes; hostile characters are escaped as on a terminal.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in terminal(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_left_alone() {
        assert!(matches!(terminal("nginx:1.27 容器"), Cow::Borrowed("nginx:1.27 容器")));
    }

    #[test]
    fn a_terminal_sees_no_control_characters() {
        assert_eq!(terminal("\x1b[2Ja\r\n\t\0\u{7f}\u{9b}1m"), r"\x1b[2Ja\x0d\x0a\x09\x00\x7f\x9b1m");
        assert_eq!(terminal("a\u{202e}b\u{200b}"), r"a\u{202e}b\u{200b}");
    }

    #[test]
    fn html_sees_no_markup() {
        assert_eq!(html("<b a='1' c=\"2\">&\x1b"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;\\x1b");
    }
}
