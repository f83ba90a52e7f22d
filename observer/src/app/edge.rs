//! The live edge: asks the kernel and the node, executes what the model wants, records every input on its way
//! into the pipeline.

mod begin;
mod budget;
mod prefetch;
mod reload;
mod room;
mod status;
mod telemetry;
mod wants;

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use anyhow::Result;
use observer_ebpf::Family;
use tokio::sync::{Mutex, Semaphore, mpsc};

use super::{
    budget::Keeper,
    follow::Followers,
    groups::Groups,
    kube::{Api, Asking},
    linear::Linears,
    listening::Entrances,
    node::Node,
    pipes::Pipes,
    routes::Routes,
    sinks::Sinks,
    spans::Spans,
    storage::Storage,
    talk,
    tracking::Tracking,
    webhooks::Webhooks,
};
use crate::{
    health::{ProbeReport, Report},
    input::{Fact, FactKind, Input, Record},
    output::{Output, Want},
    pipeline::{History, Pipeline},
    record::RecordingWriter,
    source::{
        facts::{HostRoot, cri::Cri, host, version::Versions},
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
    tracking: Tracking,
    entrances: Entrances,
    node: Node,
    storage: Storage,
    /// What was sampled and not fed yet.
    samples: VecDeque<Input>,
    webhooks: Webhooks,
    /// Telemetry of others.
    spans: Option<Spans>,
    /// Bounds what all of this costs.
    keeper: Option<Keeper>,
    kube: Option<Asking>,
    /// Asks the node where it sends what; once that is wanted.
    routes: Option<Routes>,
}

impl Edge {
    pub fn new(
        live: Live,
        pipeline: Pipeline,
        sinks: Sinks,
        recorder: Option<RecordingWriter>,
        host: HostRoot,
        cri: &[PathBuf],
        webhooks: Webhooks,
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
            tracking: Tracking::default(),
            entrances: Entrances::default(),
            node: Node::default(),
            storage: Storage::default(),
            samples: VecDeque::new(),
            webhooks,
            spans: None,
            keeper: None,
            kube: None,
            routes: None,
        }
    }

    /// Remembers what is told of each container, too.
    pub fn with_history(self, remembers: bool) -> Self {
        Edge { history: remembers.then(History::default), ..self }
    }

    /// Asks the Kubernetes API, too.
    ///
    /// # Errors
    /// There can be no thread for it.
    pub fn asking(self, api: Option<Api>, tells: bool) -> Result<Self> {
        let begin = |api| Asking::begin(api, self.answer.clone(), tells);
        Ok(Edge { kube: api.map(begin).transpose()?, ..self })
    }

    pub fn api(&self) -> Option<&Api> {
        self.kube.as_ref().map(|asking| &asking.api)
    }

    /// Where more can be asked of the node.
    pub fn places(&self) -> (HostRoot, Arc<Cri>) {
        (self.host.clone(), Arc::clone(&self.cri))
    }

    /// Takes in what the kernel and the look-ups have, and executes what is wanted.
    pub fn turn(&mut self) -> Result<()> {
        let mut inputs = Vec::new();
        let (prefetched, host) = (&mut self.prefetched, &self.host);
        let (pipes, groups) = (&mut self.pipes, &mut self.groups);
        let (linears, tracking) = (&mut self.linears, &mut self.tracking);
        let entrances = &mut self.entrances;
        let fresh = |record: &Record| {
            prefetched.note(host, record);
            groups.note(host, record);
            linears.note(record);
            tracking.note(record);
            entrances.note(record);
            pipes.note(record);
        };
        self.live.poll(now(), fresh, |input| inputs.push(input));
        self.pipes.look(&mut self.live);
        let of_groups = self.groups.samples(&self.host).into_iter().chain(self.linears.samples(&self.host));
        let of_node = if self.follows { self.node.sample(&mut self.live, &self.host) } else { None };
        let of_storage = if self.follows { self.storage.sample(&mut self.live) } else { None };
        let certificates = if self.follows { self.node.certificates(&self.host) } else { None };
        let tracked = if self.follows { self.tracking.samples(&self.host) } else { Vec::new() };
        let entrances = if self.follows { self.entrances.samples(&self.host) } else { Vec::new() };
        let of_node =
            of_node.into_iter().chain(of_storage).chain(certificates).chain(tracked).chain(entrances);
        let samples = of_groups.chain(of_node).chain(self.pipes.samples(&mut self.live));
        self.samples.extend(samples.map(Input::Sample));
        self.look_at_filesystems();
        self.take_spans();
        self.feed_in_order(inputs)?;
        self.live.forget_resolvers(now());
        if let Some(plan) = self.live.look_for_tls(&self.host, now()) {
            self.report(status(&plan))?;
        }
        if self.webhooks.poll() {
            self.watch_endpoints();
        }
        self.keep_budget()?;
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
            let wanted = self.wants.len();
            self.feed(&input)?;
            self.answer_at_once(wanted)?;
        }
        Ok(())
    }

    fn answers(&mut self) -> Result<()> {
        while let Ok(answer) = self.answers.try_recv() {
            if matches!(answer, FactKind::Filesystems(_)) {
                self.storage.has_looked();
            }
            let of_kube = matches!(answer, FactKind::Kube { .. });
            self.fact(answer)?;
            if of_kube {
                self.watch_named_webhooks();
            }
        }
        for want in std::mem::take(&mut self.wants) {
            self.execute(want)?;
        }
        Ok(())
    }

    /// Those that are named by now, by the options or the Kubernetes API, and no others.
    fn watch_named_webhooks(&mut self) {
        if self.webhooks.name(self.pipeline.webhook_places()) {
            self.watch_endpoints();
        }
    }

    fn watch_endpoints(&mut self) {
        let webhooks = &self.webhooks;
        if let Err(error) = self.live.watch_endpoints(&webhooks.endpoints(), |number| webhooks.has(number)) {
            talk::say(format_args!("webhooks: what does not fit is not watched: {error}"));
        }
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
        self.report(Report::Own(telemetry::measure(&self.live)))
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
        let kube = &mut self.kube;
        let mut result = Ok(());
        self.pipeline.step(input, |output| match output {
            Output::Want(want) => wants.push(want),
            output => {
                if let Some(history) = history {
                    history.take(&output);
                }
                if let Some(kube) = kube {
                    kube.take(&output);
                }
                let written = sinks.output(&output);
                if result.is_ok() {
                    result = written;
                }
            }
        });
        result
    }

    /// Tells the Kubernetes API what it is yet to be told.
    pub fn stop_asking(&mut self) {
        if let Some(asking) = self.kube.take() {
            asking.end();
        }
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
