//! Following an observer that runs: its inputs come over its socket, and this process does the rest of a run with them:
//! its own filter, rules and sinks. Nothing is attached for it.

use std::{io::BufReader, os::unix::net::UnixStream};

use anyhow::{Context, Result, bail};
use tokio::{sync::mpsc, time::Instant};

use super::{
    ending::{Ending, at, ended},
    exit, replay,
    sinks::{Observer, Sinks},
    talk,
    until::{self, Signals},
    watching::Plan,
};
use crate::{
    cli,
    input::{End, EndReason, Fact, FactKind, Input},
    output::Output,
    pipeline::Pipeline,
    record::{Follower, Header, Item, SegmentReader},
    service::Client,
    sink::Identity,
    time::Time,
};

/// Those who follow at once.
const MAX_FOLLOWERS: usize = 8;
/// Batches that wait for one of them; what comes then is lost to it, and it is told.
const QUEUE: usize = 256;
/// Inputs that wait here.
const WAITING: usize = 4_096;

/// Those who follow this run.
#[derive(Default)]
pub struct Followers {
    all: Vec<(Follower, mpsc::Sender<Vec<u8>>)>,
}

impl Followers {
    /// One more, from now on; `None`: there are too many.
    pub fn add(&mut self, header: Header, begins: Time, open: &[Input]) -> Option<mpsc::Receiver<Vec<u8>>> {
        if self.all.len() >= MAX_FOLLOWERS {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut follower = Follower::default();
        follower.begin(header, begins, open);
        self.all.push((follower, sender));
        Some(receiver)
    }

    /// Hands an input on to each. Never waits; whoever has left is forgotten.
    pub fn write(&mut self, input: &Input) {
        self.all.retain_mut(|(follower, sender)| {
            let Some((batch, count)) = follower.write(input) else { return true };
            match sender.try_send(batch) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    follower.lose(count);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
    }
}

/// What was asked for that only an observer of one's own can give.
pub fn needs_its_own(watch: &cli::Watch, listen: &cli::Listen) -> bool {
    let listens = listen.otlp_listen.is_some() || listen.otlp_listen_http.is_some();
    watch.record.is_some() || !watch.probes.is_empty() || listens
}

/// Runs the plan on what another observer sees, and gives the exit code.
///
/// # Errors
/// It cannot be followed, or standard output not be written to.
pub fn run(client: &Client, plan: &Plan, at_end: impl FnOnce(&Sinks) -> Result<()>) -> Result<i32> {
    let reader = client.follow()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(follow(client, reader, plan, at_end));
    runtime.shutdown_background();
    code
}

struct Following {
    pipeline: Pipeline,
    sinks: Sinks,
    latest: Time,
    lost: u64,
}

async fn follow(
    client: &Client,
    reader: SegmentReader<BufReader<UnixStream>>,
    plan: &Plan<'_>,
    at_end: impl FnOnce(&Sinks) -> Result<()>,
) -> Result<i32> {
    let mut signals = Signals::new()?;
    let mut items = items(reader)?;
    let Some(Item::Segment(first)) = items.recv().await else {
        bail!("the observer (process {}) sends nothing; --standalone attaches instead", client.state.pid);
    };
    let identity = Identity { node: first.header.node.clone(), host: first.header.host.clone() };
    let sinks = Sinks::open(&plan.outlets, &Observer { identity, host_id: None })?;
    let mut pipeline = replay::judged(plan.settings.clone())?;
    pipeline.looks_from(first.begins);
    let mut of = Following { pipeline, sinks, latest: first.begins, lost: 0 };
    let state = &client.state;
    talk::say(format_args!(
        "follows observer {} (process {}), which watches {}: nothing is attached; Ctrl-C ends",
        state.version, state.pid, state.scope
    ));
    let mut child = until::spawn(plan.cmd)?;
    let end = until_the_end(&mut of, &mut items, plan, &mut child, &mut signals).await?;
    let is_bounded = end.why != EndReason::Interrupted || plan.watch.duration.is_some();
    let time = of.latest;
    of.feed(&Input::Fact(Fact { time, what: FactKind::End(end) }))?;
    of.sinks.finish()?;
    at_end(&of.sinks)?;
    if of.lost > 0 {
        talk::say(format_args!("{} inputs were lost on their way here", of.lost));
        return Ok(exit::LESS_MEASURED);
    }
    Ok(exit::code(&of.pipeline, &[], &[], is_bounded))
}

/// A thread of its own reads: it may wait.
fn items(mut reader: SegmentReader<BufReader<UnixStream>>) -> Result<mpsc::Receiver<Item>> {
    let (sender, items) = mpsc::channel(WAITING);
    let read = move || {
        while let Some(item) = reader.next_item() {
            if sender.blocking_send(item).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().name("follower".to_owned()).spawn(read).context("cannot start a thread")?;
    Ok(items)
}

async fn until_the_end(
    of: &mut Following,
    items: &mut mpsc::Receiver<Item>,
    plan: &Plan<'_>,
    child: &mut Option<tokio::process::Child>,
    signals: &mut Signals,
) -> Result<End> {
    let mut ending = Ending::of(plan.watch);
    let mut look = Some(Instant::now() + until::KNOWN_AFTER);
    loop {
        tokio::select! {
            biased;
            () = signals.next() => return Ok(ending.interrupted()),
            status = ended(child), if ending.awaits(child.as_ref()) => ending.command_ended(status?),
            () = at(ending.deadline()) => return Ok(ending.over()),
            () = at(look) => {
                look = None;
                of.pipeline.nobody_matches().into_iter().for_each(talk::say);
            }
            item = items.recv() => match item {
                Some(item) => of.take(&item)?,
                None => {
                    talk::say("the observer that was followed has ended");
                    return Ok(ending.interrupted());
                }
            },
        }
        if ending.is_settled(of.pipeline.open_starts()) || of.sinks.reader_left {
            return Ok(ending.over());
        }
    }
}

impl Following {
    fn take(&mut self, item: &Item) -> Result<()> {
        match item {
            // Its end is not ours: it is told by the end of what it sends.
            Item::Input(Input::Fact(Fact { what: FactKind::End(_), .. })) => Ok(()),
            // Nor are its options.
            Item::Input(Input::Fact(Fact { what: FactKind::Settings(_), .. }))
            | Item::Checkpoint(Input::Fact(Fact { what: FactKind::Settings(_), .. })) => Ok(()),
            Item::Input(input) | Item::Checkpoint(input) => self.feed(input),
            Item::Lost(count) => {
                self.lost += count;
                Ok(())
            }
            Item::Undecoded(_) | Item::Unknown(_) => {
                self.lost += 1;
                Ok(())
            }
            Item::Segment(_) | Item::End { .. } => Ok(()),
        }
    }

    fn feed(&mut self, input: &Input) -> Result<()> {
        self.latest = self.latest.max(input.time());
        let sinks = &mut self.sinks;
        let mut result = Ok(());
        self.pipeline.step(input, |output| {
            if result.is_ok() && !matches!(output, Output::Want(_)) {
                result = sinks.output(&output);
            }
        });
        result
    }
}
