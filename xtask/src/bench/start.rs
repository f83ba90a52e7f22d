//! How much slower a container starts while it is watched.

use anyhow::Result;

use super::{
    Arm, Rig, blocks, containers::Containers, in_turns, report::Promise, report::Report, tracer::Ready,
    tracer::Recipe,
};
use crate::paths::find_program;

/// Starts in a row under one condition, after one that does not count.
const BLOCK: usize = 10;

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let containers = Containers::new(rig.folder.path())?;
    containers.start(5)?;
    let arms = [Arm::off(), Arm::observer(rig), snoops()];
    let samples = in_turns(&arms, rig.pick(1, 10), || {
        let starts = containers.start(rig.pick(3, BLOCK) + 1)?;
        Ok(starts[1..].to_vec())
    })?;
    let samples: Vec<_> = samples.iter().map(|rounds| blocks(rounds, Clone::clone)).collect();
    for (arm, samples_of_arm) in arms.iter().zip(&samples) {
        let what = format!("crun run, {}", arm.name);
        // The promise is about observer only.
        let promise = arm.tracers.iter().any(|tracer| tracer.words[0] == rig.observer.to_string_lossy());
        let promise = promise.then_some(Promise::AtMost(1.03));
        report.compared(what, "ms", (samples_of_arm, &samples[0]), promise);
    }
    report.note("a ratio is between medians of neighbouring blocks; its spread is that of the rounds");
    Ok(())
}

/// Tools that do less: one line an exec, one line an opened file.
fn snoops() -> Arm {
    if find_program("execsnoop").is_some() && find_program("opensnoop").is_some() {
        let tracers =
            vec![Recipe::new(Ready::Holds(4), ["execsnoop"]), Recipe::new(Ready::Holds(4), ["opensnoop"])];
        return Arm { name: "execsnoop + opensnoop (libbpf-tools)".into(), tracers };
    }
    let script = r#"
        tracepoint:sched:sched_process_exec { printf("%d %s\n", pid, str(args->filename)); }
        tracepoint:syscalls:sys_enter_openat { printf("%d %s\n", pid, str(args->filename)); }"#;
    Arm { name: "bpftrace, exec + openat".into(), tracers: vec![Recipe::bpftrace(script, 2)] }
}
