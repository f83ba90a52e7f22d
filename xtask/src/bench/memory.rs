//! How much memory observer holds.

use std::{fs, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    Rig,
    containers::Containers,
    report::{Promise, Report},
    stats::Blocks,
};

/// For what is done once after attaching, and after the last start.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let containers = Containers::new(rig.folder.path())?;
    let starts = rig.pick(10, 200);
    let mut fields: [Vec<f64>; 4] = Default::default();
    for _ in 0..rig.pick(1, 3) {
        let observer = rig.watching(&[]).start(Stdio::null())?;
        let pid = observer.child.id();
        thread::sleep(SETTLE);
        fields[0].push(megabytes(pid, "VmRSS:")?);
        fields[1].push(megabytes(pid, "VmHWM:")?);
        containers.start(starts)?;
        thread::sleep(SETTLE);
        fields[2].push(megabytes(pid, "VmRSS:")?);
        fields[3].push(megabytes(pid, "VmHWM:")?);
        observer.stop()?;
    }
    let growth: Blocks = fields[2].iter().zip(&fields[0]).map(|(after, before)| after - before).collect();
    let [attached, peak_attaching, after, peak] = fields.map(Blocks::from_iter);
    let promise = Some(Promise::AtMost(60.0));
    report.figure("resident, all attached", "MB", &attached, promise);
    report.figure(format!("resident, after {starts} starts"), "MB", &after, promise);
    report.figure(format!("growth over {starts} starts"), "MB", &growth, None);
    report.figure("peak while attaching", "MB", &peak_attaching, None);
    report.figure(format!("peak until after {starts} starts"), "MB", &peak, None);
    Ok(())
}

pub(super) fn megabytes(pid: u32, field: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {field}"))? * 1024.0 / 1e6)
}
