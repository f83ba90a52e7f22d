//! `confusion`: makes live faults several at once, and writes down what the observer took them for.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    build::{self, BuildArgs},
    cmd::{self, Cmd},
    paths,
    setup::{self, Level},
};

#[derive(Args)]
pub struct ConfusionArgs {
    /// How often each fault is made
    #[arg(long, default_value_t = 2)]
    times: usize,
    /// Of the order; the same gives the same order
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(args: &ConfusionArgs) -> Result<()> {
    ensure!(
        cmd::is_root(),
        "it starts containers and loads kernel programs: run `sudo -E env \"PATH=$PATH\" cargo xtask confusion`"
    );
    for item in setup::ensure(Level::Test)? {
        eprintln!("confusion: goes on without {item}");
    }
    build::run(&BuildArgs::default())?;
    let observer = paths::target().join("debug/observer");
    let run = [
        "run",
        "--quiet",
        "--locked",
        "-p",
        "observer-tests",
        "--features",
        "live",
        "--bin",
        "confusion",
        "--",
    ];
    let numbers = [args.times.to_string(), args.seed.to_string()];
    let page = Cmd::cargo().env("OBSERVER", observer).args(run).args(&numbers).output()?;
    let path = paths::repo().join("docs/CONFUSION.md");
    fs::write(&path, format!("{}\n", page.trim_end())).with_context(|| path.display().to_string())?;
    println!("{page}\n-> {}", path.display());
    Ok(())
}
