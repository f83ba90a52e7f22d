//! Programs from crates.io, at fixed versions, in the cache directory.

use anyhow::Error;

use super::{
    Level, Missing, announce,
    table::{CRATES, Crate},
};
use crate::{
    cmd::Cmd,
    paths::{self, find_program},
};

pub(super) fn ensure(level: Level) -> Vec<Missing> {
    let absent = CRATES.iter().filter(|tool| tool.level <= level && find_program(tool.name).is_none());
    absent
        .filter_map(|tool| {
            let error = install_command(tool).args(tool.arguments).run().err()?;
            Some(missing(tool, &error))
        })
        .collect()
}

/// `cargo install`, announced; cargo shows the progress.
pub(super) fn install_command(tool: &Crate) -> Cmd {
    announce(&format!("{} {}", tool.name, tool.version), tool.why, tool.takes);
    // Not in the repository's target directory: cargo builds these in one of their own.
    Cmd::cargo()
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("LD_LIBRARY_PATH")
        .dir("/")
        .args(["install", "--locked", "--root"])
        .arg(paths::cache())
        .arg(format!("{}@{}", tool.name, tool.version))
}

pub(super) fn missing(tool: &Crate, error: &Error) -> Missing {
    Missing { what: tool.name.to_owned(), why_needed: tool.why.to_owned(), why_missing: format!("{error:#}") }
}
