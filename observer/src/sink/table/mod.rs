//! The table for people: a line as each start ends; at the end the waterfalls, percentiles, what moved, the
//! probes and the summary. Every width is that of [`Options::width`], whatever stdout is.

mod closing;
mod comparison;
mod describe;
mod event;
mod finding;
mod grid;
mod groups;
pub mod matrix;
mod module;
mod row;
mod stream;
mod text;
mod waterfall;

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

pub use self::{grid::grid, text::Tone};

use crate::{
    compare::{Sample, Samples},
    output::{ColdStart, Description, Finding, FindingStatus, Health, Output, Summary},
    sink::{Sink, compare::Report, group::GroupBy, keep::Keep},
};

/// Waterfalls at the end, unless told otherwise.
const SLOWEST: usize = 3;
/// Failures told in full at the end.
const FAILURES: usize = 20;
/// Findings known to have been told in full: more than are open at once.
const MAX_TOLD: usize = 4_096;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Waterfall {
    /// One under each start's line.
    All,
    /// Those of the slowest three, at the end.
    #[default]
    Slowest,
    None,
}

/// The catalogue's languages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

impl Lang {
    /// Of a locale such as `zh_CN.UTF-8`.
    pub fn of_locale(locale: &str) -> Lang {
        if locale.starts_with("zh") { Lang::Zh } else { Lang::En }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Columns; fewer than [`Options::NARROWEST`] are not attempted.
    pub width: usize,
    pub color: bool,
    pub waterfall: Waterfall,
    pub group_by: GroupBy,
    /// Of starts only those that failed come: no waterfalls and no percentiles of them.
    pub brief: bool,
    /// Every probe, not only those that give less than they should.
    pub all_probes: bool,
    /// Of titles, causes and remedies.
    pub lang: Lang,
}

impl Options {
    pub const NARROWEST: usize = 80;

    fn page(self) -> text::Page {
        text::Page { width: self.width.max(Self::NARROWEST), color: self.color }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            width: Self::NARROWEST,
            color: false,
            waterfall: Waterfall::default(),
            group_by: GroupBy::default(),
            brief: false,
            all_probes: true,
            lang: Lang::En,
        }
    }
}

/// What is known of one pod or container, on one screen.
pub fn describe(options: Options, description: &Description) -> String {
    describe::screen(options.page(), options.lang, description)
}

/// Words, which may be untrusted, on as many lines as they take.
pub fn paragraph(options: Options, text: &str) -> String {
    options.page().wrapped(0, text)
}

pub struct TableSink<W> {
    out: W,
    page: text::Page,
    options: Options,
    samples: Samples,
    slowest: Keep,
    failed: Vec<ColdStart>,
    failed_count: u64,
    /// Starts during which records were lost.
    with_loss: u64,
    report: Option<Report>,
    health: Option<Health>,
    summary: Option<Summary>,
    /// Whether the columns of events were named.
    events_headed: bool,
    /// Open findings that were told in full, by their fingerprints.
    told: BTreeSet<String>,
}

impl<W: Write> TableSink<W> {
    pub fn new(out: W, options: Options) -> TableSink<W> {
        TableSink {
            out,
            page: options.page(),
            options,
            samples: Samples::default(),
            slowest: Keep::slowest(SLOWEST),
            failed: Vec::new(),
            failed_count: 0,
            with_loss: 0,
            report: None,
            health: None,
            summary: None,
            events_headed: false,
            told: BTreeSet::new(),
        }
    }

    fn start(&mut self, start: &ColdStart) -> io::Result<()> {
        let first = self.samples.kept().is_empty();
        self.samples.add(Sample::of(start));
        self.slowest.add(start);
        self.with_loss += u64::from(start.lost > 0);
        if start.failure.is_some() {
            self.failed_count += 1;
            if self.failed.len() < FAILURES {
                self.failed.push(start.clone());
            }
        }
        if self.options.brief {
            return self.event(&event::failed_start(self.page, start));
        }
        let mut text = if first { row::header(self.page) } else { String::new() };
        text.push_str(&row::line(self.page, start));
        if self.options.waterfall == Waterfall::All {
            text.push_str(&waterfall::waterfall(self.page, start));
            text.push('\n');
        }
        self.write(&text)
    }

    /// A line of what happened, below the names of its columns.
    fn event(&mut self, line: &str) -> io::Result<()> {
        let is_headed = std::mem::replace(&mut self.events_headed, true);
        let header = if is_headed { String::new() } else { event::header(self.page) };
        self.write(&(header + line))
    }

    /// In full once, then what is new of it.
    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let is_over = finding.status == FindingStatus::Resolved;
        let is_told = if is_over {
            self.told.remove(&finding.fingerprint)
        } else {
            !self.told.insert(finding.fingerprint.clone())
        };
        if self.told.len() > MAX_TOLD {
            self.told.pop_first();
        }
        let tell = if is_told { finding::news } else { finding::finding };
        self.block(&tell(self.page, self.options.lang, finding))
    }

    /// Lines with an empty one around them.
    fn block(&mut self, text: &str) -> io::Result<()> {
        self.write(&format!("\n{text}\n"))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Sink for TableSink<W> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        match output {
            Output::ColdStart(start) => return self.start(start),
            Output::Health(health) => self.health = Some(health.clone()),
            Output::Summary(summary) => self.summary = Some(summary.clone()),
            Output::Event(event) => return self.event(&event::event(self.page, event)),
            Output::Finding(finding) => return self.finding(finding),
            Output::Unproven(unproven) => {
                return self.block(&finding::unproven(self.page, self.options.lang, unproven));
            }
            Output::Evidence(evidence) => return self.event(&event::evidence(self.page, evidence)),
            Output::Stats(stats) => return self.event(&event::stats(self.page, stats)),
            Output::Settled(_) | Output::Want(_) => {}
        }
        Ok(())
    }

    fn comparison(&mut self, report: &Report) -> io::Result<()> {
        self.report = Some(report.clone());
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let page = self.page;
        let mut sections = Vec::new();
        let in_full = !self.options.brief && !self.samples.kept().is_empty();
        if in_full && self.options.waterfall == Waterfall::Slowest {
            sections.extend(self.slowest.iter().map(|start| waterfall::waterfall(page, start)));
        }
        if self.failed_count > 0 {
            sections.push(closing::failures(page, &self.failed, self.failed_count));
        }
        if in_full {
            sections.push(groups::table(page, &self.samples, self.options.group_by));
        }
        sections.extend(self.report.as_ref().map(|report| comparison::table(page, report)));
        sections.extend(
            self.health.as_ref().and_then(|health| closing::health(page, health, self.options.all_probes)),
        );
        if let Some(summary) = &self.summary {
            sections.push(closing::summary(page, summary, self.health.as_ref(), self.with_loss));
        }
        let blank = if self.samples.kept().is_empty() && !self.events_headed { "" } else { "\n" };
        let text =
            if sections.is_empty() { String::new() } else { format!("{blank}{}", sections.join("\n")) };
        self.write(&text)
    }
}
