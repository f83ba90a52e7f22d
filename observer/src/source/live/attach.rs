//! The ladder: each hook takes the first rung that attaches; why not a better one is kept.

use std::os::fd::AsFd;

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FExit, Iter, ProgramError,
        RawTracePoint, TracePoint, cgroup_skb::CgroupSkbLink, links::FdLink, trace_point::TracePointLink,
        uprobe::UProbeLink,
    },
};
use observer_ebpf::Family;

use super::{btf::KernelTypes, early, hierarchy, syscalls};
use crate::{
    health::{HookPlan, ProbePlan, Status},
    probes::{
        self,
        spec::{Hook, Rung, Spec},
    },
    source::{facts::HostRoot, live::tracefs::Tracefs},
};

/// Something attached; dropping it detaches.
#[expect(dead_code, reason = "held to be dropped")]
pub enum Link {
    Raw(FdLink),
    Trace(TracePointLink),
    User(UProbeLink),
    Packets(CgroupSkbLink),
}

/// What the ladder needs to know about this kernel.
pub struct Kernel<'a> {
    pub types: Option<&'a KernelTypes>,
    pub btf: Option<&'a Btf>,
    pub tracefs: Tracefs,
    pub host: &'a HostRoot,
}

/// Which families are asked for, and which of them have nothing to watch, and why not.
pub type Asked<'a> = (&'a [Family], &'a [(Family, &'static str)]);

/// A rung that was taken, and what is attached by it.
pub struct Taken {
    pub family: Family,
    pub rung: &'static Rung,
    pub links: Vec<Link>,
}

/// Attaches what the asked families need; says for each how, or why not.
pub fn attach(ebpf: &mut Ebpf, kernel: &Kernel, asked: Asked, taken: &mut Vec<Taken>) -> Vec<ProbePlan> {
    early::load(ebpf, kernel, asked);
    climb(kernel, asked, |family, rung| {
        load_rung(ebpf, kernel, rung)?;
        let mut links = attach_loaded(ebpf, kernel.host, rung)?;
        if let Rung::SyscallExit { .. } = rung {
            // Every syscall pays for what sees all exits: attached only once there is something to hand on.
            syscalls::attach_exits(ebpf, kernel.btf.ok_or("no kernel BTF")?, &mut links)?;
        }
        taken.push(Taken { family, rung, links });
        Ok(())
    })
}

/// What there is to attach when nothing could be loaded, and why not.
pub fn refused(kernel: &Kernel, why: &str) -> Vec<ProbePlan> {
    climb(kernel, (Family::ALL, &[]), |_, _| Err(why.to_owned()))
}

fn climb(
    kernel: &Kernel,
    (asked, idle): Asked,
    mut take: impl FnMut(Family, &'static Rung) -> Result<(), String>,
) -> Vec<ProbePlan> {
    let mut plans = Vec::new();
    for spec in probes::SPECS {
        if !asked.contains(&spec.family) {
            plans.push(ProbePlan { family: spec.family, status: Status::Off, hooks: Vec::new() });
            continue;
        }
        if let Some((_, why)) = idle.iter().find(|(family, _)| *family == spec.family) {
            let plan = |hook: &Hook| HookPlan { name: hook.name, rung: None, why: Some((*why).to_owned()) };
            let hooks = spec.hooks.iter().map(plan).collect();
            plans.push(ProbePlan { family: spec.family, status: Status::NotApplicable, hooks });
            continue;
        }
        let mut hooks: Vec<HookPlan> = Vec::new();
        for hook in spec.hooks {
            let mut take = |rung| take(spec.family, rung);
            let plan = covered(hook, &hooks, &plans).unwrap_or_else(|| climb_hook(kernel, hook, &mut take));
            hooks.push(plan);
        }
        plans.push(judge(spec, hooks));
    }
    plans
}

/// Nothing is attached to what another hook sees as well.
fn covered(hook: &Hook, taken: &[HookPlan], before: &[ProbePlan]) -> Option<HookPlan> {
    let by = hook.covered_by?;
    let of_others = before.iter().flat_map(|plan| &plan.hooks);
    let rung = taken.iter().chain(of_others).find(|plan| plan.name == by)?.rung?;
    Some(HookPlan { name: hook.name, rung: Some(rung), why: None })
}

fn climb_hook(
    kernel: &Kernel,
    hook: &'static Hook,
    take: &mut impl FnMut(&'static Rung) -> Result<(), String>,
) -> HookPlan {
    let mut refused = Vec::new();
    for rung in hook.rungs {
        match kernel.check(rung).and_then(|()| take(rung)) {
            Ok(()) => {
                return HookPlan { name: hook.name, rung: Some(rung.kind()), why: reasons(&refused) };
            }
            Err(why) => refused.push(format!("{}: {why}", rung.kind())),
        }
    }
    HookPlan { name: hook.name, rung: None, why: reasons(&refused) }
}

fn reasons(refused: &[String]) -> Option<String> {
    (!refused.is_empty()).then(|| refused.join("; "))
}

fn judge(spec: &Spec, hooks: Vec<HookPlan>) -> ProbePlan {
    if spec.hooks.is_empty() {
        let why = "nothing that it could attach to was seen yet".to_owned();
        let hooks = vec![HookPlan { name: "libraries", rung: None, why: Some(why) }];
        return ProbePlan { family: spec.family, status: Status::Waiting, hooks };
    }
    let missing = |hook: &&Hook| hooks.iter().any(|plan| plan.name == hook.name && plan.rung.is_none());
    let required = spec.hooks.iter().filter(|hook| hook.required).count();
    let required_missing = spec.hooks.iter().filter(|hook| hook.required).filter(missing).count();
    // What is optional adds to the others, and is nothing by itself.
    let has_nothing = required > 0 && required == required_missing;
    let status = if has_nothing || hooks.iter().all(|plan| plan.rung.is_none()) {
        Status::Failed
    } else if required_missing > 0 {
        Status::Degraded
    } else {
        Status::Attached
    };
    ProbePlan { family: spec.family, status, hooks }
}

impl Kernel<'_> {
    /// A rung counts only if what it would see has the shape that the program expects.
    pub(super) fn check(&self, rung: &Rung) -> Result<(), String> {
        match rung {
            Rung::Btf { tracepoint, arguments, .. } => {
                self.btf.ok_or("no kernel BTF")?;
                self.types.ok_or("no kernel BTF")?.check_tracepoint(tracepoint, arguments)
            }
            Rung::Raw { tracepoint, arguments, .. } => {
                self.types.ok_or("no kernel BTF to check it against")?.check_tracepoint(tracepoint, arguments)
            }
            Rung::SyscallExit { .. } => {
                self.btf.ok_or("no kernel BTF")?;
                self.types.ok_or("no kernel BTF")?.check_tracepoint(syscalls::EXIT, &["pt_regs"])
            }
            Rung::Syscall { syscall, arguments, .. } => self.tracefs.check_syscall(syscall, arguments),
            Rung::Functions { programs } => {
                let types = self.types.ok_or("no kernel BTF")?;
                programs.iter().try_for_each(|function| types.check_function(function, &["kiocb"]))
            }
            Rung::Iterator { .. } => self.btf.map(|_| ()).ok_or_else(|| "no kernel BTF".to_owned()),
            Rung::Packets { .. } => hierarchy::open_root(self.host).map(drop),
            Rung::OnDemand { .. } => Ok(()),
        }
    }
}

fn load_rung(ebpf: &mut Ebpf, kernel: &Kernel, rung: &Rung) -> Result<(), String> {
    let btf = || kernel.btf.ok_or("no kernel BTF");
    match rung {
        Rung::Btf { program, tracepoint, .. } => {
            let program: &mut BtfTracePoint = program_mut(ebpf, program)?;
            let btf = btf()?;
            load_once(|| program.load(tracepoint, btf))
        }
        Rung::Raw { program, .. } | Rung::OnDemand { program } => {
            let program: &mut RawTracePoint = program_mut(ebpf, program)?;
            load_once(|| program.load())
        }
        Rung::Functions { programs } => programs.iter().try_for_each(|function| {
            let program: &mut FExit = program_mut(ebpf, function)?;
            let btf = btf()?;
            load_once(|| program.load(function, btf))
        }),
        Rung::Iterator { program, over } => {
            let program: &mut Iter = program_mut(ebpf, program)?;
            let btf = btf()?;
            load_once(|| program.load(over, btf))
        }
        Rung::Packets { ingress, egress } => [ingress, egress].into_iter().try_for_each(|program| {
            let program: &mut CgroupSkb = program_mut(ebpf, program)?;
            load_once(|| program.load())
        }),
        Rung::SyscallExit { program, .. } => syscalls::load(ebpf, btf()?, program),
        Rung::Syscall { enter, exit, .. } => enter.iter().chain([exit]).try_for_each(|program| {
            let program: &mut TracePoint = program_mut(ebpf, program)?;
            load_once(|| program.load())
        }),
    }
}

/// Attaches what is loaded: at first, and again after it was detached for a while.
pub fn attach_loaded(ebpf: &mut Ebpf, host: &HostRoot, rung: &Rung) -> Result<Vec<Link>, String> {
    Ok(match rung {
        Rung::Btf { program, .. } => {
            let program: &mut BtfTracePoint = program_mut(ebpf, program)?;
            let id = program.attach().map_err(|error| explain(&error))?;
            vec![Link::Raw(program.take_link(id).map_err(|error| explain(&error))?.into())]
        }
        Rung::Raw { program, tracepoint, .. } => {
            let program: &mut RawTracePoint = program_mut(ebpf, program)?;
            let id = program.attach(tracepoint).map_err(|error| explain(&error))?;
            vec![Link::Raw(program.take_link(id).map_err(|error| explain(&error))?.into())]
        }
        Rung::Functions { programs } => attach_functions(ebpf, programs)?,
        Rung::Packets { ingress, egress } => {
            let root = hierarchy::open_root(host)?;
            let ingress = attach_packets(ebpf, ingress, &root, CgroupSkbAttachType::Ingress)?;
            let egress = attach_packets(ebpf, egress, &root, CgroupSkbAttachType::Egress)?;
            vec![Link::Packets(ingress), Link::Packets(egress)]
        }
        Rung::Iterator { .. } | Rung::OnDemand { .. } => Vec::new(),
        Rung::SyscallExit { syscall, program } => {
            syscalls::hand_over(ebpf, syscall, program)?;
            Vec::new()
        }
        Rung::Syscall { syscall, enter, exit, .. } => {
            // Exit first: an entry that is kept must have an exit that clears it.
            let mut links = vec![Link::Trace(attach_tracepoint(ebpf, exit, &format!("sys_exit_{syscall}"))?)];
            if let Some(enter) = enter {
                links.push(Link::Trace(attach_tracepoint(ebpf, enter, &format!("sys_enter_{syscall}"))?));
            }
            links
        }
    })
}

/// All of them, or none: what half of them see is no count.
fn attach_functions(ebpf: &mut Ebpf, programs: &[&str]) -> Result<Vec<Link>, String> {
    let mut links = Vec::new();
    for function in programs {
        let program: &mut FExit = program_mut(ebpf, function)?;
        let id = program.attach().map_err(|error| explain(&error))?;
        let link = program.take_link(id).map_err(|error| explain(&error))?;
        links.push(Link::Raw(link.into()));
    }
    Ok(links)
}

/// Beside the programs of others, which see the same packets.
fn attach_packets(
    ebpf: &mut Ebpf,
    program: &str,
    root: impl AsFd,
    to: CgroupSkbAttachType,
) -> Result<CgroupSkbLink, String> {
    let program: &mut CgroupSkb = program_mut(ebpf, program)?;
    // A link takes no flags: it is always one of several.
    let id = program.attach(root, to, CgroupAttachMode::Single).map_err(|error| explain(&error))?;
    program.take_link(id).map_err(|error| explain(&error))
}

fn attach_tracepoint(ebpf: &mut Ebpf, program: &str, event: &str) -> Result<TracePointLink, String> {
    let program: &mut TracePoint = program_mut(ebpf, program)?;
    let id = program.attach("syscalls", event).map_err(|error| explain(&error))?;
    program.take_link(id).map_err(|error| explain(&error))
}

pub(super) fn program_mut<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, String>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or_else(|| format!("no program {name} in the object"))?;
    program.try_into().map_err(|error: ProgramError| explain(&error))
}

/// One program serves several hooks: a second load is no error.
pub(super) fn load_once(load: impl FnOnce() -> Result<(), ProgramError>) -> Result<(), String> {
    match load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(()),
        Err(error) => Err(explain(&error)),
    }
}

/// The whole chain of causes on one line. A verifier log ends with what it objects to.
pub(super) fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    // After its objection the verifier says what its work was.
    let says = |line: &&str| {
        let work = ["processed ", "verification time ", "stack depth "];
        !line.trim().is_empty() && !work.iter().any(|word| line.starts_with(word))
    };
    let lines: Vec<&str> = text.lines().filter(says).collect();
    match lines.as_slice() {
        [] => text,
        [first] => (*first).to_owned(),
        [first, last] => format!("{first} .. {last}"),
        [first, .., objection, last] => format!("{first} .. {objection} {last}"),
    }
}
