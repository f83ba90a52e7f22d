//! How fast records go through the whole of observer behind the kernel: `observer replay` of a recording.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::param::clock_ticks_per_second;
use serde_json::Value;

use super::{
    Rig,
    containers::Containers,
    report::{Promise, Report},
    stats::Blocks,
    tracer::wait,
};
use crate::cmd::Cmd;

/// Of one replay.
const PATIENCE: Duration = Duration::from_secs(120);

/// Replays that make one sample: the clock of ended children is precise, but is shown in steps of 10 ms.
const BATCH: usize = 20;

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let starts = rig.pick(40, 400);
    let full = record(rig, "full.rec", starts)?;
    let empty = record(rig, "empty.rec", 0)?;
    let records = records(rig, &full)? - records(rig, &empty)?;
    ensure!(records > 0.0, "the recording of {starts} starts holds no records");
    let (mut whole, mut nothing) = (Vec::new(), Vec::new());
    replay(rig, &full, 1)?;
    for _ in 0..rig.pick(2, 10) {
        whole.push(replay(rig, &full, BATCH)?);
        nothing.push(replay(rig, &empty, BATCH)?);
    }
    let seconds: Vec<f64> = whole.iter().zip(&nothing).map(|(whole, nothing)| whole - nothing).collect();
    let resolution = 2.0 / clock_ticks_per_second() as f64 / BATCH as f64;
    ensure!(
        seconds.iter().all(|seconds| *seconds > 2.0 * resolution),
        "the replay of {starts} starts is too short to be told from that of none: {seconds:?} s"
    );
    let speeds: Blocks = seconds.iter().map(|seconds| records / seconds).collect();
    let in_ms = |seconds: &[f64]| seconds.iter().map(|seconds| seconds * 1e3).collect::<Blocks>();
    report.figure("replay of an empty recording, CPU time", "ms", &in_ms(&nothing), None);
    let pair = (&in_ms(&whole), &in_ms(&nothing));
    report.compared(format!("replay of {starts} starts, CPU time"), "ms", pair, None);
    report.figure(
        "speed, without what the empty one takes",
        "records/s",
        &speeds,
        Some(Promise::AtLeast(500_000.0)),
    );
    let bytes = fs::metadata(&full).with_context(|| full.display().to_string())?.len();
    report.note(format!("the recording holds {records} records of the kernel's in {bytes} bytes"));
    in_process(rig, report)
}

/// A recording of that many starts.
fn record(rig: &Rig, name: &str, starts: usize) -> Result<PathBuf> {
    let containers = Containers::new(rig.folder.path())?;
    let path = rig.folder.path().join(name);
    let observer = rig.watching(&["--record", &path.to_string_lossy()]).start(Stdio::null())?;
    containers.start(starts)?;
    observer.stop()?;
    Ok(path)
}

/// How many records of the kernel's a recording holds, by its last line about health.
fn records(rig: &Rig, recording: &Path) -> Result<f64> {
    let said = Cmd::new(&rig.observer).arg("replay").arg(recording).args(["-o", "json"]).output()?;
    let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let health = lines.rfind(|line| line["type"] == "health").context("replay says nothing of health")?;
    let probes = health["probes"].as_array().context("its health names no probes")?;
    Ok(probes.iter().filter_map(|probe| probe["records"].as_f64()).sum())
}

/// Seconds of CPU time that one replay takes, user and system, all threads.
fn replay(rig: &Rig, recording: &Path, times: usize) -> Result<f64> {
    let before = children_cpu()?;
    for _ in 0..times {
        let mut command = Command::new(&rig.observer);
        command.arg("replay").arg(recording).args(["-o", "json"]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().context("cannot run observer replay")?;
        let status = wait(&mut child, PATIENCE)?;
        ensure!(status.success(), "observer replay: {status}");
    }
    Ok((children_cpu()? - before) / times as f64)
}

/// Of all children that have ended and were waited for, seconds.
fn children_cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    // The second field is a name in parentheses; cutime and cstime are the 16th and 17th.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(13).take(2));
    let ticks = fields.into_iter().flatten().map(str::parse).collect::<Result<Vec<f64>, _>>();
    Ok(ticks.context("/proc/self/stat")?.iter().sum::<f64>() / clock_ticks_per_second() as f64)
}

/// What the recording costs alone, by the observer's own measurement.
fn in_process(rig: &Rig, report: &mut Report) -> Result<()> {
    if !rig.built_here || rig.quick {
        report
            .note("SKIPPED: writing and reading records alone: it needs a build (no --observer, no --quick)");
        return Ok(());
    }
    let example = ["run", "--quiet", "--release", "--package", "observer", "--no-default-features"];
    let example = Cmd::cargo().args(example).args(["--features", "record", "--example", "recording_speed"]);
    example.output()?.lines().for_each(|line| report.note(format!("recording alone: {line}")));
    Ok(())
}
