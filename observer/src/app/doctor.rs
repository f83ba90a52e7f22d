//! `observer doctor`: can this node be observed, is it fit, and what does each lack cost? It looks and asks;
//! probes are attached to see how, and taken back at once.

mod checks;
mod fitness;
mod json;
mod runtimes;
mod table;
mod verdicts;

use std::{io, path::Path};

use anyhow::{Context, Result};
use observer_ebpf::{Family, control::role};
use rustix::time::{ClockId, clock_gettime};

use super::{catalogue::rules, exit, sinks::page_options};
use crate::{
    cli,
    health::{ProbePlan, Status},
    input::{LookupError, ProcessFact},
    pipeline::Settings,
    rules::keywords,
    sink::{is_broken_pipe, table::Options as Page},
    source::{
        facts::{
            HostRoot,
            cri::{self, EngineVersion},
            host::HostFacts,
            procfs,
        },
        live::{self, Live, Options, RING, Tracefs},
    },
    time::Wall,
};

pub use checks::{Check, State};
pub use fitness::Fitness;
pub use runtimes::Runtime;
pub use verdicts::NotTold;

/// Runs the command and gives its exit code.
///
/// # Errors
/// What writing the result gave.
pub fn run(args: &cli::Doctor) -> Result<i32> {
    let host = super::watching::host_root(&args.host)?;
    let probes = trial(&args.host.btf, &host);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let doctor = runtime.block_on(Doctor::examine(&host, args.host.cri.as_deref(), probes));
    let mut out = io::stdout().lock();
    let written = match args.print.format {
        cli::Format::Table => doctor.write_table(page_options(None), &mut out),
        cli::Format::Json => doctor.write_json(&mut out),
    };
    match written {
        Err(error) if is_broken_pipe(&error) => {}
        written => written.context("cannot write the output")?,
    }
    Ok(doctor.exit_code())
}

/// How each probe attaches: tried, and taken back at once. Without the rights to try: how it would.
fn trial(btf: &Path, host: &HostRoot) -> Vec<ProbePlan> {
    let tracefs = Tracefs::find_or_mount(&host.path("/"));
    let options = Options {
        families: Family::ALL,
        btf,
        tracefs: tracefs.clone(),
        host,
        idle: &[],
        names: &[],
        ring: RING,
        keywords: keywords::shipped().unwrap_or_default(),
    };
    match Live::load(&options) {
        Ok(live) => {
            let plans = live.plans().to_vec();
            live.detach();
            plans
        }
        Err(error) => live::plan(btf, tracefs, host, &error),
    }
}

/// What was found on a node.
#[derive(Clone, Debug)]
pub struct Doctor {
    pub time: Wall,
    pub host: HostFacts,
    pub runtimes: Vec<Runtime>,
    /// Processes that are container engines.
    pub engines: Vec<ProcessFact>,
    pub sockets: Vec<EngineSocket>,
    pub probes: Vec<ProbePlan>,
    pub fitness: Fitness,
}

/// A container engine's CRI socket, and who answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSocket {
    pub path: String,
    pub answer: Result<EngineVersion, LookupError>,
}

impl Doctor {
    /// Looks at the node. `socket` is a configured CRI socket; `probes` is how each would attach.
    pub async fn examine(host: &HostRoot, socket: Option<&Path>, probes: Vec<ProbePlan>) -> Self {
        let mut sockets = Vec::new();
        for path in cri::sockets(host, socket) {
            let answer = cri::Engine::new(&path).version().await;
            sockets.push(EngineSocket { path: path.display().to_string(), answer });
        }
        let mut engines = procfs::snapshot(host).unwrap_or_default();
        engines.retain(|process| process.role & role::ENGINE != 0);
        let now = clock_gettime(ClockId::Realtime);
        Self {
            time: Wall(now.tv_sec * 1_000_000_000 + now.tv_nsec),
            host: HostFacts::read(host),
            runtimes: runtimes::find(host).await,
            engines,
            sockets,
            probes,
            fitness: Fitness::read(host, now.tv_sec.unsigned_abs()),
        }
    }

    pub fn checks(&self) -> Vec<Check> {
        checks::checks(self)
    }

    /// What is asked of a node whether it is observed or not.
    pub fn fitness(&self) -> Vec<Check> {
        fitness::checks(&self.fitness, &self.runtimes, self.time.0.div_euclid(1_000_000_000))
    }

    /// The probes that cannot attach at all although they are asked for.
    pub fn failed_probes(&self) -> impl Iterator<Item = &ProbePlan> {
        self.probes.iter().filter(|plan| plan.status == Status::Failed)
    }

    /// Known problems that could not be told, for want of probes.
    pub fn not_told(&self) -> Vec<NotTold> {
        // Without a matrix that makes sense nothing is told at all, which is for its own test to find.
        rules(&Settings::default()).map(|rules| verdicts::not_told(self, &rules)).unwrap_or_default()
    }

    /// Whether less can be measured than a run would ask for.
    pub fn exit_code(&self) -> i32 {
        if self.failed_probes().next().is_some() { exit::LESS_MEASURED } else { exit::RAN }
    }

    /// # Errors
    /// What writing to `out` gave.
    pub fn write_table(&self, page: Page, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(table::render(self, page).as_bytes())
    }

    /// One JSON object on one line.
    ///
    /// # Errors
    /// What writing to `out` gave.
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &json::Object::new(self, &self.checks(), &self.fitness()))?;
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests;
