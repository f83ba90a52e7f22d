//! `observer demo`: real containers on this machine, and what observer says of them.
//!
//! It runs as two processes: the first is `observer coldstart -- CMD` and nothing else, the second, CMD, makes
//! the containers. So what the demo shows is what anybody gets.

mod guard;
mod scenario;
pub mod stage;

use std::{env, ffi::OsString};

use anyhow::{Context, Result, bail};
use clap::Parser;

use super::coldstart;
use crate::cli::{self, Cli, Command};
use scenario::SCENARIOS;
use stage::Stage;

/// A Wasm module that prints one line: `hello.wat` beside this file.
pub const HELLO: &[u8] = include_bytes!("hello.wasm");

/// Runs the command and gives its exit code.
///
/// # Errors
/// Not root, a node that must not be touched, nothing that can be shown.
pub fn run(args: &cli::Demo) -> Result<i32> {
    if args.stage {
        return perform();
    }
    guard::allowed(args.on_a_real_node)?;
    announce()?;
    let words = watching(args)?;
    let Command::Coldstart(watch) = Cli::try_parse_from(words)?.command else {
        bail!("`coldstart` no longer means what it did");
    };
    coldstart::run(&watch)
}

/// What is going to be shown, and what is not, and why.
fn announce() -> Result<()> {
    if let Err(missing) = stage::tools::static_busybox() {
        bail!("the demo's containers are made of busybox: {missing}");
    }
    eprintln!(
        "observer: this makes real containers on a private mount and network namespace, and removes them."
    );
    let lacks = |scenario: &scenario::Scenario| scenario.lacks();
    for scenario in SCENARIOS {
        if let Some(lack) = lacks(scenario) {
            eprintln!("observer: NOT SHOWN: {}: {lack}", scenario.name);
        }
    }
    if SCENARIOS.iter().all(|scenario| lacks(scenario).is_some()) {
        bail!("nothing can be shown: there is no container runtime (apt-get install crun)");
    }
    Ok(())
}

/// The command line of the process that watches.
fn watching(args: &cli::Demo) -> Result<Vec<OsString>> {
    let this = env::current_exe().context("cannot find this program's own file")?;
    let mut words: Vec<OsString> =
        ["observer", "coldstart", "--waterfall", "all", "--ready-wait", "1s"].map(OsString::from).to_vec();
    if args.print.format == cli::Format::Json {
        words.extend(["-o", "json"].map(OsString::from));
    }
    if let Some(page) = &args.html {
        words.extend(["--html".into(), page.into()]);
    }
    words.extend(["--".into(), this.into(), "demo".into(), "--stage".into()]);
    Ok(words)
}

/// The process that makes the containers. One scenario's failure is told, and does not keep the next from
/// being shown.
fn perform() -> Result<i32> {
    let stage = Stage::new()?;
    let mut code = 0;
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.lacks().is_none()) {
        eprintln!("demo: {}: {}", scenario.name, scenario.shows);
        if let Err(error) = (scenario.play)(&stage) {
            eprintln!("demo: {} went wrong: {error:#}", scenario.name);
            code = 1;
        }
    }
    Ok(code)
}
