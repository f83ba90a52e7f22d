//! The live edge: asks the kernel and the node, executes what the model wants, records every input on its way
//! into the pipeline.

mod begin;
mod prefetch;
mod room;
mod status;
mod telemetry;

use std::{collections::VecDeque, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Result;
use observer_ebpf::Family;
use tokio::sync::{Mutex, OwnedSemaphorePermit as Permit, Semaphore, mpsc};

use super::{
    follow::Followers,
    groups::Groups,
    linear::Linears,
    node::Node,
    pipes::Pipes,
    sinks::Sinks,
    spans::Spans,
    storage::Storage,
    talk,
    webhooks::{self, Names},
};
use crate::{
    health::{ProbeReport, Report},
    input::{Fact, FactKind, Input, LookupError, Record},
    output::{Output, Want},
    pipeline::{History, Pipeline},
    probes::{packet::Owner, webhook::Target},
    record::RecordingWriter,
    source::{
        facts::{HostRoot, cri::Cri, host, sockets, storage::Call, version::Versions},
        live::Live,
    },
    time::Time,
};
use prefetch::Prefetched;
use status::status;

/// Look-ups under way at once; one more is refused, which is an answer, too.
const MAX_LOOKUPS: usize = 256;

pub struct Edge {
    pub live: Live,
    pub pipeline: Pipeline,
    pub sinks: Sinks,
    /// What was told of each container, where that is remembered.
    pub history: Option<History>,
    pub followers: Followers,
    recorder: Option<RecordingWriter>,
    host: HostRoot,
    prefetched: Prefetched,
    cri: Arc<Cri>,
    versions: Arc<Mutex<Versions>>,
    lookups: Arc<Semaphore>,
    answers: mpsc::Receiver<FactKind>,
    answer: mpsc::Sender<FactKind>,
    wants: Vec<Want>,
    /// Containers are followed beyond their start.
    follows: bool,
    pipes: Pipes,
    groups: Groups,
    linears: Linears,
    node: Node,
    storage: Storage,
    /// What was sampled and not fed yet.
    samples: VecDeque<Input>,
    webhooks: Option<Names>,
    /// Telemetry of others.
    spans: Option<Spans>,
}

impl Edge {
    pub fn new(
        live: Live,
        pipeline: Pipeline,
        sinks: Sinks,
        recorder: Option<RecordingWriter>,
        host: HostRoot,
        cri: &[PathBuf],
        webhooks: &[Target],
    ) -> Self {
        let follows = pipeline.follows();
        let (answer, answers) = mpsc::channel(MAX_LOOKUPS);
        Edge {
            live,
            pipeline,
            sinks,
            history: None,
            followers: Followers::default(),
            recorder,
            host,
            prefetched: Prefetched::default(),
            cri: Arc::new(Cri::new(cri)),
            versions: Arc::default(),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            answers,
            answer,
            wants: Vec::new(),
            follows,
            pipes: Pipes::default(),
            groups: Groups::default(),
            linears: Linears::default(),
            node: Node::default(),
            storage: Storage::default(),
            samples: VecDeque::new(),
            webhooks: Names::of(webhooks),
            spans: None,
        }
    }

    /// Remembers what is told of each container, too.
    pub fn with_history(self, remembers: bool) -> Self {
        Edge { history: remembers.then(History::default), ..self }
    }

    /// Where more can be asked of the node.
    pub fn places(&self) -> (HostRoot, Arc<Cri>) {
        (self.host.clone(), Arc::clone(&self.cri))
    }

    /// Takes in what the kernel and the look-ups have, and executes what is wanted.
    pub fn turn(&mut self) -> Result<()> {
        let mut inputs = Vec::new();
        let (prefetched, host) = (&mut self.prefetched, &self.host);
        let (pipes, groups, linears) = (&mut self.pipes, &mut self.groups, &mut self.linears);
        let fresh = |record: &Record| {
            prefetched.note(host, record);
            groups.note(host, record);
            linears.note(record);
            pipes.note(record);
        };
        self.live.poll(now(), fresh, |input| inputs.push(input));
        self.pipes.look(&mut self.live);
        let of_groups = self.groups.samples(&self.host).into_iter().chain(self.linears.samples(&self.host));
        let of_node = if self.follows { self.node.sample(&self.live, &self.host) } else { None };
        let of_storage = if self.follows { self.storage.sample(&mut self.live) } else { None };
        let certificates = if self.follows { self.node.certificates(&self.host) } else { None };
        let of_node = of_node.into_iter().chain(of_storage).chain(certificates);
        let samples = of_groups.chain(of_node).chain(self.pipes.samples(&mut self.live));
        self.samples.extend(samples.map(Input::Sample));
        self.look_at_filesystems();
        self.take_spans();
        self.feed_in_order(inputs)?;
        if let Some(plan) = self.live.look_for_tls(&self.host, now()) {
            self.report(status(&plan))?;
        }
        if let Some(endpoints) = self.webhooks.as_mut().and_then(Names::poll)
            && let Err(error) = self.live.watch_endpoints(&endpoints)
        {
            talk::say(format_args!("webhooks: what does not fit is not watched: {error}"));
        }
        self.answers()
    }

    /// Takes in the last of everything. The caller says how the run ended.
    pub fn end(&mut self) -> Result<()> {
        let mut inputs = Vec::new();
        let (prefetched, host) = (&mut self.prefetched, &self.host);
        self.live.stop(now(), |record| prefetched.note(host, record), |input| inputs.push(input));
        self.stop_spans();
        self.feed_in_order(inputs)?;
        if let Some(last) = Storage::last(&mut self.live) {
            self.feed(&Input::Sample(last))?;
        }
        self.feed_last_spans()?;
        self.answers()?;
        self.own_cost()?;
        self.clock()
    }

    /// Records are held back a moment to be ordered; samples wait for those that were before them.
    fn feed_in_order(&mut self, inputs: Vec<Input>) -> Result<()> {
        for input in inputs {
            while let Some(sample) = self.samples.pop_front_if(|sample| sample.time() < input.time()) {
                self.feed(&sample)?;
            }
            self.feed(&input)?;
        }
        Ok(())
    }

    fn answers(&mut self) -> Result<()> {
        while let Ok(answer) = self.answers.try_recv() {
            if matches!(answer, FactKind::Filesystems(_)) {
                self.storage.has_looked();
            }
            self.fact(answer)?;
        }
        for want in std::mem::take(&mut self.wants) {
            self.execute(want)?;
        }
        Ok(())
    }

    fn execute(&mut self, want: Want) -> Result<()> {
        match want {
            Want::Bundle { tgid, path } => {
                let result = self.prefetched.bundle(&self.host, tgid, path.as_deref());
                self.fact(FactKind::Bundle { tgid, result })?;
            }
            Want::Cri { id } => match self.permit("CRI") {
                Ok(permit) => {
                    let cri = Arc::clone(&self.cri);
                    self.look_up(permit, async move { FactKind::Cri { result: cri.lookup(&id).await, id } });
                }
                Err(error) => self.fact(FactKind::Cri { id, result: Err(error) })?,
            },
            Want::RuntimeVersion { tgid, exe } => {
                let permit = match self.permit(&exe) {
                    Ok(permit) => permit,
                    Err(error) => return self.fact(FactKind::RuntimeVersion { exe, result: Err(error) }),
                };
                let (versions, host) = (Arc::clone(&self.versions), self.host.clone());
                self.look_up(permit, async move {
                    let result = versions.lock().await.lookup(&host, Some(tgid), &exe).await;
                    FactKind::RuntimeVersion { exe, result }
                });
            }
            Want::LogFile { init, path } => {
                let (time, result) = self.prefetched.log_size(&self.host, &path);
                let what = FactKind::LogFile { init, path, result };
                self.feed(&Input::Fact(Fact { time, what }))?;
            }
            Want::FollowPipe { ino, init } => self.pipes.follow(ino, init),
            Want::DrainPipe { ino } => self.pipes.drain(ino),
            Want::ForgetPipe { ino, init } => self.pipes.forget(ino, init, &mut self.live),
            Want::FollowGroup { init, cgroup } => self.groups.follow(init, cgroup),
            Want::FollowLinear { init, tgid, start, bytes } => self.linears.follow(init, tgid, start, bytes),
            Want::FindReaders => self.pipes.wanted = true,
            Want::Engine { tgid, path } => {
                if let Some(plan) = self.live.attach_engine(&self.host, tgid, &path) {
                    self.report(status(&plan))?;
                }
            }
            Want::TlsLibrary { tgid, side } => {
                if let Some(plan) = self.live.ask_tls(&self.host, tgid, side, now()) {
                    self.report(status(&plan))?;
                }
            }
            Want::SocketOwner { cookie, tgid, local, remote } => {
                self.ask_for_socket(cookie, tgid, (local, remote))?;
            }
            Want::FailedAt { at, tid, tgid, others, on, fd, text, device } => {
                self.find_failure((at, tid), Call { tgid, others, on, fd, text, device })?;
            }
            Want::WatchServer { tgid, address } => webhooks::watch_server(&mut self.live, tgid, address),
            Want::ForgetConnection { cookie } => self.live.forget_connection(cookie),
            Want::Unwatch { tgid } => self.live.unwatch(tgid),
            Want::Quiet { init } => self.live.quiet(init),
        }
        Ok(())
    }

    /// Asks whether a process has a socket: its table of sockets and its descriptors may be long.
    fn ask_for_socket(&mut self, cookie: u64, tgid: u32, ends: (SocketAddr, SocketAddr)) -> Result<()> {
        let init = self.live.container_of(tgid);
        let permit = match self.permit("a socket") {
            Ok(permit) => permit,
            Err(error) => return self.fact(FactKind::SocketOwner { cookie, tgid, result: Err(error) }),
        };
        let host = self.host.clone();
        let find = move || sockets::owner(&host, tgid, ends.0, ends.1);
        self.look_up(permit, async move {
            let found = tokio::task::spawn_blocking(find).await;
            let failed = |why: String| Err(LookupError { what: "a socket".to_owned(), why });
            let result = found.unwrap_or_else(|error| failed(error.to_string()));
            FactKind::SocketOwner { cookie, tgid, result: result.map(|owner| Owner { init, ..owner }) }
        });
        Ok(())
    }

    /// Nothing waits for a look-up: its answer is an input when it comes.
    fn look_up(&self, permit: Permit, answer: impl Future<Output = FactKind> + Send + 'static) {
        let sender = self.answer.clone();
        tokio::spawn(async move {
            let answer = answer.await;
            drop(permit);
            let _ = sender.send(answer).await;
        });
    }

    /// Leave for one more look-up, or why there is none.
    fn permit(&self, what: &str) -> Result<Permit, LookupError> {
        let why = |_| format!("not asked: {MAX_LOOKUPS} look-ups are under way");
        Arc::clone(&self.lookups)
            .try_acquire_owned()
            .map_err(why)
            .map_err(|why| LookupError { what: what.to_owned(), why })
    }

    pub fn clock(&mut self) -> Result<()> {
        self.fact(FactKind::Clock(host::clock_offset()))
    }

    /// Records handed over so far, and what observing has cost.
    pub fn own_cost(&mut self) -> Result<()> {
        let records = *self.live.records();
        for family in Family::ALL {
            let count = records[*family as usize];
            self.report(Report::Records { family: *family as u8, count })?;
        }
        self.count_spans()?;
        self.report(Report::Own(telemetry::measure()))
    }

    pub fn fact(&mut self, what: FactKind) -> Result<()> {
        self.feed(&Input::Fact(Fact { time: now(), what }))
    }

    fn report(&mut self, what: Report) -> Result<()> {
        self.feed(&Input::Probe(ProbeReport { time: now(), what }))
    }

    fn feed(&mut self, input: &Input) -> Result<()> {
        if let Some(recorder) = &mut self.recorder {
            if recorder.needs_checkpoint() && matches!(input, Input::Tick(_)) {
                recorder.begin_segment(input.time(), &self.pipeline.open_inputs());
            }
            recorder.write(input);
        }
        self.followers.write(input);
        let (wants, sinks, history) = (&mut self.wants, &mut self.sinks, &mut self.history);
        let mut result = Ok(());
        self.pipeline.step(input, |output| match output {
            Output::Want(want) => wants.push(want),
            output => {
                if let Some(history) = history {
                    history.take(&output);
                }
                let written = sinks.output(&output);
                if result.is_ok() {
                    result = written;
                }
            }
        });
        result
    }

    /// Ends the recording; says what it lacks.
    pub fn finish_recording(&mut self) {
        let Some(recorder) = self.recorder.take() else { return };
        match recorder.finish() {
            Ok(stats) if stats.lost > 0 => {
                let why = stats.last_error.unwrap_or_else(|| "the disk was too slow".to_owned());
                talk::say(format_args!("the recording lacks {} inputs: {why}", stats.lost));
            }
            Ok(_) => {}
            Err(error) => talk::say(error),
        }
    }
}

/// CLOCK_BOOTTIME, as the kernel programs read it.
pub fn now() -> Time {
    Time(nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)))
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
