//! What a process that is no container's pays for being on a watched machine: nanoseconds a system call.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{Arm, Rig, blocks, in_turns, report::Report, tracer::Recipe};
use crate::{cmd::Cmd, paths::find_program};

const CALLS: [&str; 3] = ["write of a byte", "openat + close", "statx"];

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
    for (index, call) in CALLS.into_iter().enumerate() {
        let of = |rounds: &[Vec<[f64; 3]>]| {
            blocks(rounds, |round| round.iter().map(|sample| sample[index]).collect())
        };
        for (arm, rounds) in arms.iter().zip(&samples) {
            report.compared(format!("{call}, {}", arm.name), "ns", (&of(rounds), &of(&samples[0])), None);
        }
    }
    Ok(())
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

/// The program that makes the calls. It runs before any tracer and ends with its stdin.
struct Caller {
    child: Child,
    ask: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Caller {
    fn compile(rig: &Rig) -> Result<Caller> {
        let (source, program) = (rig.folder.path().join("calls.rs"), rig.folder.path().join("calls"));
        std::fs::write(&source, include_str!("calls.rs")).context("calls.rs")?;
        Cmd::new("rustc").args(["--edition", "2024", "-O", "-o"]).arg(&program).arg(source).output()?;
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(child.stdout.take().context("it has no stdout")?).lines();
        Ok(Caller { ask: child.stdin.take(), answers, child })
    }

    /// Nanoseconds of each of [`CALLS`].
    fn sample(&mut self) -> Result<[f64; 3]> {
        writeln!(self.ask.as_mut().context("it has no stdin")?).context("cannot ask for calls")?;
        let line = self.answers.next().context("the program that makes calls has ended")??;
        let times: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        ensure!(times.len() == CALLS.len(), "instead of three times it printed {line:?}");
        Ok([times[0], times[1], times[2]])
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
