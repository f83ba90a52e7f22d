//! How many events a second the rules judge on one core, and whether they forget containers that are gone: by what the
//! model makes of recordings, told again and again about other containers.

use anyhow::{Context as _, Result, bail};

use super::{
    Rig,
    report::{Promise, Report},
    stats::Blocks,
};
use crate::{cmd::Cmd, paths};

/// One in which all is well, one in which eight containers cannot look up names, one whose container's output is lost.
const RECORDINGS: [&str; 3] = ["healthy-node.rec", "dns-failed.rec", "kubectl-logs-empty-reader-gone.rec"];

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    if !rig.built_here {
        report.note("SKIPPED: it needs a build (no --observer)");
        return Ok(());
    }
    let cases = paths::repo().join("observer/catalogue/cases");
    let mut said: Vec<String> = Vec::new();
    for name in RECORDINGS.repeat(rig.pick(1, 3)) {
        let example = ["run", "--quiet", "--release", "--package", "observer", "--no-default-features"];
        let example =
            Cmd::cargo().args(example).args(["--features", "record", "--example", "rules_speed", "--"]);
        said.extend(example.arg(cases.join(name)).output()?.lines().map(str::to_owned));
    }
    for name in RECORDINGS {
        for rate in ["1000", "100000"] {
            let speeds: Blocks =
                numbers(&said, &["speed", name, rate])?.into_iter().map(|of| of[0]).collect();
            let promise = Some(Promise::AtLeast(100_000.0));
            report.figure(format!("{name}, {rate} events/s"), "events/s of CPU time", &speeds, promise);
        }
        let held = numbers(&said, &["memory", name])?;
        let in_mb = |at: usize| held.iter().map(|of| of[at] / 1e6).collect::<Blocks>();
        let pair = (&in_mb(1), &in_mb(0));
        let what = format!("{name}, resident after 10000 containers, against after 1000");
        report.compared(what, "MB", pair, Some(Promise::AtMost(1.1)));
    }
    Ok(())
}

/// What follows these words, on each line that begins with them.
fn numbers(said: &[String], words: &[&str]) -> Result<Vec<Vec<f64>>> {
    let lines = said.iter().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = lines.filter(|line| line.starts_with(words));
    let numbers = found.map(|line| line[words.len()..].iter().map(|word| word.parse()).collect());
    let numbers: Vec<Vec<f64>> =
        numbers.collect::<Result<_, _>>().context("rules_speed says what is no number")?;
    if numbers.is_empty() {
        bail!("rules_speed says nothing of {}", words.join(" "));
    }
    Ok(numbers)
}
