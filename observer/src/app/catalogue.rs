//! The problem matrix: the entries inside this binary, and those of a folder of the user's own.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{
    pipeline::Settings,
    rules::{Problem, Rules, catalogue::Entry},
};

/// Name and text of each file in `observer/catalogue`.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// A file of a catalogue: its name for people, and its text.
pub struct File {
    pub name: String,
    pub text: String,
}

/// The files inside this binary.
pub fn built_in() -> Vec<File> {
    let file = |(name, text): &(&str, &str)| File { name: (*name).to_owned(), text: (*text).to_owned() };
    BUILT_IN.iter().map(file).collect()
}

/// The entries in a folder.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn folder(path: &Path) -> Result<Vec<File>> {
    let listing =
        std::fs::read_dir(path).with_context(|| format!("cannot read the catalogue {}", path.display()))?;
    let mut paths: Vec<_> = listing.map(|item| item.map(|item| item.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.retain(|path| path.file_name().is_none_or(|name| name != "keywords.toml"));
    paths.sort();
    if paths.is_empty() {
        bail!("there is no entry in {}: an entry is a file NAME.toml", path.display());
    }
    let read = |path: std::path::PathBuf| {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(File { name: path.display().to_string(), text })
    };
    paths.into_iter().map(read).collect()
}

/// Reads entries.
///
/// # Errors
/// All that is wrong, each with its file and line.
pub fn parse(files: &[File]) -> Result<Vec<Entry>, Vec<String>> {
    let mut entries = Vec::new();
    let mut wrong = Vec::new();
    for file in files {
        match toml::from_str::<Entry>(&file.text) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_at(&file.text, span.start));
                wrong.push(format!("{}:{line}: {}", file.name, error.message()));
            }
        }
    }
    if wrong.is_empty() { Ok(entries) } else { Err(wrong) }
}

/// The rules of a run: the built-in matrix, and what the run's settings add to it.
///
/// # Errors
/// Something in the user's entries cannot be.
pub fn rules(settings: &Settings) -> Result<Rules> {
    let mut entries = parse(&built_in()).map_err(|wrong| anyhow::anyhow!("{}", wrong.join("\n")))?;
    entries.extend(settings.catalogue.iter().cloned());
    let compiled = Rules::compile(entries, settings.scenario.as_deref());
    compiled.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the catalogue has problems:\n{}", lines.join("\n"))
    })
}

/// The user's entries, checked together with the built-in ones.
///
/// # Errors
/// All that is wrong, each with its file and line.
pub fn user(path: &Path, scenario: Option<&str>) -> Result<Vec<Entry>> {
    let files = folder(path)?;
    let own = parse(&files).map_err(|wrong| super::Usage(wrong.join("\n")))?;
    let mut entries = parse(&built_in()).map_err(|wrong| anyhow::anyhow!("{}", wrong.join("\n")))?;
    entries.extend(own.iter().cloned());
    if let Err(problems) = Rules::compile(entries, scenario) {
        let lines: Vec<String> = problems.iter().map(|problem| located(&files, problem)).collect();
        bail!(super::Usage(lines.join("\n")));
    }
    Ok(own)
}

/// A problem with the file and line that it is written in.
pub fn located(files: &[File], problem: &Problem) -> String {
    let of_entry =
        |file: &&File| file.text.lines().any(|line| line.trim() == format!("id = {:?}", problem.entry));
    let Some(file) = files.iter().find(of_entry) else { return problem.to_string() };
    let line = file.text.lines().position(|line| line.contains(&problem.words)).map_or(1, |at| at + 1);
    format!("{}:{line}: {problem}", file.name)
}

fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_matrix_can_be_read_and_makes_sense() {
        let rules = rules(&Settings::default());
        assert!(rules.is_ok(), "{}", rules.err().map(|error| error.to_string()).unwrap_or_default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let file = |text: &str| File { name: "a.toml".to_owned(), text: text.to_owned() };
        let wrong = parse(&[file("id = \"a\"\nsevrity = \"P1\"\n")]).unwrap_err();
        assert!(wrong[0].starts_with("a.toml:"), "{wrong:?}");
        let problem = Problem {
            entry: "a".to_owned(),
            cause: None,
            words: "runtime.exit >= 3".to_owned(),
            why: "there is no such signal".to_owned(),
        };
        let files = [file("id = \"a\"\n\nwhen = [\"runtime.exit >= 3 over 5m\"]\n")];
        assert_eq!(located(&files, &problem), "a.toml:3: a: there is no such signal");
    }

    #[test]
    fn a_keyword_that_there_is_not_is_refused_with_its_line() {
        let name = "sqlite-corrupt.toml";
        let ours = built_in().into_iter().find(|file| file.name == name).unwrap().text;
        let wrong = |from: &str, to: &str| {
            let folder = tempfile::tempdir().unwrap();
            let text = ours.replace(from, to);
            assert_ne!(text, ours);
            let line = 1 + text.lines().position(|line| line.contains(to)).unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
            (user(folder.path(), None).unwrap_err().to_string(), format!("{name}:{line}: "))
        };
        for (from, to) in [
            ("keyword=sqlite-corrupt,", "keyword=sqlite-corupt,"),
            ("keyword=sqlite-corrupt,", "keyword=io-error|sqlite-corupt,"),
            ("keyword=sqlite-corrupt,", "keyword!=sqlite-corupt,"),
            ("keyword=sqlite-corrupt,", "keyword~sqlite-corupt,"),
        ] {
            let (said, place) = wrong(from, to);
            assert!(said.contains(&place), "{said}");
            assert!(
                said.contains("there is no keyword \"sqlite-corupt\"; the nearest is \"sqlite-corrupt\""),
                "{said}"
            );
        }
    }
}
