//! What following containers beyond their start costs: a process that is no container's, and one of a container,
//! which writes bytes as fast as it can. Nanoseconds a call.

use anyhow::{Result, ensure};

use super::{
    Arm, Rig,
    containers::Containers,
    in_turns,
    report::Report,
    syscall::{self, Caller, Times},
    tracer::Recipe,
};
use crate::paths::find_program;

/// Samples in a row under one condition, after one that does not count.
const BLOCK: usize = 10;
/// Of `syscall::CALLS`: those whose exits are seen.
const WRITE_AND_READ: [usize; 2] = [0, 3];

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let bpftrace = find_program("bpftrace").is_some();
    if !bpftrace {
        report.note("SKIPPED: bpftrace: it is not on this machine (apt-get install bpftrace)");
    }
    let arms = |script: &str, name: &str| {
        let mut arms = vec![Arm::off(), following(rig)];
        if bpftrace {
            arms.push(Arm { name: name.into(), tracers: vec![Recipe::bpftrace(script, 2)] });
        }
        arms
    };

    let filter = "tracepoint:syscalls:sys_exit_write, tracepoint:syscalls:sys_exit_read /pid == 1/ \
                  { @[probe] = count(); }";
    let filtering = arms(filter, "bpftrace /pid == 1/");
    let samples = measure(rig, &filtering, Caller::compile(rig)?)?;
    syscall::tell(report, "not watched: ", &filtering, &samples, &WRITE_AND_READ);

    let sums = "tracepoint:syscalls:sys_exit_write, tracepoint:syscalls:sys_exit_read /args->ret > 0/ \
                { @[pid] = sum(args->ret); }";
    let summing = arms(sums, "bpftrace bytes by pid");
    let containers = Containers::new(rig.folder.path())?;
    let contained = Caller::contained(containers.hold(&syscall::compile(rig)?, "contained")?)?;
    let samples = measure(rig, &summing, contained)?;
    syscall::tell(report, "in a container: ", &summing, &samples, &WRITE_AND_READ);
    Ok(())
}

fn following(rig: &Rig) -> Arm {
    let program = rig.observer.to_string_lossy().into_owned();
    let words = [&program, "run", "-o", "json"].map(str::to_owned);
    Arm { name: "observer run".into(), tracers: vec![Recipe::new(super::Ready::Says("attached"), words)] }
}

fn measure(rig: &Rig, arms: &[Arm], mut caller: Caller) -> Result<Vec<Vec<Vec<Times>>>> {
    let samples = in_turns(arms, rig.pick(1, 10), || {
        caller.sample()?;
        (0..rig.pick(3, BLOCK)).map(|_| caller.sample()).collect::<Result<Vec<_>>>()
    })?;
    ensure!(samples.len() == arms.len(), "a condition was not measured");
    Ok(samples)
}
