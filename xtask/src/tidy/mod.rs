//! `tidy`: the house rules that no compiler knows. Each check is a function from the tree to violations.

mod imports;
mod mirror;
mod purity;
mod size;
mod source;
mod style;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::{cmd::Cmd, paths};
use source::Source;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: PathBuf,
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

pub fn run() -> Result<()> {
    let violations = check(paths::repo())?;
    for violation in &violations {
        println!("{violation}");
    }
    let alone = pure_modules_alone();
    match (violations.len(), &alone) {
        (0, Ok(())) => {
            println!("tidy: clean");
            Ok(())
        }
        (count, Ok(())) => bail!("tidy: {count} violations"),
        (count, Err(error)) => {
            bail!("tidy: {count} violations, and the pure modules do not stand alone: {error:#}")
        }
    }
}

/// All checks of files, over the tree at `root`.
fn check(root: &Path) -> Result<Vec<Violation>> {
    let files = source::rust_files(root)?;
    let mut violations: Vec<Violation> = files.iter().flat_map(unreadable).collect();
    for file in &files {
        violations.extend(imports::check(root, file));
        violations.extend(purity::check(file));
        violations.extend(size::check(file));
        violations.extend(style::check(file));
    }
    violations.extend(mirror::check(root, &files));
    violations.sort();
    Ok(violations)
}

fn unreadable(file: &Source) -> Option<Violation> {
    let (line, why) = file.unreadable.as_ref()?;
    Some(Violation::new(&file.path, *line, format!("cannot be read as Rust: {why}")))
}

/// The pure modules build without the edges, and name no clock, file or unordered map: `clippy.toml` lists
/// those, and `observer/src/lib.rs` refuses them in this build.
fn pure_modules_alone() -> Result<()> {
    Cmd::cargo()
        .args([
            "clippy",
            "--quiet",
            "-p",
            "observer",
            "--lib",
            "--no-default-features",
            "--",
            "-D",
            "warnings",
        ])
        .run()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What `check` says about a tree of these files.
    pub(super) fn check_tree(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        check(root.path()).expect("checked").iter().map(Violation::to_string).collect()
    }

    #[test]
    fn what_is_not_rust_is_named_with_its_line() {
        let said = check_tree(&[("observer/src/time.rs", "//! Doc.\n\nfn broken( {\n")]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("observer/src/time.rs:3: cannot be read as Rust"), "{said:?}");
    }

    #[test]
    fn violations_come_in_order_of_file_and_line() {
        let said = check_tree(&[
            ("observer/src/time.rs", "//! Doc.\nuse crate::model::A; \nuse crate::pipeline::B;\n"),
            ("observer/src/layer.rs", "pub struct Layer;\n"),
            ("observer/src/model.rs", "//! Doc.\n"),
        ]);
        let places: Vec<&str> = said.iter().map(|line| &line[..line.find(": ").expect("a place")]).collect();
        let time = "observer/src/time.rs";
        assert_eq!(
            places,
            ["observer/src/layer.rs:1", &format!("{time}:2"), &format!("{time}:2"), &format!("{time}:3")]
        );
    }
}
