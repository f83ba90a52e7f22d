//! `observer coldstart`: attach, watch until the end that was asked for, report.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use observer_ebpf::Family;
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    courtesy,
    edge::Edge,
    exit,
    run::{self, Watching},
};
use crate::{
    cli,
    input::{End, EndReason, FactKind},
};

/// How often the kernel's records are taken in. The exec of a runtime wakes the observer at once.
const TURN: Duration = Duration::from_millis(20);
/// How often clock and cost are measured.
const MEASURE: Duration = Duration::from_secs(10);
/// After CMD's end, what it left behind in the kernel is still coming.
const DRAIN: Duration = Duration::from_millis(60);

/// Runs the command to its end and gives its exit code.
pub fn run(args: &cli::Coldstart) -> Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    courtesy::yield_to_others();
    let code = runtime.block_on(watch(args));
    runtime.shutdown_background();
    code
}

async fn watch(args: &cli::Coldstart) -> Result<i32> {
    let asked = families(&args.watch.probes)?;
    let mut signals = Signals::new()?;
    let Watching { mut edge, plans } = run::attach(args, &asked)?;
    edge.begin()?;
    let mut child = spawn(&args.cmd)?;
    let end = until_the_end(&mut edge, args, &mut child, &mut signals).await?;
    edge.end()?;
    edge.fact(FactKind::End(end))?;
    // From here a second Ctrl-C leaves at once.
    let leave = tokio::spawn(async move {
        signals.next().await;
        std::process::exit(exit::RAN);
    });
    edge.finish_recording();
    edge.sinks.finish()?;
    if args.learn {
        super::learn(edge.sinks.samples())?;
    }
    let code = exit::code(&edge.pipeline, &plans, &asked);
    let live = edge.live;
    tokio::task::spawn_blocking(move || live.detach()).await?;
    leave.abort();
    Ok(code)
}

async fn until_the_end(
    edge: &mut Edge,
    args: &cli::Coldstart,
    child: &mut Option<Child>,
    signals: &mut Signals,
) -> Result<End> {
    // SAFETY: the descriptor is owned by what it is registered with, and stays open as long.
    let ring = unsafe { AsyncFd::register_with_interest(run::ring_fd(&edge.live)?, Interest::READABLE) }?;
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut measures = interval(MEASURE);
    measures.reset();
    let mut deadline = args.watch.duration.map(|duration| Instant::now() + duration);
    let mut why = EndReason::Deadline;
    let mut command_exit = None;
    let mut drained_from = None;
    loop {
        tokio::select! {
            biased;
            () = signals.next() => return Ok(End { why: EndReason::Interrupted, command_exit }),
            status = ended(child), if command_exit.is_none() && child.is_some() => {
                command_exit = Some(exit_number(status?));
                why = EndReason::CommandEnded;
                drained_from = Some(Instant::now() + DRAIN);
                let patience = Instant::now() + DRAIN + args.watch.ready_wait;
                deadline = Some(deadline.map_or(patience, |deadline| deadline.min(patience)));
            }
            guard = ring.readable() => guard?.clear_ready(),
            _ = turns.tick() => {}
            _ = measures.tick() => {
                edge.clock()?;
                edge.own_cost()?;
            }
            () = at(deadline) => return Ok(End { why, command_exit }),
        }
        edge.turn()?;
        let settled =
            drained_from.is_some_and(|from| Instant::now() >= from) && edge.pipeline.open_starts() == 0;
        if settled || edge.sinks.reader_left {
            return Ok(End { why, command_exit });
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn ended(child: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// The exit code, or the negative number of the signal that ended it.
fn exit_number(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

fn spawn(cmd: &[std::ffi::OsString]) -> Result<Option<Child>> {
    let Some((program, arguments)) = cmd.split_first() else { return Ok(None) };
    let stderr =
        rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 3).context("cannot pass on standard error")?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::from(stderr));
    courtesy::not_inherited(&mut command);
    Ok(Some(command.spawn().with_context(|| format!("cannot run {}", program.display()))?))
}

/// Ctrl-C, or being asked to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The asked probe families; all when none was named.
fn families(names: &[String]) -> Result<Vec<Family>> {
    if names.is_empty() {
        return Ok(Family::ALL.to_vec());
    }
    let find = |name: &String| Family::ALL.iter().copied().find(|family| family.name() == name);
    let mut found = Vec::new();
    for name in names {
        match find(name) {
            Some(family) => found.push(family),
            None => {
                let known: Vec<&str> = Family::ALL.iter().map(|family| family.name()).collect();
                bail!(super::Usage(format!("no probe is called {name:?}; there are {}", known.join(", "))));
            }
        }
    }
    Ok(found)
}
