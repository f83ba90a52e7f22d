//! `setup`: takes what is there, installs what is missing, says what and why. What cannot be installed is
//! named and handed back: callers go on with what is possible.

mod apt;
mod bpf;
mod cargo_tools;
mod npm;
mod table;
mod venv;

use std::{fmt, fs, path::Path, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    cmd::Cmd,
    paths::{self, find_program},
};
use table::Seen;

#[derive(Args)]
pub struct SetupArgs {
    /// What must work afterwards; each level includes those before it
    #[arg(long = "for", value_enum, default_value_t = Level::Test)]
    level: Level,
}

/// What is needed for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// `cargo xtask build`
    Build,
    /// `cargo xtask demo`
    Demo,
    /// `cargo xtask test`, `vm`, `bench` and `dist`
    Test,
}

/// Something that is needed and could not be installed.
#[derive(Clone, Debug)]
pub struct Missing {
    pub what: String,
    pub why_needed: String,
    pub why_missing: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.what, self.why_needed, self.why_missing)
    }
}

pub fn run(args: &SetupArgs) -> Result<()> {
    let missing = ensure(args.level)?;
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{} things are still missing, named above", missing.len());
}

/// Installs what is missing up to `level` and returns what could not be installed.
pub fn ensure(level: Level) -> Result<Vec<Missing>> {
    let began = Instant::now();
    let bin = paths::cache().join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;

    let mut missing = Vec::new();
    missing.extend(rustup_components());
    missing.extend(apt::ensure(level));
    missing.extend(bpf::ensure());
    missing.extend(cargo_tools::ensure(level));
    if level >= Level::Test {
        missing.extend(venv::ensure());
        missing.extend(npm::ensure());
    }
    for item in &missing {
        eprintln!("setup: MISSING {item}");
    }
    let verdict = if missing.is_empty() { "everything is there" } else { "the rest is there" };
    let seconds = began.elapsed().as_secs_f32();
    eprintln!("setup: {verdict} (tools in {}; {seconds:.1} s)", paths::cache().display());
    Ok(missing)
}

/// Says what is about to be installed and why.
fn announce(what: &str, why: &str, takes: Option<&str>) {
    let takes = takes.map(|takes| format!("; takes {takes}")).unwrap_or_default();
    eprintln!("setup: installing {what}: it {why}{takes}");
}

fn is_there(seen: Seen) -> bool {
    match seen {
        Seen::Program(name) => find_program(name).is_some(),
        Seen::File(path) => Path::new(path).exists(),
    }
}

fn rustup_components() -> Vec<Missing> {
    let absent = table::RUSTUP.iter().filter(|(_, program, _)| find_program(program).is_none());
    let install = |(component, _, why): &(&str, &str, &str)| {
        announce(component, why, None);
        let error = Cmd::new("rustup").args(["component", "add", component]).run().err()?;
        Some(Missing {
            what: (*component).to_owned(),
            why_needed: (*why).to_owned(),
            why_missing: format!("{error:#}"),
        })
    };
    absent.filter_map(install).collect()
}
