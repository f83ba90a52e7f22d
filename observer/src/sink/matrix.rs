//! The problem matrix as a page of Markdown, in both languages.

use std::fmt::Write;

use crate::rules::catalogue::{Cause, Detect, Entry};

const HEAD: &str = "\
# The problem matrix

Written by `observer matrix list --markdown` from `observer/catalogue`; change it there.

A finding names a problem and one of its causes. *proved*: the cause itself was seen; *likely*: the symptom, and what
normally goes with the cause. Of the causes that match, the first is told. A problem whose symptom alone is seen is
told as not proven. What is marked otherwise than *on a node* is never told: it is here to be looked up.

";

/// All about these entries.
pub fn page(entries: &[&Entry]) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("| problem | 问题 | severity | section | detected |\n| --- | --- | --- | --- | --- |\n");
    for entry in entries {
        let (id, severity, section) = (&entry.id, entry.severity.name(), &entry.section);
        let (title, title_zh) = (cell(&entry.title), cell(&entry.title_zh));
        let detected = detected(entry);
        let _ = writeln!(out, "| [{title}](#{id}) | {title_zh} | {severity} | {section} | {detected} |");
    }
    for entry in entries {
        out.push_str(&of_entry(entry));
    }
    out
}

/// How many of its causes are told, where some are not.
fn detected(entry: &Entry) -> String {
    let told = entry.causes.iter().filter(|cause| cause.is_found(entry)).count();
    let where_told = match entry.detect {
        Detect::Node => "on a node",
        Detect::KubernetesApi if told > 0 => "with the Kubernetes API",
        nowhere => return how(nowhere).to_owned(),
    };
    match entry.causes.len() {
        all if all == told => where_told.to_owned(),
        all => format!("{where_told}, {told} of {all} causes"),
    }
}

const fn how(detect: Detect) -> &'static str {
    match detect {
        Detect::Node => "on a node",
        Detect::KubernetesApi => "needs the Kubernetes API",
        Detect::NotYet => "not detected yet",
        Detect::NotOnANode => "not on a node",
    }
}

fn of_entry(entry: &Entry) -> String {
    let mut out = format!("\n## {}\n\n**{}** {}\n\n", entry.id, text(&entry.title), text(&entry.title_zh));
    let _ = writeln!(out, "{} {}\n", text(&entry.symptom), text(&entry.symptom_zh));
    let minutes = entry.expected_minutes.map(|minutes| format!("{minutes} min to mend"));
    let scenarios = entry.scenarios.join(", ");
    let facts = [
        Some(format!("{}, respond within {}", entry.severity.name(), entry.respond_within)),
        Some(format!("{} ({})", entry.class.name(), entry.fix_type)),
        minutes,
        entry.slice.clone(),
        Some(entry.components.join(", ")),
        (!scenarios.is_empty()).then(|| format!("scenarios {scenarios}")),
        (!entry.cases.is_empty()).then(|| format!("cases {}", entry.cases.join(", "))),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().filter(|fact| !fact.is_empty()).collect();
    let _ = writeln!(out, "{}.\n", facts.join("; "));
    if let Some(why) = &entry.why_not {
        let _ = writeln!(out, "*{}*: {}\n", how(entry.detect), text(why));
    }
    remedies(&mut out, "", &entry.remedy, &entry.remedy_zh);
    let _ = writeln!(out, "Verify: {}", code(&entry.verify));
    if !entry.causes.is_empty() {
        out.push('\n');
    }
    for cause in &entry.causes {
        out.push_str(&of_cause(cause));
    }
    out
}

fn of_cause(cause: &Cause) -> String {
    let (id, layer, grade) = (&cause.id, &cause.layer, cause.grade.name());
    let (title, title_zh) = (text(&cause.title), text(&cause.title_zh));
    let mut out = format!("- **{id}** ({layer}, {grade}): {title} {title_zh}\n");
    if let (Some(detect), Some(why)) = (cause.detect, &cause.why_not) {
        let _ = writeln!(out, "  *{}*: {}", how(detect), text(why));
    }
    let scenarios = cause.scenarios.join(", ");
    if !scenarios.is_empty() {
        let _ = writeln!(out, "  Only for {scenarios}.");
    }
    for condition in &cause.when {
        let _ = writeln!(out, "  - when {}", code(condition));
    }
    for condition in &cause.unless {
        let _ = writeln!(out, "  - unless {}", code(condition));
    }
    if !cause.explained_by.is_empty() {
        let _ = writeln!(out, "  - part of {}, where that is found", cause.explained_by.join(", "));
    }
    remedies(&mut out, "  - ", &cause.remedy, &cause.remedy_zh);
    if let Some(verify) = &cause.verify {
        let _ = writeln!(out, "  - verify: {}", code(verify));
    }
    out
}

fn remedies(out: &mut String, before: &str, en: &Option<String>, zh: &Option<String>) {
    let both: Vec<String> = [en, zh].into_iter().flatten().map(|said| text(said)).collect();
    if !both.is_empty() {
        let after = if before.is_empty() { "\n" } else { "" };
        let _ = writeln!(out, "{before}{}{after}", both.join(" "));
    }
}

/// Words that Markdown is not to read.
fn text(words: &str) -> String {
    words
        .replace('\\', "\\\\")
        .replace('*', "\\*")
        .replace('_', "\\_")
        .replace('<', "&lt;")
        .replace('`', "\\`")
}

fn cell(words: &str) -> String {
    text(words).replace('|', "\\|")
}

fn code(words: &str) -> String {
    if words.contains('`') { format!("`` {words} ``") } else { format!("`{words}`") }
}
