//! `cargo xtask vm`: the same binaries on kernels that are not this machine's, in QEMU under software emulation.
//! Owns the way from a kernel's name to the results of the cases in it. Refuses to know the cases: those are in
//! `tests/src/vm`, whose console lines it reads. Nothing of the host is changed but the cache folder.

mod boot;
mod build;
mod console;
mod cpio;
mod debian;
mod image;
mod machine;

use anyhow::Result;
use boot::Verdict;
use build::Binaries;
use clap::builder::PossibleValuesParser;
use machine::{Arch, MACHINES, Machine};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

#[derive(Debug, Clone, clap::Args)]
pub struct VmArgs {
    /// Which of Debian's cloud kernels to boot
    #[arg(long, default_value = "all", value_parser = kernel_names())]
    pub kernel: String,
}

fn kernel_names() -> PossibleValuesParser {
    PossibleValuesParser::new(MACHINES.iter().map(|machine| machine.name).chain(["all"]))
}

/// What was seen on every machine asked for.
#[derive(Debug, Default)]
pub struct VmOutcome {
    pub machines: Vec<MachineOutcome>,
}

#[derive(Debug)]
pub struct MachineOutcome {
    pub machine: &'static str,
    pub result: MachineResult,
}

#[derive(Debug)]
pub enum MachineResult {
    /// This host lacks something; says what and how to get it.
    Skipped(String),
    Ran(Verdict),
}

impl VmOutcome {
    /// An error when anything failed.
    pub fn into_result(self) -> Result<()> {
        match self.failed() {
            0 => Ok(()),
            failed => anyhow::bail!("{failed} failed in the machines, see above"),
        }
    }

    pub fn passed(&self) -> usize {
        self.verdicts().map(|verdict| verdict.passed.len()).sum()
    }

    /// A machine that did not come to its last line counts as one failure more.
    pub fn failed(&self) -> usize {
        self.verdicts().map(|verdict| verdict.failed.len() + usize::from(verdict.broken.is_some())).sum()
    }

    /// Machine and reason.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.machines.iter().filter_map(|outcome| match &outcome.result {
            MachineResult::Skipped(why) => Some((outcome.machine, why.as_str())),
            MachineResult::Ran(_) => None,
        })
    }

    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.machines.iter().filter_map(|outcome| match &outcome.result {
            MachineResult::Ran(verdict) => Some(verdict),
            MachineResult::Skipped(_) => None,
        })
    }
}

/// Boots the machines and prints what each said: one after the other, but for two architectures at once, as a
/// machine keeps one CPU busy. An error is a fault of the build; what a machine reports, a panic included, is in the
/// outcome.
pub fn run(args: &VmArgs) -> Result<VmOutcome> {
    let wanted = |machine: &&Machine| args.kernel == "all" || args.kernel == machine.name;
    let lane = |arch: Arch| {
        let machines = MACHINES.iter().filter(wanted).filter(move |machine| machine.arch == arch);
        let mut built = None;
        machines.map(|machine| one(machine, &mut built)).collect::<Result<Vec<_>>>()
    };
    let machines = thread::scope(|scope| {
        let lanes = [Arch::X86_64, Arch::Aarch64].map(|arch| scope.spawn(move || lane(arch)));
        let ended = lanes.map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.into_iter().collect::<Result<Vec<_>>>()
    })?;
    let outcome = VmOutcome { machines: machines.into_iter().flatten().collect() };
    println!(
        "vm: {} passed, {} failed, {} kernels skipped",
        outcome.passed(),
        outcome.failed(),
        outcome.skipped().count()
    );
    Ok(outcome)
}

/// `built`: what this architecture's machines run, once the first of them has needed it.
fn one(machine: &Machine, built: &mut Option<Binaries>) -> Result<MachineOutcome> {
    let result = match provide(machine) {
        Ok(parts) => {
            let binaries = match built {
                Some(binaries) => binaries,
                None => built.insert(build_alone(machine.arch)?),
            };
            let initramfs = image::write(machine, binaries, &parts.userland)?;
            MachineResult::Ran(boot::boot(machine, &parts.kernel, &initramfs)?)
        }
        Err(missing) => MachineResult::Skipped(format!("{missing:#}")),
    };
    announce(machine, &result);
    Ok(MachineOutcome { machine: machine.name, result })
}

/// What a machine needs and this project does not build.
struct Parts {
    kernel: PathBuf,
    userland: PathBuf,
}

/// An error here is a lack of this host, with the way to mend it.
fn provide(machine: &Machine) -> Result<Parts> {
    machine.arch.require_tools()?;
    let cache = debian::Cache::open(machine.arch)?;
    Ok(Parts { kernel: cache.kernel(machine.series)?, userland: cache.userland()? })
}

/// Two builds at once would only wait for each other.
fn build_alone(arch: Arch) -> Result<Binaries> {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    build::static_binaries(arch)
}

fn announce(machine: &Machine, result: &MachineResult) {
    let name = machine.name;
    match result {
        MachineResult::Skipped(why) => println!("vm {name}: SKIPPED: {why}"),
        MachineResult::Ran(verdict) => {
            let (passed, failed, seconds) =
                (verdict.passed.len(), verdict.failed.len(), verdict.took.as_secs_f64());
            println!("vm {name}: {passed} passed, {failed} failed in {seconds:.1} s");
            if let Some(broken) = &verdict.broken {
                println!("vm {name}: FAILED: {broken}");
            }
        }
    }
}
