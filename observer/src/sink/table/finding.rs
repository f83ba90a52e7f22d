//! A finding as a block that can be read at 3 a.m.: what, who, on what evidence, what was normal, what to do.

use super::{
    Lang,
    text::{Page, Tone},
};
use crate::{
    output::{
        Bilingual, Check, CheckState, Container, Finding, FindingStatus, Grade, Proof, Subject, Unproven,
    },
    sink::{
        escape,
        units::{self, process_text},
        words::checks::{checks, usual},
    },
};

/// Where the text of a block begins.
const INDENT: usize = 11;
/// Pieces of evidence that are shown; JSON has all.
const SHOWN: usize = 4;

struct Words {
    seen: &'static str,
    checked: &'static str,
    unseen: &'static str,
    act: &'static str,
    verify: &'static str,
    missing: &'static str,
    note: &'static str,
    times: &'static str,
    once: &'static str,
}

const EN: Words = Words {
    seen: "seen",
    checked: "normal",
    unseen: "unmeasured",
    act: "do",
    verify: "verify",
    missing: "missing",
    note: "but",
    times: "times",
    once: "once",
};
const ZH: Words = Words {
    seen: "证据",
    checked: "正常",
    unseen: "未测量",
    act: "处理",
    verify: "验证",
    missing: "缺少",
    note: "注意",
    times: "次",
    once: "一次",
};

fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::En => &EN,
        Lang::Zh => &ZH,
    }
}

fn told(told: &Bilingual, lang: Lang) -> &str {
    match lang {
        Lang::En => &told.en,
        Lang::Zh => &told.zh,
    }
}

/// All of it.
pub(super) fn finding(page: Page, lang: Lang, finding: &Finding) -> String {
    let words = words(lang);
    let mut text = head(page, lang, finding);
    if finding.status == FindingStatus::Resolved {
        return text;
    }
    for line in evidence(&finding.evidence) {
        text.push_str(&named(page, words.seen, &line));
    }
    if let Some(note) = &finding.confidence_note {
        text.push_str(&named(page, words.note, note));
    }
    text.push_str(&checked(page, words, finding));
    text.push_str(&named(page, words.act, told(&finding.remedy, lang)));
    text.push_str(&named(page, words.verify, &finding.verify));
    text
}

/// What is new, for who has read all of it before.
pub(super) fn news(page: Page, lang: Lang, finding: &Finding) -> String {
    let mut text = head(page, lang, finding);
    let is_open = finding.status != FindingStatus::Resolved;
    if let Some(latest) = evidence(&finding.evidence).pop().filter(|_| is_open) {
        text.push_str(&named(page, words(lang).seen, &latest));
    }
    text
}

/// What it is, about whom, how often and when.
fn head(page: Page, lang: Lang, finding: &Finding) -> String {
    let words = words(lang);
    let (tone, grade) = match (finding.status, finding.grade) {
        (FindingStatus::Resolved, _) => (Tone::Good, "RESOLVED"),
        (_, Grade::Proved) => (Tone::Bad, "PROVED"),
        (_, Grade::Likely) => (Tone::Warn, "LIKELY"),
    };
    let slice = finding.slice.as_deref().map(|slice| format!(" {slice}")).unwrap_or_default();
    let head =
        format!("{} {}{slice}  {} / {}", finding.severity, finding.layer.name(), finding.id, finding.cause);
    let time = units::time_of_day(finding.time);
    let mut text = format!(
        "{time}  {}  {}\n",
        page.paint(tone, grade),
        page.paint(Tone::Heading, &escape::terminal(&head))
    );
    let title = format!("{}: {}", told(&finding.title, lang), told(&finding.cause_title, lang));
    text.push_str(&page.wrapped(INDENT, &title));
    let times =
        if finding.count == 1 { words.once.to_owned() } else { format!("{} {}", finding.count, words.times) };
    let times = format!(
        "{}, {times}, {} - {}",
        subject(&finding.subject),
        units::time_of_day(finding.first_seen),
        units::time_of_day(finding.last_seen)
    );
    text.push_str(&page.wrapped(INDENT, &times));
    text
}

pub(super) fn unproven(page: Page, lang: Lang, unproven: &Unproven) -> String {
    let words = words(lang);
    let time = units::time_of_day(unproven.time);
    let head = format!("not proven  {}: {}", unproven.id, told(&unproven.title, lang));
    let mut text = format!("{time}  {}", page.wrapped(10, &head).trim_start());
    text.push_str(&page.wrapped(INDENT, &subject(&unproven.subject)));
    for line in evidence(&unproven.seen) {
        text.push_str(&named(page, words.seen, &line));
    }
    for missing in &unproven.missing {
        text.push_str(&named(page, words.missing, &format!("{}: {}", missing.what, missing.why)));
    }
    text
}

fn subject(subject: &Subject) -> String {
    let container = subject.container.as_ref().map(container);
    let process = subject.process.as_ref().filter(|_| subject.container.is_none()).map(process_text);
    let parts: Vec<String> = [container, process, subject.object.clone()].into_iter().flatten().collect();
    if parts.is_empty() { subject.kind.to_owned() } else { parts.join(", ") }
}

fn container(container: &Container) -> String {
    // Ids that engines make up are cut as people know them; others are names.
    let is_made_up = container.id.len() == 64;
    let short = || container.id.chars().take(if is_made_up { 12 } else { 64 }).collect::<String>();
    let name = container.name.clone().unwrap_or_else(short);
    match (&container.namespace, &container.pod) {
        (Some(namespace), Some(pod)) => format!("{namespace}/{pod} ({name})"),
        _ => name,
    }
}

fn evidence(all: &[Proof]) -> Vec<String> {
    let skipped = all.len().saturating_sub(SHOWN);
    let shown = all.iter().enumerate().filter(|(at, _)| *at == 0 || *at > skipped);
    shown.map(|(_, evidence)| format!("{} {}", units::time_of_day(evidence.time), evidence.text)).collect()
}

/// What else is not normal; what was looked at and is; and what was not looked at.
fn checked(page: Page, words: &Words, finding: &Finding) -> String {
    let all = &finding.checked;
    let is_evidence = |check: &&Check| finding.evidence.iter().any(|seen| seen.signal == check.signal);
    let abnormal = all.iter().filter(|check| check.state == CheckState::Abnormal && !is_evidence(check));
    let mut text = String::new();
    for check in abnormal {
        let value = check.value.unwrap_or_default();
        let layer = check.layer.name();
        let line = format!("{layer} {}: {value:.0} {}{}", check.what, check.unit, usual(check));
        text.push_str(&named(page, words.note, &line));
    }
    for (name, state) in [(words.checked, CheckState::Ok), (words.unseen, CheckState::NotMeasured)] {
        if all.iter().any(|check| check.state == state) {
            text.push_str(&named(page, name, &checks(all, state)));
        }
    }
    text
}

/// Words with a name before them.
fn named(page: Page, name: &str, text: &str) -> String {
    let label = super::text::left(name, INDENT - 1);
    let wrapped = page.wrapped(INDENT * 2, text);
    let rest = wrapped.get(INDENT * 2..).unwrap_or("\n");
    format!("{:INDENT$}{} {rest}", "", page.paint(Tone::Dim, &label))
}
