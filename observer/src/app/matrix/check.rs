//! `observer matrix check`: a folder of entries, or those inside this binary.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};

use super::{
    built_in,
    cases::{self, Got, Outcome},
    sense,
};
use crate::{
    app::{
        catalogue::{self, File},
        exit,
    },
    cli::{self, SCENARIOS},
    rules::{Problem, Rules, catalogue::Entry},
    sink::{is_broken_pipe, json, table::matrix as table},
};

/// Runs the command and gives its exit code.
///
/// # Errors
/// The folder cannot be read, or the output not be written.
pub(super) fn run(args: &cli::MatrixCheck) -> Result<i32> {
    let checked = check(args.dir.as_deref())?;
    let text = match args.print.format {
        cli::Format::Table => table::cells(&checked.rows()) + &checked.closing(),
        cli::Format::Json => checked.json(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if is_broken_pipe(&error) => {}
        written => written.context("cannot write the output")?,
    }
    for problem in &checked.problems {
        eprintln!("observer: {problem}");
    }
    Ok(if checked.is_well() { exit::RAN } else { exit::ERROR })
}

/// What was looked at, and what is wrong.
#[derive(Debug)]
pub(super) struct Checked {
    entries: usize,
    causes: usize,
    /// Causes that the node detects.
    judged: usize,
    /// Recordings were looked for.
    has_folder: bool,
    /// Each with file and line.
    pub problems: Vec<String>,
    pub cases: Vec<Outcome>,
}

/// Checks the entries of a folder together with the built-in ones, or these alone.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn check(dir: Option<&Path>) -> Result<Checked> {
    let files = dir.map_or_else(|| Ok(catalogue::built_in()), catalogue::folder)?;
    let mut checked = Checked {
        entries: files.len(),
        causes: 0,
        judged: 0,
        has_folder: dir.is_some(),
        problems: Vec::new(),
        cases: Vec::new(),
    };
    let own = match catalogue::parse(&files) {
        Ok(own) => own,
        Err(wrong) => {
            checked.problems = wrong;
            return Ok(checked);
        }
    };
    checked.causes = own.iter().map(|entry| entry.causes.len()).sum();
    checked.judged = own.iter().map(judged).sum();
    let mut found: Vec<Problem> = own.iter().flat_map(sense::lacks).collect();
    found.extend(compiled(&own)?);
    let located = found.iter().map(|problem| catalogue::located(&files, problem));
    let lines: BTreeSet<String> = located.chain(misnamed(&files, &own)).collect();
    checked.problems = lines.into_iter().collect();
    if let Some(folder) = dir.map(|dir| dir.join("cases")).filter(|_| checked.problems.is_empty()) {
        checked.cases = cases::run(&own, &folder);
    }
    Ok(checked)
}

fn judged(entry: &Entry) -> usize {
    let causes = entry.causes.iter();
    causes.filter(|cause| cause.is_found(entry)).count()
}

/// Some causes are told only in a scenario: what is wrong with them shows only there.
fn compiled(own: &[Entry]) -> Result<Vec<Problem>> {
    let ours = built_in()?;
    let mut problems = Vec::new();
    for scenario in SCENARIOS.into_iter().map(Some).chain([None]) {
        let entries = ours.iter().chain(own).cloned().collect();
        problems.extend(Rules::compile(entries, scenario).err().unwrap_or_default());
    }
    Ok(problems)
}

/// An entry is found by its file's name; two of one id would hide each other.
fn misnamed(files: &[File], own: &[Entry]) -> Vec<String> {
    let is_named = |(file, entry): &(&File, &Entry)| {
        Path::new(&file.name).file_stem().is_some_and(|stem| stem == entry.id.as_str())
    };
    let wrong = files.iter().zip(own).filter(|pair| !is_named(pair));
    wrong
        .map(|(file, entry)| format!("{}:1: {} belongs into {}.toml", file.name, entry.id, entry.id))
        .collect()
}

impl Checked {
    fn is_well(&self) -> bool {
        self.problems.is_empty() && !self.cases.iter().any(Outcome::has_failed) && self.missing() == 0
    }

    fn missing(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.got, Got::NoRecording)).count()
    }

    /// Recordings that were replayed, and what came of each.
    fn rows(&self) -> Vec<Vec<String>> {
        let head = ["ENTRY", "RECORDING", "EXPECTED", "GOT", ""].map(str::to_owned).to_vec();
        let row = |case: &Outcome| {
            let expect = [Some(case.expect.name()), case.cause.as_deref()];
            let expect: Vec<&str> = expect.into_iter().flatten().collect();
            let (got, word) = match &case.got {
                Got::NoRecording => ("-".to_owned(), "no recording"),
                Got::Unreadable(why) => (why.clone(), "FAILED"),
                Got::Said { text, is_right: true } => (text.clone(), "ok"),
                Got::Said { text, is_right: false } => (text.clone(), "FAILED"),
            };
            vec![case.entry.clone(), case.replay.clone(), expect.join(" "), got, word.to_owned()]
        };
        let rows: Vec<_> = self.cases.iter().map(row).collect();
        if rows.is_empty() { rows } else { [vec![head], rows].concat() }
    }

    fn closing(&self) -> String {
        let (entries, causes, judged) = (self.entries, self.causes, self.judged);
        let mut text = format!("{entries} entries, {causes} causes, {judged} of them detected on a node");
        if self.has_folder {
            let failed = self.cases.iter().filter(|case| case.has_failed()).count();
            let (cases, missing) = (self.cases.len(), self.missing());
            text.push_str(&format!("; {cases} cases: {failed} failed, {missing} without a recording"));
        } else {
            text.push_str(
                "; no case was run: recordings are in the repository (observer/catalogue/cases), not in this \
                 binary",
            );
        }
        text.push_str(&format!("; problems: {}\n", self.problems.len()));
        text
    }

    fn json(&self) -> String {
        let problems = self.problems.iter().map(|text| json::matrix::problem(text));
        let cases = self.cases.iter().map(|case| {
            let (got, is_right) = match &case.got {
                Got::NoRecording => (None, None),
                Got::Unreadable(why) => (Some(why.as_str()), Some(false)),
                Got::Said { text, is_right } => (Some(text.as_str()), Some(*is_right)),
            };
            json::matrix::Case {
                entry: &case.entry,
                cause: case.cause.as_deref(),
                replay: &case.replay,
                expect: case.expect.name(),
                got,
                ok: is_right,
            }
            .line()
        });
        let check = json::matrix::Check {
            entries: self.entries,
            causes: self.causes,
            detected_on_a_node: self.judged,
            problems: self.problems.len(),
            cases: self.cases.len(),
            without_recording: self.missing(),
            ok: self.is_well(),
        };
        problems.chain(cases).chain([check.line()]).collect()
    }
}
