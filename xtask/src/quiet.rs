//! `quiet`: makes ordinary work for a while, and says what the observer says of it, which should be nothing.

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    build::{self, BuildArgs},
    cmd::{self, Cmd},
    paths,
    setup::{self, Level},
};

#[derive(Args)]
pub struct QuietArgs {
    /// For how long, e.g. 15m or 1h
    #[arg(long = "for", value_name = "DURATION", default_value = "60m", value_parser = seconds)]
    duration: u64,
}

fn seconds(text: &str) -> Result<u64, String> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()].parse().map_err(|_| "not a number".to_owned())?;
    let of = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("a number and s, m or h".to_owned()),
    };
    number.checked_mul(of).ok_or_else(|| "too long".to_owned())
}

pub fn run(args: &QuietArgs) -> Result<()> {
    ensure!(
        cmd::is_root(),
        "it starts containers and loads kernel programs: run `sudo -E env \"PATH=$PATH\" cargo xtask quiet`"
    );
    for item in setup::ensure(Level::Test)? {
        eprintln!("quiet: goes on without {item}");
    }
    build::run(&BuildArgs::default())?;
    let observer = paths::target().join("debug/observer");
    let run =
        ["run", "--quiet", "--locked", "-p", "observer-tests", "--features", "live", "--bin", "quiet", "--"];
    Cmd::cargo().env("OBSERVER", observer).args(run).args([args.duration.to_string()]).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!([seconds("90s"), seconds("15m"), seconds("1h")], [Ok(90), Ok(900), Ok(3_600)]);
        for wrong in ["", "15", "m", "1d", "99999999999999999999h", "18446744073709551615h"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
