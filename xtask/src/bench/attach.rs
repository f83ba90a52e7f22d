//! How long observer takes to be there, and to be gone.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{
    Rig,
    report::{Promise, Report},
    stats::Blocks,
    tracer::{Recipe, wait},
};
use crate::{cmd::Cmd, paths::find_program};

/// Calls that the rival watches.
const CALLS: &[&str] = &[
    "openat", "close", "read", "write", "mount", "umount", "setns", "unshare", "clone", "execve", "chdir",
    "chroot", "fchdir", "prctl", "seccomp", "capset", "listen", "connect", "bind", "socket",
];

/// Milliseconds.
struct Sample {
    attached: f64,
    said_all: f64,
    ended: f64,
}

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    // The first ones read their files from the disk.
    once(&rig.watching(&[]))?;
    once(&rig.running())?;
    let has_rival = find_program("bpftrace").is_some();
    if has_rival {
        rival()?;
    } else {
        report.note("SKIPPED: the comparison: no bpftrace on this machine (apt-get install bpftrace)");
    }
    let (mut samples, mut of_run, mut rivals) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rig.pick(2, 10) {
        samples.push(once(&rig.watching(&[]))?);
        of_run.push(once(&rig.running())?);
        if has_rival {
            rivals.push(rival()?);
        }
    }
    let attached = of(&samples, |sample| sample.attached);
    report.figure("launch to all attached", "ms", &attached, Some(Promise::AtMost(500.0)));
    report.figure("the same of `run`, all families", "ms", &of(&of_run, |sample| sample.attached), None);
    if has_rival {
        let rivals: Blocks = rivals.into_iter().collect();
        let what = format!("bpftrace, {} probes, launch to end", 2 * CALLS.len());
        report.figure(what, "ms", &rivals, None);
        report.compared("launch to all attached, over that", "ms", (&attached, &rivals), None);
    }
    for (name, samples) in [("", &samples), (", `run`", &of_run)] {
        let said_all = of(samples, |sample| sample.said_all);
        report.figure(format!("Ctrl-C to the last line printed{name}"), "ms", &said_all, None);
        let ended = of(samples, |sample| sample.ended);
        report.figure(format!("Ctrl-C to the end of the process{name}"), "ms", &ended, None);
    }
    Ok(())
}

fn of(samples: &[Sample], field: fn(&Sample) -> f64) -> Blocks {
    samples.iter().map(field).collect()
}

/// bpftrace, which attaches about as many probes that do next to nothing, and ends: milliseconds.
fn rival() -> Result<f64> {
    let ends = |call: &&str| ["enter", "exit"].map(|end| format!("tracepoint:syscalls:sys_{end}_{call}"));
    let probes = CALLS.iter().flat_map(ends).collect::<Vec<_>>().join(", ");
    let script = format!("BEGIN {{ exit(); }} {probes} /pid == 1/ {{ @ = count(); }}");
    let begun = Instant::now();
    Cmd::new("bpftrace").args(["-e", &script]).output()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn once(recipe: &Recipe) -> Result<Sample> {
    let begun = Instant::now();
    let mut observer = recipe.start(Stdio::piped())?;
    let attached = begun.elapsed();
    let stdout = observer.child.stdout.take().context("observer has no stdout")?;
    let reader = thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.map(|_| Instant::now()).last()
    });
    let stopped = Instant::now();
    observer.interrupt()?;
    let status = wait(&mut observer.child, Duration::from_secs(30))?;
    let ended = stopped.elapsed();
    ensure!(status.success(), "observer ended with {status}");
    let last =
        reader.join().map_err(|_| anyhow!("the thread that reads died"))?.context("it printed nothing")?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Sample {
        attached: ms(attached),
        said_all: ms(last.saturating_duration_since(stopped)),
        ended: ms(ended),
    })
}
