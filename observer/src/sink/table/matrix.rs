//! Known problems for people: a list of them, or all about one.

use unicode_width::UnicodeWidthStr;

use super::{
    Lang, Options,
    text::{self, Page, Tone},
};
use crate::{
    rules::catalogue::{Cause, Detect, Entry, Grade, Severity},
    sink::escape,
};

/// Where what is said of a problem begins.
const INDENT: usize = 14;

struct Words {
    head: [&'static str; 5],
    looks_like: &'static str,
    components: &'static str,
    scenarios: &'static str,
    cases: &'static str,
    detected: &'static str,
    act: &'static str,
    verify: &'static str,
    respond: &'static str,
    causes: &'static str,
    when: &'static str,
    unless: &'static str,
    only: &'static str,
    detect: [&'static str; 4],
    grade: [&'static str; 2],
    count: &'static str,
}

const EN: Words = Words {
    head: ["ID", "SEV", "SECTION", "DETECTED", "PROBLEM"],
    looks_like: "looks like",
    components: "components",
    scenarios: "scenarios",
    cases: "cases",
    detected: "detected",
    act: "do",
    verify: "verify",
    respond: "respond within",
    causes: "Causes; of those that match, the first is told.",
    when: "told when",
    unless: "unless",
    only: "only for",
    detect: ["yes", "needs the API", "not yet", "not on a node"],
    grade: ["proved", "likely"],
    count: "known problems",
};
const ZH: Words = Words {
    head: ["ID", "级别", "章节", "可检测", "问题"],
    looks_like: "现象",
    components: "组件",
    scenarios: "场景",
    cases: "案例",
    detected: "可检测",
    act: "处理",
    verify: "验证",
    respond: "响应时间",
    causes: "根因（按顺序，命中的第一个会被报告）：",
    when: "判定条件",
    unless: "除非",
    only: "仅限场景",
    detect: ["是", "需要 API", "尚未支持", "节点上不可见"],
    grade: ["可证实", "可能"],
    count: "个已知问题",
};

const fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::En => &EN,
        Lang::Zh => &ZH,
    }
}

const fn detect(words: &Words, detect: Detect) -> &'static str {
    match detect {
        Detect::Node => words.detect[0],
        Detect::KubernetesApi => words.detect[1],
        Detect::NotYet => words.detect[2],
        Detect::NotOnANode => words.detect[3],
    }
}

const fn grade(words: &Words, grade: Grade) -> &'static str {
    match grade {
        Grade::Proved => words.grade[0],
        Grade::Likely => words.grade[1],
    }
}

const fn page(options: Options) -> Page {
    Page { width: options.width, color: options.color }
}

/// One line a problem.
pub fn list(options: Options, entries: &[&Entry]) -> String {
    let words = words(options.lang);
    let row = |entry: &&Entry| {
        let title = if options.lang == Lang::Zh { &entry.title_zh } else { &entry.title };
        vec![
            entry.id.clone(),
            entry.severity.name().to_owned(),
            entry.section.clone(),
            detect(words, entry.detect).to_owned(),
            title.clone(),
        ]
    };
    let head = words.head.map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(entries.iter().map(row)).collect();
    let lines = columns(&rows).into_iter().enumerate().map(|(at, line)| {
        let tone = match at.checked_sub(1).map(|at| entries[at]) {
            None => Tone::Heading,
            Some(entry) if entry.severity == Severity::P0 => Tone::Bad,
            Some(entry) if entry.detect != Detect::Node => Tone::Dim,
            Some(_) => Tone::Plain,
        };
        page(options).paint(tone, &line) + "\n"
    });
    let closing = format!("{} {}\n", entries.len(), words.count);
    lines.chain([closing]).collect()
}

/// Rows of cells below one another, each column as wide as its widest cell.
pub fn cells(rows: &[Vec<String>]) -> String {
    columns(rows).into_iter().map(|line| line + "\n").collect()
}

fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell =
        |row: &Vec<String>, at: usize| escape::terminal(row.get(at).map_or("", String::as_str)).into_owned();
    let widest = |at: usize| rows.iter().map(|row| cell(row, at).width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(widest).collect();
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(at, width)| text::left(&cell(row, at), *width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// All about a problem.
pub fn show(options: Options, entry: &Entry) -> String {
    let (page, words) = (page(options), words(options.lang));
    let said =
        |en: &'_ str, zh: &'_ str| if options.lang == Lang::Zh { zh.to_owned() } else { en.to_owned() };
    let title = said(&entry.title, &entry.title_zh);
    let head = format!("{}  {title}", entry.id);
    let mut out = page.paint(Tone::Heading, &escape::terminal(&head)) + "\n";
    let facts = format!(
        "{}, {} {}, {}, {}",
        entry.severity.name(),
        words.respond,
        entry.respond_within,
        entry.class.name(),
        entry.section
    );
    out.push_str(&page.wrapped(2, &facts));
    out.push_str(&page.wrapped(2, &said(&entry.symptom, &entry.symptom_zh)));
    let lists = [
        (words.looks_like, entry.symptoms.join("; ")),
        (words.components, entry.components.join(", ")),
        (words.scenarios, entry.scenarios.join(", ")),
        (words.cases, entry.cases.join(", ")),
        (words.detected, detected(words, entry.detect, entry.why_not.as_deref())),
        (words.act, remedy(options.lang, &entry.remedy, &entry.remedy_zh)),
        (words.verify, entry.verify.clone()),
    ];
    for (name, text) in lists {
        out.push_str(&named(page, 2, name, &text));
    }
    if !entry.causes.is_empty() {
        out.push_str(&format!("\n{}\n", page.paint(Tone::Heading, words.causes)));
    }
    for cause in &entry.causes {
        out.push_str(&of_cause(options, cause));
    }
    out
}

fn of_cause(options: Options, cause: &Cause) -> String {
    let (page, words) = (page(options), words(options.lang));
    let title = if options.lang == Lang::Zh { &cause.title_zh } else { &cause.title };
    let head = format!("{}  {}, {}", cause.id, cause.layer, grade(words, cause.grade));
    let mut out = format!("\n  {}\n", page.paint(Tone::Heading, &escape::terminal(&head)));
    out.push_str(&page.wrapped(4, title));
    for condition in &cause.when {
        out.push_str(&named(page, 4, words.when, condition));
    }
    for condition in &cause.unless {
        out.push_str(&named(page, 4, words.unless, condition));
    }
    let own = cause.detect.map(|detect| detected(words, detect, cause.why_not.as_deref()));
    let rest = [
        (words.only, cause.scenarios.join(", ")),
        (words.detected, own.unwrap_or_default()),
        (words.act, remedy(options.lang, &cause.remedy, &cause.remedy_zh)),
        (words.verify, cause.verify.clone().unwrap_or_default()),
    ];
    for (name, text) in rest {
        out.push_str(&named(page, 4, name, &text));
    }
    out
}

fn detected(words: &Words, how: Detect, why_not: Option<&str>) -> String {
    let how = detect(words, how);
    why_not.map_or_else(|| how.to_owned(), |why| format!("{how}: {why}"))
}

fn remedy(lang: Lang, en: &Option<String>, zh: &Option<String>) -> String {
    let said = if lang == Lang::Zh { zh } else { en };
    said.clone().unwrap_or_default()
}

/// Words with a name before them; nothing where there are none.
fn named(page: Page, indent: usize, name: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let column = indent + INDENT;
    let wrapped = page.wrapped(column, text);
    let label = text::left(name, INDENT - 1);
    format!("{:indent$}{} {}", "", page.paint(Tone::Dim, &label), wrapped.get(column..).unwrap_or("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNS: &str = include_str!("../../../catalogue/dns-failed.toml");
    const SQLITE: &str = include_str!("../../../catalogue/sqlite-corrupt.toml");
    const WEBHOOK: &str = include_str!("../../../catalogue/webhook-timeout.toml");

    fn of(text: &str) -> Entry {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn columns_stand_below_one_another_in_wide_letters_too() {
        let (one, other) = (of(DNS), of(SQLITE));
        let options = Options { lang: Lang::Zh, ..Options::default() };
        let text = list(options, &[&one, &other]);
        let at = |line: &str, word: &str| line[..line.find(word).unwrap()].width();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(at(lines[1], &one.title_zh), at(lines[2], &other.title_zh));
        assert_eq!(at(lines[0], "问题"), at(lines[1], &one.title_zh));
    }

    #[test]
    fn no_line_is_wider_than_the_page_and_each_language_is_alone() {
        for (lang, foreign) in [(Lang::En, "根因"), (Lang::Zh, "Causes;")] {
            let text = show(Options { lang, ..Options::default() }, &of(WEBHOOK));
            let widest = text.lines().map(UnicodeWidthStr::width).max();
            assert!(widest <= Some(Options::NARROWEST), "{text}");
            assert!(!text.contains(foreign), "{text}");
            assert!(text.contains("server-throttled"), "{text}");
        }
    }

    #[test]
    fn what_would_act_on_a_terminal_is_shown() {
        let mut entry = of(DNS);
        entry.title = "\u{1b}[2J".to_owned();
        entry.causes[0].when = vec!["\u{7}".to_owned()];
        let options = Options::default();
        assert!(!(list(options, &[&entry]) + &show(options, &entry)).contains(['\u{1b}', '\u{7}']));
    }
}
