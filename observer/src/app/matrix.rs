//! `observer matrix`: looks known problems up, and checks a catalogue of them.

mod cases;
mod check;
mod find;
#[cfg(test)]
mod schema;
mod sense;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result, anyhow};

use super::{Usage, catalogue, exit, sinks};
use crate::{
    cli,
    rules::{catalogue::Entry, grammar},
    sink::{is_broken_pipe, json, matrix as markdown, table},
};

/// Runs the command and gives its exit code.
///
/// # Errors
/// The catalogue cannot be read, there is no such entry, or the output cannot be written.
pub fn run(args: &cli::Matrix) -> Result<i32> {
    match &args.command {
        cli::MatrixCommand::List(args) => list(args),
        cli::MatrixCommand::Show(args) => show(args),
        cli::MatrixCommand::Check(args) => check::run(args),
    }
}

fn list(args: &cli::MatrixList) -> Result<i32> {
    let all = entries(args.source.catalogue.as_deref())?;
    let found = find::find(&all, args)?;
    if found.is_empty() {
        eprintln!("observer: no known problem is like that; `observer matrix list` names all of them");
    }
    write(&match args.print.format {
        _ if args.markdown => markdown::page(&found),
        cli::Format::Table => table::matrix::list(sinks::page_options(args.source.lang), &found),
        cli::Format::Json => found.iter().map(|entry| json::matrix::entry(entry)).collect(),
    })
}

fn show(args: &cli::MatrixShow) -> Result<i32> {
    let all = entries(args.source.catalogue.as_deref())?;
    let Some(entry) = all.iter().find(|entry| entry.id == args.id) else {
        let ids = all.iter().map(|entry| entry.id.as_str());
        return Err(Usage(grammar::unknown("problem", &args.id, ids)).into());
    };
    write(&match args.print.format {
        cli::Format::Table => table::matrix::show(sinks::page_options(args.source.lang), entry),
        cli::Format::Json => json::matrix::entry(entry),
    })
}

/// The built-in entries, and those of a folder in their place or besides; in the matrix's order.
fn entries(own: Option<&Path>) -> Result<Vec<Entry>> {
    let mut all = built_in()?;
    all.extend(own.map(|path| catalogue::user(path, None)).transpose()?.unwrap_or_default());
    let by_id: BTreeMap<String, Entry> = all.into_iter().map(|entry| (entry.id.clone(), entry)).collect();
    let mut all: Vec<Entry> = by_id.into_values().collect();
    all.sort_by_key(|entry| (section(entry), entry.severity));
    Ok(all)
}

fn built_in() -> Result<Vec<Entry>> {
    catalogue::parse(&catalogue::built_in()).map_err(|wrong| anyhow!("{}", wrong.join("\n")))
}

/// `06.3.10` comes after `06.3.9`.
fn section(entry: &Entry) -> Vec<u32> {
    entry.section.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

fn write(text: &str) -> Result<i32> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if is_broken_pipe(&error) => {}
        written => written.context("cannot write the output")?,
    }
    Ok(exit::RAN)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn the_page_of_the_docs_is_what_the_catalogue_says() {
        let page = markdown::page(&entries(None).unwrap().iter().collect::<Vec<_>>());
        expect_file!["../../../docs/MATRIX.md"].assert_eq(&page);
    }

    #[test]
    fn what_is_ours_makes_sense_and_its_recordings_show_what_it_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue");
        let checked = check::check(Some(&folder)).unwrap();
        assert_eq!(checked.problems, Vec::<String>::new());
        let failed: Vec<_> = checked.cases.iter().filter(|case| case.has_failed()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn an_entry_of_the_users_own_is_in_the_place_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let ours = entries(None).unwrap();
        let text = catalogue::built_in().into_iter().find(|file| file.name == "disk-full.toml").unwrap().text;
        let own = text.replace("title = \"Storage is full\"", "title = \"Ours\"");
        std::fs::write(folder.path().join("disk-full.toml"), own).unwrap();
        let both = entries(Some(folder.path())).unwrap();
        assert_eq!(both.len(), ours.len());
        assert_eq!(both.iter().find(|entry| entry.id == "disk-full").unwrap().title, "Ours");
    }
}
