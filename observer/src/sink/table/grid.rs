//! Texts of any length in rows and columns, on as many lines as they take: a column is as wide as what is in it, and where
//! that is too much for the page, the widest give way.

use super::{
    Options,
    text::{Page, Tone, columns},
};
use crate::sink::escape;

/// Between two columns.
const GAP: usize = 2;
/// What a column that gives way keeps.
const KEPT: usize = 20;

/// A table with a head, and an empty line behind it; nothing without rows. `tone` is that of a cell. Cells may be untrusted.
pub fn grid(options: Options, head: &[&str], rows: &[Vec<String>], tone: fn(&str) -> Tone) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let page = options.page();
    let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    let widths = widths(page.width, &head, rows);
    let mut text = row(page, &widths, &head, |_| Tone::Heading);
    rows.iter().for_each(|cells| text.push_str(&row(page, &widths, cells, tone)));
    text.push('\n');
    text
}

fn widths(page: usize, head: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let wanted = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).chain(&head[column..=column]);
        cells.map(|cell| columns(&escape::terminal(cell))).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..head.len()).map(wanted).collect();
    let room = page.saturating_sub(GAP * head.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room
        && let Some(widest) = widths.iter_mut().filter(|width| **width > KEPT).max()
    {
        *widest -= 1;
    }
    widths
}

fn row(page: Page, widths: &[usize], cells: &[String], tone: impl Fn(&str) -> Tone) -> String {
    let in_column = |(cell, width): (&String, &usize)| -> Vec<String> {
        let lines = Page { width: *width, ..page }.wrapped(0, cell);
        lines.lines().map(str::to_owned).collect()
    };
    let lines: Vec<Vec<String>> = cells.iter().zip(widths).map(in_column).collect();
    let mut text = String::new();
    for at in 0..lines.iter().map(Vec::len).max().unwrap_or(0) {
        let mut line = String::new();
        for ((cell, lines), width) in cells.iter().zip(&lines).zip(widths) {
            let part = lines.get(at).map_or("", String::as_str);
            line.push_str(&page.paint(tone(cell), part));
            line.push_str(&" ".repeat((width + GAP).saturating_sub(columns(part))));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(_: &str) -> Tone {
        Tone::Plain
    }

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = rows(&[&["a", "long cell", "x"], &["bb", "", "\x1b[2J"]]);
        let text = grid(Options::default(), &["ONE", "TWO", "THREE"], &rows, plain);
        assert_eq!(text, "ONE  TWO        THREE\na    long cell  x\nbb              \\x1b[2J\n\n");
        assert_eq!(grid(Options::default(), &["ONE"], &[], plain), "");
    }

    #[test]
    fn what_is_too_wide_goes_on_below() {
        let words = "word ".repeat(40);
        let rows = rows(&[&["name", words.trim(), words.trim()], &["next", "short", "short"]]);
        let text = grid(Options::default(), &["NAME", "ONE", "TWO"], &rows, plain);
        assert!(text.lines().all(|line| columns(line) <= Options::NARROWEST), "{text}");
        assert_eq!(text.matches("word").count(), 80, "{text}");
        assert!(text.lines().any(|line| line.starts_with("next  short")), "{text}");
    }

    #[test]
    fn cells_have_their_tone() {
        let options = Options { color: true, ..Options::default() };
        let tone = |cell: &str| if cell == "bad" { Tone::Bad } else { Tone::Plain };
        let text = grid(options, &["A", "B"], &rows(&[&["bad", "good"]]), tone);
        assert!(text.contains("\x1b[") && text.contains("bad") && text.contains("  good\n"), "{text:?}");
    }
}
