//! The run of a command that watches: attach, watch until the end that was asked for, tell the rest, detach.

use std::{ffi::OsString, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    answers::Service,
    courtesy,
    edge::Edge,
    ending::{Ending, at, ended},
    exit,
    learning::{self, Learned},
    talk::{self, StatusLine},
    watching::{self, Plan, Watching},
};
use crate::{
    input::{End, EndReason, FactKind},
    privileges::{self, CapabilitySet},
    source::live::heap,
};

/// How often the kernel's records are taken in. The exec of a runtime wakes the observer at once.
const TURN: Duration = Duration::from_millis(20);
/// How often clock and cost are measured.
const MEASURE: Duration = Duration::from_secs(10);
/// How often memory that is not in use is given back.
const GIVE_BACK: Duration = Duration::from_secs(60);
/// Engines have said by then who was there before.
pub const KNOWN_AFTER: Duration = Duration::from_secs(3);

/// Watches as planned, and gives the exit code. `at_end` is handed what was told once all of it was.
///
/// # Errors
/// Nothing can be attached, or written to; CMD cannot be run; what `at_end` gives.
pub fn the_end(plan: &Plan, at_end: impl FnOnce(&Edge) -> Result<()>) -> Result<i32> {
    let needed = rights(plan);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().on_thread_start(move || privileges::keep_only(needed)).build()?;
    courtesy::yield_to_others();
    let code = runtime.block_on(watch(plan, needed, at_end));
    runtime.shutdown_background();
    code
}

async fn watch(
    plan: &Plan<'_>,
    needed: CapabilitySet,
    at_end: impl FnOnce(&Edge) -> Result<()>,
) -> Result<i32> {
    let mut signals = Signals::new()?;
    let mut watching = watching::attach(plan)?;
    watching.edge.begin(&watching.plans)?;
    watching.say_attached();
    let Watching { mut edge, plans, asked, observer, header, .. } = watching;
    let mut service = Service::listen(plan, &observer, header);
    edge.sinks.measured(&edge.pipeline.health());
    // CMD is the user's, and has all rights that were there.
    let mut child = spawn(plan.cmd)?;
    if let Err(error) = privileges::keep(needed) {
        talk::say(format_args!("rights that are not needed any more cannot be given up: {error}"));
    }
    let end = until_the_end(&mut edge, plan, &mut child, &mut signals, &mut service).await?;
    drop(service);
    let is_bounded = end.why != EndReason::Interrupted || plan.watch.duration.is_some();
    edge.end()?;
    edge.fact(FactKind::End(end))?;
    // From here a second Ctrl-C leaves at once.
    let leave = tokio::spawn(async move {
        signals.next().await;
        std::process::exit(exit::RAN);
    });
    edge.stop_asking();
    edge.finish_recording();
    edge.sinks.finish()?;
    at_end(&edge)?;
    if plan.learns {
        Learned::of(&mut edge).keep();
    }
    let code = exit::code(&edge.pipeline, &plans, &asked, is_bounded);
    let live = edge.live;
    tokio::task::spawn_blocking(move || live.detach()).await?;
    leave.abort();
    Ok(code)
}

/// What is needed from when all is attached until the end.
fn rights(plan: &Plan) -> CapabilitySet {
    let page = plan.outlets.starts.and_then(|starts| starts.html.clone());
    let state = super::state_directory();
    let paths = plan.watch.record.as_deref().into_iter().chain(page.as_deref()).chain([state.as_path()]);
    let chroots = watching::host_root(&plan.watch.host).is_ok_and(|root| !root.is_slash());
    // What a budget takes away is attached to again: that of look-ups to the root of the control groups.
    let attaches_again = plan.watch.budget.is_some() || plan.reload.is_some();
    let again = if attaches_again { CapabilitySet::NET_ADMIN } else { privileges::NONE };
    privileges::to_watch(chroots) | privileges::to_write(paths) | again
}

async fn until_the_end(
    edge: &mut Edge,
    plan: &Plan<'_>,
    child: &mut Option<Child>,
    signals: &mut Signals,
    service: &mut Service,
) -> Result<End> {
    // SAFETY: the descriptor is owned by what it is registered with, and stays open as long.
    let ring =
        unsafe { AsyncFd::register_with_interest(watching::ring_fd(&edge.live)?, Interest::READABLE) }?;
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut measures = interval(MEASURE);
    measures.reset();
    let mut lessons = interval(learning::EVERY);
    lessons.reset();
    let mut spare = interval(GIVE_BACK);
    spare.reset();
    let mut status = StatusLine::new(plan.status_line);
    let mut hangup =
        (plan.reload.is_some() || !ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
    let mut ending = Ending::of(plan.watch);
    let mut look = Some(Instant::now() + KNOWN_AFTER);
    loop {
        tokio::select! {
            biased;
            () = signals.next() => return Ok(ending.interrupted()),
            status = ended(child), if ending.awaits(child.as_ref()) => ending.command_ended(status?),
            guard = ring.readable() => guard?.clear_ready(),
            _ = turns.tick() => {}
            _ = measures.tick() => {
                edge.clock()?;
                edge.own_cost()?;
                edge.sinks.measured(&edge.pipeline.health());
            }
            _ = lessons.tick(), if plan.learns => Learned::of(edge).keep_meanwhile(),
            _ = spare.tick() => heap::give_back(),
            () = hung_up(&mut hangup) => match plan.reload {
                Some(_) => edge.read_again(plan)?,
                // Its terminal is gone; what was recorded is not.
                None => return Ok(ending.interrupted()),
            },
            question = service.next() => service.answer(question, edge, plan),
            () = at(ending.deadline()) => return Ok(ending.over()),
            () = at(look) => {
                look = None;
                edge.pipeline.nobody_matches().into_iter().for_each(talk::say);
            }
        }
        edge.turn()?;
        status.update(|| how_it_goes(edge));
        if ending.is_settled(edge.pipeline.open_starts()) || edge.sinks.reader_left {
            return Ok(ending.over());
        }
    }
}

/// Whether whoever started this wants it to outlive its terminal (`nohup`).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// Told to read options again, or that the terminal is gone.
async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// For the one line on a terminal.
fn how_it_goes(edge: &Edge) -> String {
    let pipeline = &edge.pipeline;
    format!(
        "observer: containers alive {}, events {}, records lost {}",
        pipeline.alive(),
        pipeline.events(),
        pipeline.lost()
    )
}

pub fn spawn(cmd: &[OsString]) -> Result<Option<Child>> {
    let Some((program, arguments)) = cmd.split_first() else { return Ok(None) };
    let stderr =
        rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 3).context("cannot pass on standard error")?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::from(stderr));
    courtesy::not_inherited(&mut command);
    Ok(Some(command.spawn().with_context(|| format!("cannot run {}", program.display()))?))
}

/// Ctrl-C, or being asked to end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn new() -> Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
