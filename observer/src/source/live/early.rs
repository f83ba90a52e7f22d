//! Loading ahead, on several processors: until everything is attached, most of the time is the verifier's, and it
//! works for one program of each thread at a time. What is refused here says so when its turn on the ladder comes.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};

use super::{
    attach::{Asked, Kernel},
    syscalls,
};
use crate::probes::{self, spec::Rung};

/// More than these do not make it faster: the largest program is the rest.
const MAX_THREADS: usize = 4;

/// Loads what is likely to be attached: for each hook, the programs of the first rung that fits this kernel.
pub fn load(ebpf: &mut Ebpf, kernel: &Kernel, asked: Asked) {
    let wanted = wanted(kernel, asked);
    let all = ebpf.programs_mut();
    let jobs = all.filter_map(|(name, program)| Some((program, *wanted.get(name)?)));
    let jobs: Mutex<Vec<_>> = Mutex::new(jobs.collect());
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let work = || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((program, tracepoint)) = job else { return };
            let _ = load_one(program, tracepoint, kernel);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

/// Names of programs, with the tracepoints that those with types are loaded for.
fn wanted(kernel: &Kernel, (asked, idle): Asked) -> BTreeMap<&'static str, Option<&'static str>> {
    let is_asked = |family| asked.contains(&family) && !idle.iter().any(|(idle, _)| *idle == family);
    let specs = probes::SPECS.iter().filter(|spec| is_asked(spec.family));
    let hooks = specs.flat_map(|spec| spec.hooks).filter(|hook| hook.covered_by.is_none());
    let rungs = hooks.filter_map(|hook| hook.rungs.iter().find(|rung| kernel.check(rung).is_ok()));
    rungs.flat_map(programs).collect()
}

fn programs(rung: &Rung) -> Vec<(&'static str, Option<&'static str>)> {
    match *rung {
        Rung::Btf { program, tracepoint, .. } => vec![(program, Some(tracepoint))],
        Rung::SyscallExit { program, .. } => vec![(program, Some(syscalls::EXIT))],
        Rung::Raw { program, .. } | Rung::OnDemand { program } => vec![(program, None)],
        Rung::Packets { ingress, egress } => vec![(ingress, None), (egress, None)],
        Rung::Syscall { enter, exit, .. } => enter.into_iter().chain([exit]).map(|p| (p, None)).collect(),
        // Few and small, or refused by more kernels than not.
        Rung::Functions { .. } | Rung::Iterator { .. } => Vec::new(),
    }
}

fn load_one(program: &mut Program, tracepoint: Option<&str>, kernel: &Kernel) -> Result<(), ProgramError> {
    match (program, tracepoint, kernel.btf) {
        (Program::BtfTracePoint(program), Some(tracepoint), Some(btf)) => program.load(tracepoint, btf),
        (Program::RawTracePoint(program), None, _) => program.load(),
        (Program::TracePoint(program), None, _) => program.load(),
        (Program::CgroupSkb(program), None, _) => program.load(),
        _ => Ok(()),
    }
}
