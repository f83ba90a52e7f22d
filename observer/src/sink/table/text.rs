//! Cells: escaped, cut, padded and coloured text of a given number of columns.

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::sink::escape;

#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub width: usize,
    pub color: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Heading,
    Dim,
    Bad,
    Warn,
    Good,
}

impl Page {
    /// Text that is already safe, in a tone.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Heading => Style::new().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Good => AnsiColor::Green.on_default(),
        };
        self.styled(style, text)
    }

    pub(super) fn styled(self, style: Style, text: &str) -> String {
        if self.color && style != Style::new() && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Untrusted words on as many lines as they take, each indented.
    pub(super) fn wrapped(self, indent: usize, text: &str) -> String {
        let text = escape::terminal(text);
        let room = self.width.saturating_sub(indent).max(20);
        let mut out = String::new();
        let mut line = String::new();
        for word in text.split(' ') {
            for piece in pieces(word, room) {
                if !line.is_empty() && line.width() + 1 + piece.width() > room {
                    push_line(&mut out, indent, &line);
                    line.clear();
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&piece);
            }
        }
        push_line(&mut out, indent, &line);
        out
    }
}

fn push_line(out: &mut String, indent: usize, line: &str) {
    if !line.is_empty() {
        out.push_str(&format!("{:indent$}{line}\n", ""));
    }
}

/// A word in parts that fit.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut columns = 0;
    for c in word.chars() {
        let width = c.width().unwrap_or(0);
        if columns + width > room {
            pieces.push(String::new());
            columns = 0;
        }
        columns += width;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// Untrusted text in exactly `width` columns, its end cut off when too long.
pub(super) fn left(text: &str, width: usize) -> String {
    pad(cut(&escape::terminal(text), width), width)
}

/// Its beginning cut off instead: of images and paths the end tells more.
pub(super) fn left_keeping_end(text: &str, width: usize) -> String {
    let text = escape::terminal(text);
    if text.width() <= width {
        return pad(text.into_owned(), width);
    }
    let reversed: String = text.chars().rev().collect();
    pad(cut(&reversed, width).chars().rev().collect(), width)
}

pub(super) fn right(text: &str, width: usize) -> String {
    let cut = cut(&escape::terminal(text), width);
    format!("{}{cut}", " ".repeat(width.saturating_sub(cut.width())))
}

fn pad(text: String, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    text + &" ".repeat(missing)
}

/// At most `width` columns, with an ellipsis where something is missing.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// Cells of a line, a space between them, nothing at its end.
pub(super) fn join(cells: &[String]) -> String {
    let line = cells.join(" ");
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page { width: 30, color: false };

    #[test]
    fn cells_have_their_width_whatever_is_in_them() {
        for text in ["", "abc", "abcdefgh", "容器容器容器", "\x1b[31mred", "e\u{301}e\u{301}e\u{301}"] {
            for width in [1, 5, 6] {
                assert_eq!(left(text, width).width(), width, "{text:?} in {width}");
                assert_eq!(right(text, width).width(), width, "{text:?} in {width}");
                assert_eq!(left_keeping_end(text, width).width(), width, "{text:?} in {width}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_shown() {
        assert_eq!(left("abcdef", 4), "abc…");
        assert_eq!(left_keeping_end("abcdef", 4), "…def");
        assert_eq!(left("容器容器", 4), "容… ");
        assert_eq!(left("\x1b[0m", 8), r"\x1b[0m ");
    }

    #[test]
    fn long_words_are_broken() {
        assert_eq!(PAGE.wrapped(2, "a b"), "  a b\n");
        let long = format!("see /{}", "x".repeat(40));
        assert_eq!(PAGE.wrapped(2, &long), format!("  see\n  /{}\n  {}\n", "x".repeat(27), "x".repeat(13)));
    }

    #[test]
    fn colour_only_when_told() {
        assert_eq!(PAGE.paint(Tone::Bad, "x"), "x");
        let coloured = Page { color: true, ..PAGE };
        assert!(coloured.paint(Tone::Bad, "x").starts_with('\x1b'));
        assert_eq!(coloured.paint(Tone::Plain, "x"), "x");
    }
}
