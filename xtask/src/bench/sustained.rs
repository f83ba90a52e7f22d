//! What a steady load costs whoever observes it: CPU time, memory, and what it loses.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Arm, Rig, blocks, memory,
    report::{Promise, Report},
    stats::Blocks,
    tracer::Recipe,
};

/// How often the watched thing is done in a second.
pub(super) const PER_SECOND: usize = 5_000;
/// Ticks of the clock by which the kernel counts CPU time, a second.
const TICKS: f64 = 100.0;

pub(super) struct Cost {
    /// Of one processor.
    cpu_percent: f64,
    resident: f64,
    seen: f64,
    lost: f64,
}

impl Cost {
    pub(super) fn tell(&self, report: &mut Report, what: &str, lossless: Promise) {
        let one = |value: f64| std::iter::once(value).collect::<Blocks>();
        let of = |figure: &str| format!("{PER_SECOND} {what} a second: {figure}");
        report.figure(of("observer's share of a processor"), "%", &one(self.cpu_percent), None);
        report.figure(of("observer's memory at the end"), "MB", &one(self.resident), None);
        report.figure(of("records seen"), "", &one(self.seen), None);
        report.figure(of("records lost"), "", &one(self.lost), Some(lossless));
    }
}

/// Microseconds of one of something under each arm, beside the first.
pub(super) fn tell(report: &mut Report, what: &str, arms: &[Arm], samples: &[Vec<Vec<f64>>]) {
    let of = |rounds: &[Vec<f64>]| blocks(rounds, Clone::clone);
    for (arm, rounds) in arms.iter().zip(samples) {
        report.compared(format!("{what}, {}", arm.name), "us", (&of(rounds), &of(&samples[0])), None);
    }
}

/// Runs the observer while `load` goes on; `family` is the probe that sees it.
pub(super) fn measure(
    rig: &Rig,
    observer: &Recipe,
    family: &str,
    seconds: usize,
    load: impl FnOnce() -> Result<()>,
) -> Result<Cost> {
    let path = rig.folder.path().join(format!("{family}.json"));
    let out = fs::File::create(&path).with_context(|| path.display().to_string())?;
    let tracer = observer.start(out.into())?;
    let pid = tracer.child.id();
    let (before, begun) = (cpu_seconds(pid)?, Instant::now());
    load().with_context(|| format!("{seconds} s of load"))?;
    let cpu_percent = 100.0 * (cpu_seconds(pid)? - before) / begun.elapsed().as_secs_f64();
    let resident = memory::megabytes(pid, "VmRSS:")?;
    tracer.stop()?;
    let said = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut told = said.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let health = told.find(|object| object["type"] == "health").context("it told no health")?;
    let probes = health["probes"].as_array().context("health without probes")?;
    let probe = probes.iter().find(|probe| probe["name"] == family).context("no such probe")?;
    let number = |name: &str| probe[name].as_f64().with_context(|| format!("{family} has no {name}"));
    Ok(Cost { cpu_percent, resident, seen: number("records")?, lost: number("lost")? })
}

pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the observer's CPU time")?;
    let (_, behind) = stat.rsplit_once(')').context("stat without a name")?;
    let ticks: Vec<f64> = behind.split_ascii_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS)
}
