//! `soak`: the observer as a service under container churn, for as long as is asked. What is done is in
//! `tests/src/soak`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    build::{self, BuildArgs},
    cmd::{self, Cmd},
    paths,
    setup::{self, Level},
};

#[derive(Args)]
pub struct SoakArgs {
    /// How long its first life is, which ends with kill -9; a second one of a tenth of that follows
    #[arg(long = "for", value_name = "TIME", value_parser = seconds, default_value = "30m")]
    lasts: u64,
    /// What the recording may take, in MiB: little enough that old segments go
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    record_limit: u64,
    /// Run this binary, and build nothing but what makes the containers
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
}

pub fn run(args: &SoakArgs) -> Result<()> {
    ensure!(
        cmd::is_root(),
        "it starts containers and loads kernel programs: run `sudo -E env \"PATH=$PATH\" cargo xtask soak`"
    );
    let observer = if let Some(given) = &args.observer {
        given.canonicalize().with_context(|| given.display().to_string())?
    } else {
        for item in setup::ensure(Level::Test)? {
            eprintln!("soak: goes on without {item}");
        }
        build::run(&BuildArgs::default())?;
        paths::target().join("debug/observer")
    };
    let words =
        ["run", "--quiet", "--locked", "-p", "observer-tests", "--features", "live", "--bin", "soak", "--"];
    let numbers = [args.lasts.to_string(), args.record_limit.to_string()];
    Cmd::cargo().env("OBSERVER", observer).args(words).args(&numbers).run()
}

/// `90s`, `30m` or `2h`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time; write 90s, 30m or 2h");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let times = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    // Shorter, and nothing of what is looked at has happened yet.
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(times))
        .filter(|all| *all >= 60)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_have_units_and_are_no_shorter_than_a_minute() {
        assert_eq!((seconds("90s"), seconds("30m"), seconds("2h")), (Ok(90), Ok(1_800), Ok(7_200)));
        for wrong in ["", "m", "30", "1s", "-3m", "3 m", "é", "99999999999999999999h"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
