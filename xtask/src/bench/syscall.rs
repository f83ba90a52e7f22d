//! What a process that is no container's pays for being on a watched machine: nanoseconds a system call.

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow};

use super::{Arm, Rig, blocks, in_turns, report::Report, tracer::Recipe};
use crate::{cmd::Cmd, paths::find_program};

const CALLS: [&str; 4] = ["write of a byte", "openat + close", "statx", "read of a byte"];

/// Nanoseconds of each of [`CALLS`].
pub(super) type Times = [f64; CALLS.len()];

/// Samples in a row under one condition, after one that does not count.
const BLOCK: usize = 10;

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let mut caller = Caller::compile(rig)?;
    let mut arms = vec![Arm::off(), Arm::observer(rig)];
    if find_program("bpftrace").is_some() {
        arms.push(filtering_bpftrace());
    } else {
        report.note("SKIPPED: bpftrace with a filter: it is not on this machine (apt-get install bpftrace)");
    }
    let samples = in_turns(&arms, rig.pick(1, 10), || {
        caller.sample()?;
        (0..rig.pick(3, BLOCK)).map(|_| caller.sample()).collect::<Result<Vec<_>>>()
    })?;
    tell(report, "", &arms, &samples, &[0, 1, 2]);
    Ok(())
}

/// A figure for each of some calls under each condition, beside the first condition's.
pub(super) fn tell(
    report: &mut Report,
    who: &str,
    arms: &[Arm],
    samples: &[Vec<Vec<Times>>],
    calls: &[usize],
) {
    for index in calls {
        let of = |rounds: &[Vec<Times>]| {
            blocks(rounds, |round| round.iter().map(|sample| sample[*index]).collect())
        };
        for (arm, rounds) in arms.iter().zip(samples) {
            let what = format!("{who}{}, {}", CALLS[*index], arm.name);
            report.compared(what, "ns", (&of(rounds), &of(&samples[0])), None);
        }
    }
}

/// The same calls, entry and return, for a process that makes none of them.
fn filtering_bpftrace() -> Arm {
    let calls = ["write", "openat", "close", "statx"];
    let probes = calls.iter().flat_map(|call| ["enter", "exit"].map(|end| format!("sys_{end}_{call}")));
    let probes: Vec<String> = probes.map(|name| format!("tracepoint:syscalls:{name}")).collect();
    let script = format!("{} /pid == 1/ {{ @[probe] = count(); }}", probes.join(", "));
    let recipe = Recipe::bpftrace(&script, probes.len());
    Arm { name: "bpftrace /pid == 1/".into(), tracers: vec![recipe] }
}

/// The program that makes the calls, needing nothing but itself.
pub(super) fn compile(rig: &Rig) -> Result<PathBuf> {
    let (source, program) = (rig.folder.path().join("calls.rs"), rig.folder.path().join("calls"));
    std::fs::write(&source, include_str!("calls.rs")).context("calls.rs")?;
    let flags = ["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"];
    Cmd::new("rustc").args(flags).arg(&program).arg(source).output()?;
    Ok(program)
}

/// The program that makes the calls. It runs before any tracer and ends with its stdin.
pub(super) struct Caller {
    child: Child,
    ask: Option<ChildStdin>,
    answers: Lines<Box<dyn BufRead>>,
}

impl Caller {
    pub(super) fn compile(rig: &Rig) -> Result<Caller> {
        let program = compile(rig)?;
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = Box::new(BufReader::new(child.stdout.take().context("it has no stdout")?));
        Ok(Caller::new(child, answers))
    }

    /// One that answers on standard error.
    pub(super) fn contained(mut child: Child) -> Result<Caller> {
        let answers = Box::new(BufReader::new(child.stderr.take().context("it has no stderr")?));
        Ok(Caller::new(child, answers))
    }

    fn new(mut child: Child, answers: Box<dyn BufRead>) -> Caller {
        Caller { ask: child.stdin.take(), answers: answers.lines(), child }
    }

    pub(super) fn sample(&mut self) -> Result<Times> {
        writeln!(self.ask.as_mut().context("it has no stdin")?).context("cannot ask for calls")?;
        let line = self.answers.next().context("the program that makes calls has ended")??;
        let times: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        times.try_into().map_err(|_| anyhow!("instead of {} times it printed {line:?}", CALLS.len()))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Err(error) = self.child.wait() {
            eprintln!("bench: the program that makes calls: {error}");
        }
    }
}
