//! An incident report to paste into a ticket: findings with their evidence, what is not proven, what happened when,
//! and what all of it rests on.

use std::io::{self, Write};

use super::story::{Story, subject};
use crate::{
    output::{CheckState, ColdStart, Finding, FindingStatus, Grade, Output, Proof, Summary, Unproven},
    sink::{
        Sink,
        compare::Report,
        escape, units,
        words::checks::{checks, none_found},
    },
};

pub struct MarkdownSink<W> {
    out: W,
    host: String,
    story: Story,
    failed: Vec<String>,
    summary: Option<Summary>,
}

/// Failed starts that are told one by one.
const FAILED: usize = 20;

impl<W: Write> MarkdownSink<W> {
    pub fn new(out: W, host: &str) -> MarkdownSink<W> {
        MarkdownSink {
            out,
            host: host.to_owned(),
            story: Story::default(),
            failed: Vec::new(),
            summary: None,
        }
    }

    fn start(&mut self, start: &ColdStart) {
        if let Some(failure) = start.failure.as_ref().filter(|_| self.failed.len() < FAILED) {
            let line =
                format!("- {} {}: {}", units::time_of_day(start.time), start.container.id, failure.text);
            self.failed.push(safe(&line));
        }
    }

    fn page(&self) -> String {
        let mut page = format!("# Incident report: {}\n\n", safe(&self.host));
        if let Some(summary) = &self.summary {
            page.push_str(&format!(
                "{} to {} UTC, watched: {}. {} records lost.\n\n",
                units::date_time(summary.from),
                units::date_time(summary.to),
                safe(&summary.scope),
                summary.lost
            ));
        }
        page.push_str("## Findings\n\n");
        let findings = self.story.findings();
        if findings.is_empty() {
            let checked = self.summary.as_ref().and_then(|summary| summary.found.as_ref());
            let checked = checked.map(|found| found.checked.as_slice()).unwrap_or_default();
            page.push_str(&format!("{}.\n\n", safe(&none_found(checked))));
        }
        findings.iter().for_each(|finding| page.push_str(&block(finding)));
        for unproven in self.story.unproven() {
            page.push_str(&not_proven(unproven));
        }
        if !self.failed.is_empty() {
            page.push_str(&format!("## Starts that failed\n\n{}\n\n", self.failed.join("\n")));
        }
        page.push_str(&self.timeline());
        page.push_str(&self.not_measured());
        page
    }

    fn timeline(&self) -> String {
        let line = |line: &super::story::Line| {
            let what = safe(&line.what);
            let what = if line.is_finding { format!("**{what}**") } else { what };
            format!("| {} | {} | {what} |\n", units::time_of_day(line.time), safe(&line.who))
        };
        let lines: String = self.story.lines().map(line).collect();
        if lines.is_empty() {
            return lines;
        }
        let left_out = match self.story.left_out {
            0 => String::new(),
            count => format!("\n{count} more in between are left out.\n"),
        };
        format!("## Timeline\n\n| time | who | what |\n| --- | --- | --- |\n{lines}{left_out}\n")
    }

    fn not_measured(&self) -> String {
        let Some(summary) = &self.summary else { return String::new() };
        if summary.not_measured.is_empty() {
            return "## Not measured\n\nNothing that was asked for.\n".to_owned();
        }
        let line = |entry: &crate::output::NotMeasured| {
            format!("- {} {}: {}\n", entry.layer.name(), safe(&entry.what), safe(&entry.why))
        };
        let lines: String = summary.not_measured.iter().map(line).collect();
        format!("## Not measured\n\n{lines}")
    }
}

impl<W: Write> Sink for MarkdownSink<W> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        self.story.take(output);
        match output {
            Output::ColdStart(start) => self.start(start),
            Output::Summary(summary) => self.summary = Some(summary.clone()),
            _ => {}
        }
        Ok(())
    }

    fn comparison(&mut self, _: &Report) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let page = self.page();
        self.out.write_all(page.as_bytes())?;
        self.out.flush()
    }
}

fn block(finding: &Finding) -> String {
    let grade = match (finding.status, finding.grade) {
        (FindingStatus::Resolved, _) => "Resolved",
        (_, Grade::Proved) => "Proved",
        (_, Grade::Likely) => "Likely",
    };
    let slice = finding.slice.as_deref().map(|slice| format!(" {slice}")).unwrap_or_default();
    let mut text = format!(
        "### {grade}: {} / {} ({} {}{slice})\n\n{}: {}\n\n",
        finding.id,
        finding.cause,
        finding.severity,
        finding.layer.name(),
        safe(&finding.title.en),
        safe(&finding.cause_title.en)
    );
    text.push_str(&format!(
        "- about: {}, {}, {} to {} UTC\n",
        safe(&subject(&finding.subject)),
        units::count(finding.count, "time"),
        units::time_of_day(finding.first_seen),
        units::time_of_day(finding.last_seen)
    ));
    text.push_str(&evidence(&finding.evidence));
    for (name, state) in [("normal", CheckState::Ok), ("not measured", CheckState::NotMeasured)] {
        text.push_str(&format!("- {name}: {}\n", safe(&checks(&finding.checked, state))));
    }
    if let Some(note) = &finding.confidence_note {
        text.push_str(&format!("- but: {}\n", safe(note)));
    }
    text.push_str(&format!("- do: {}\n- verify: `{}`\n\n", safe(&finding.remedy.en), finding.verify));
    text
}

fn not_proven(unproven: &Unproven) -> String {
    let mut text = format!(
        "### Not proven: {} ({})\n\n- about: {}\n",
        unproven.id,
        safe(&unproven.title.en),
        safe(&subject(&unproven.subject))
    );
    text.push_str(&evidence(&unproven.seen));
    for missing in &unproven.missing {
        text.push_str(&format!("- missing: {}: {}\n", safe(&missing.what), safe(&missing.why)));
    }
    text.push('\n');
    text
}

fn evidence(all: &[Proof]) -> String {
    all.iter()
        .map(|seen| format!("- seen: {} {}\n", units::time_of_day(seen.time), safe(&seen.text)))
        .collect()
}

/// Untrusted text that stays text: no markup, no control characters, no end of a table's cell.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escape::terminal(text).chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '#' | '\\' | '!') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_no_markup() {
        assert_eq!(safe("a|b <img> [x](y) `z`\n"), r"a\|b \<img\> \[x\](y) \`z\`\\x0a");
    }
}
