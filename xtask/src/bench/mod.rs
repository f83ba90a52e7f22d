//! `cargo xtask bench`: what observing costs. Every figure stands beside a baseline of the same run, taken in
//! turns with it; times depend on the machine, so nothing here passes or fails. Owns how things are measured,
//! refuses to know how observer works inside.

mod attach;
mod containers;
mod dns;
mod fleet;
mod https;
mod memory;
mod otlp;
mod pipeline;
mod report;
mod rules;
mod start;
mod stats;
mod stdio;
mod sustained;
mod syscall;
mod tracer;

use std::{fs, path::PathBuf, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;

use self::{
    report::{Machine, Report},
    stats::Blocks,
    tracer::{Ready, Recipe, Tracer},
};
use crate::{
    build::{self, BuildArgs},
    cmd, paths,
};

#[derive(Args)]
pub struct BenchArgs {
    /// Which ones [default: all]
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(BENCHES.iter().map(|bench| bench.name)))]
    names: Vec<String>,
    /// A few samples only: shows that it runs, says little about speed
    #[arg(long)]
    quick: bool,
    /// Measure this binary, and build nothing
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
}

struct Bench {
    name: &'static str,
    run: fn(&Rig, &mut Report) -> Result<()>,
}

const BENCHES: &[Bench] = &[
    Bench { name: "start", run: start::run },
    Bench { name: "attach", run: attach::run },
    Bench { name: "memory", run: memory::run },
    Bench { name: "pipeline", run: pipeline::run },
    Bench { name: "rules", run: rules::run },
    Bench { name: "syscall", run: syscall::run },
    Bench { name: "stdio", run: stdio::run },
    Bench { name: "dns", run: dns::run },
    Bench { name: "https", run: https::run },
    Bench { name: "otlp", run: otlp::run },
    Bench { name: "fleet", run: fleet::run },
];

/// What every bench gets.
struct Rig {
    observer: PathBuf,
    /// Whether `observer` is what cargo makes of this repository.
    built_here: bool,
    quick: bool,
    /// For files, removed at the end.
    folder: tempfile::TempDir,
}

pub fn run(args: &BenchArgs) -> Result<()> {
    ensure!(
        cmd::is_root(),
        "it starts containers and loads kernel programs: run `sudo -E env \"PATH=$PATH\" cargo xtask bench`"
    );
    // Before anything of ours, a build above all, is a load itself.
    let machine = Machine::this()?;
    let rig = Rig::new(args)?;
    let asked = |bench: &&Bench| args.names.is_empty() || args.names.iter().any(|name| name == bench.name);
    for bench in BENCHES.iter().filter(asked) {
        let mut report = Report::new(bench.name, machine.clone(), rig.quick);
        report.note(rig.version()?);
        (bench.run)(&rig, &mut report).with_context(|| format!("bench {}", bench.name))?;
        report.publish()?;
    }
    Ok(())
}

impl Rig {
    fn new(args: &BenchArgs) -> Result<Rig> {
        let observer = if let Some(given) = &args.observer {
            given.canonicalize().with_context(|| given.display().to_string())?
        } else {
            build::run(&BuildArgs { release: true, arch: None, bpf_log: false })?;
            paths::target().join("release/observer")
        };
        let results = paths::target().join("bench");
        fs::create_dir_all(&results).with_context(|| results.display().to_string())?;
        let folder = tempfile::tempdir_in(&results).with_context(|| results.display().to_string())?;
        Ok(Rig { observer, built_here: args.observer.is_none(), quick: args.quick, folder })
    }

    /// How much to do of something.
    fn pick(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }

    fn version(&self) -> Result<String> {
        let said = cmd::Cmd::new(&self.observer).arg("--version").output()?;
        Ok(format!("{said}, {}", self.observer.display()))
    }

    /// observer, watching every start on this machine.
    fn watching(&self, more: &[&str]) -> Recipe {
        self.recipe(["coldstart", "-o", "json"].into_iter().chain(more.iter().copied()))
    }

    /// observer with all its families, by itself.
    fn running(&self) -> Recipe {
        self.recipe(["run", "-o", "json", "--socket", "off", "--standalone"].into_iter())
    }

    fn recipe<'w>(&self, words: impl Iterator<Item = &'w str>) -> Recipe {
        let program = self.observer.to_string_lossy().into_owned();
        Recipe::new(Ready::Says("attached"), [program].into_iter().chain(words.map(str::to_owned)))
    }
}

/// What starting and stopping tracers leaves to the kernel to do, it does in this time. (Half a second after an
/// attachment the first ten containers still took a tenth longer than those after them.)
const SETTLE: Duration = Duration::from_secs(3);

/// One of the conditions that are compared: these tracers run.
struct Arm {
    name: String,
    tracers: Vec<Recipe>,
}

impl Arm {
    fn off() -> Arm {
        Arm { name: "nothing runs".into(), tracers: Vec::new() }
    }

    fn observer(rig: &Rig) -> Arm {
        Arm { name: "observer".into(), tracers: vec![rig.watching(&[])] }
    }
}

/// Measures under each arm in turns, so often; the first arm of a round changes, so that none has a place of its
/// own in it. In every round each arm's tracers are started, `block` is called, and they are stopped.
fn in_turns<T>(arms: &[Arm], rounds: usize, mut block: impl FnMut() -> Result<T>) -> Result<Vec<Vec<T>>> {
    let mut samples: Vec<Vec<T>> = arms.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for place in 0..arms.len() {
            let index = (round + place) % arms.len();
            let arm = &arms[index];
            let started = arm.tracers.iter().map(|tracer| tracer.start(Stdio::null()));
            let running = started.collect::<Result<Vec<Tracer>>>()?;
            thread::sleep(SETTLE);
            samples[index].push(block().with_context(|| format!("while this was measured: {}", arm.name))?);
            running.into_iter().try_for_each(Tracer::stop)?;
        }
        eprintln!("bench: round {} of {rounds}", round + 1);
    }
    Ok(samples)
}

/// The blocks of one figure of several.
fn blocks<T>(rounds: &[T], samples: impl Fn(&T) -> Vec<f64>) -> Blocks {
    let mut blocks = Blocks::default();
    rounds.iter().for_each(|round| blocks.push(samples(round)));
    blocks
}
