//! What being observed costs a look-up of a name, and what 5,000 a second cost the observer.

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{
    Arm, Rig, in_turns,
    report::{Promise, Report},
    sustained::{self, PER_SECOND},
    tracer::{Ready, Recipe},
};
use crate::{cmd::Cmd, paths::find_program};

/// Samples in a row under one condition, after one that does not count; look-ups in each.
const BLOCK: usize = 10;
const LOOKUPS: usize = 2_000;
/// What gives the latency of a look-up by its socket calls.
const SCRIPT: &str = "tracepoint:syscalls:sys_enter_sendto { @at[tid] = nsecs; @asked[pid] = count(); } \
                      tracepoint:syscalls:sys_exit_recvfrom /@at[tid]/ { @took = hist(nsecs - @at[tid]); delete(@at[tid]); }";

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let mut arms = vec![Arm::off(), Arm { name: "observer run".into(), tracers: vec![watching(rig)] }];
    if find_program("bpftrace").is_some() {
        arms.push(Arm { name: "bpftrace".into(), tracers: vec![Recipe::bpftrace(SCRIPT, 2)] });
    } else {
        report.note("SKIPPED: bpftrace: it is not on this machine (apt-get install bpftrace)");
    }
    let mut asker = Asker::compile(rig)?;
    let samples = in_turns(&arms, rig.pick(1, 10), || {
        asker.ask(LOOKUPS, None)?;
        (0..rig.pick(3, BLOCK)).map(|_| asker.ask(LOOKUPS, None)).collect::<Result<Vec<_>>>()
    })?;
    sustained::tell(report, "a look-up", &arms, &samples);
    let seconds = rig.pick(3, 30);
    let cost = sustained::measure(rig, &watching(rig), "dns", seconds, || {
        asker.ask(seconds * PER_SECOND, Some(PER_SECOND)).map(|_| ())
    })?;
    cost.tell(report, "look-ups", Promise::AtMost(0.0));
    Ok(())
}

fn watching(rig: &Rig) -> Recipe {
    let program = rig.observer.to_string_lossy().into_owned();
    Recipe::new(
        Ready::Says("attached"),
        [&program, "run", "-o", "json", "--socket", "off"].map(str::to_owned),
    )
}

/// The program that asks. It runs before any tracer and ends with its stdin.
struct Asker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Asker {
    fn compile(rig: &Rig) -> Result<Asker> {
        let (source, program) = (rig.folder.path().join("lookups.rs"), rig.folder.path().join("lookups"));
        std::fs::write(&source, include_str!("lookups.rs")).context("lookups.rs")?;
        Cmd::new("rustc").args(["--edition", "2024", "-O", "-o"]).arg(&program).arg(source).output()?;
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(child.stdout.take().context("it has no stdout")?).lines();
        Ok(Asker { orders: child.stdin.take(), answers, child })
    }

    /// The median of what so many look-ups took, in microseconds.
    fn ask(&mut self, count: usize, rate: Option<usize>) -> Result<f64> {
        let orders = self.orders.as_mut().context("it has no stdin")?;
        let rate = rate.map_or_else(String::new, |rate| format!(" {rate}"));
        writeln!(orders, "{count}{rate}").context("cannot ask for look-ups")?;
        let line = self.answers.next().context("the program that asks has ended")??;
        let median = line.split(' ').next().and_then(|word| word.parse::<f64>().ok());
        Ok(median.with_context(|| format!("instead of times it printed {line:?}"))? / 1e3)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Err(error) = self.child.wait() {
            eprintln!("bench: the program that asks: {error}");
        }
    }
}
