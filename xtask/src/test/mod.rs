//! `test`: every check that this machine can run, cheapest first. A stage that fails does not stop the next
//! one, but for `build`: without it there is nothing to run. What cannot run is named in the last lines.

mod listen;
mod stages;
mod tally;
mod verdicts;

use std::{fs, time::Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    build::{self, BuildArgs},
    image,
    setup::{self, Level},
};
use stages::STAGES;
use tally::Tally;

#[derive(Args)]
pub struct TestArgs {
    /// Run these stages only: fmt, tidy, kernel, clippy, unit, build, live, fuzz, vm
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    only: Vec<String>,
    /// Take the machine as it is
    #[arg(long)]
    no_setup: bool,
}

pub fn run(args: &TestArgs) -> Result<()> {
    let names = || STAGES.iter().map(|stage| stage.name);
    if let Some(unknown) = args.only.iter().find(|only| !names().any(|name| name == *only)) {
        bail!("there is no stage `{unknown}`; there are {}", names().collect::<Vec<_>>().join(", "));
    }
    let mut tally = Tally::default();
    if !args.no_setup {
        for item in setup::ensure(Level::Test)? {
            tally.skip(format!("what needs {item}"));
        }
    }
    for left in [stages::skips_file(), verdicts::file()] {
        let _ = fs::remove_file(left);
    }
    let mut replayed = None;
    for stage in
        STAGES.iter().filter(|stage| args.only.is_empty() || args.only.iter().any(|o| o == stage.name))
    {
        eprintln!("\n== {}: {}", stage.name, stage.about);
        let began = Instant::now();
        let failed_before = tally.failed;
        (stage.run)(&mut tally);
        let verdict = if tally.failed == failed_before { "done" } else { "FAILED" };
        eprintln!("== {}: {verdict} in {:.1} s", stage.name, began.elapsed().as_secs_f32());
        if stage.name == "unit" {
            replayed = Some(tally.failed == failed_before);
        }
        if stage.name == "build" && tally.failed > failed_before {
            tally.skip("everything after build: there is nothing to run".to_owned());
            break;
        }
    }
    match verdicts::table(replayed) {
        Ok(table) => println!("\n{table}"),
        Err(error) => tally.fail(format!("the table of causes: {error:#}")),
    }
    println!("\n{}", tally.closing().trim_end());
    if tally.failed > 0 {
        // The closing lines have said it all, and are the last ones.
        std::process::exit(1);
    }
    Ok(())
}

/// Observer with its kernel programs, as the live stage runs it.
fn build(tally: &mut Tally) {
    tally.one("build", build::run(&BuildArgs::default()));
    tally.one("image", image::for_tests());
}
