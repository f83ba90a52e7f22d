//! Containers beyond their start: which there are, who they are, what happens to them until they end.
//!
//! A life begins when a container's init has its own root file system, and is forgotten when it has ended and
//! nothing more can come of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Made, Model, container, cpu, memory, node,
    start::StartId,
    stdio::{Log, Readers, Streams},
};
use crate::{
    input::{Record, Sample, SampleKind},
    output::{Container, Event, Instance, Kind, Process, Runtime, RuntimeAction, Since, Want, What},
    probes::{self, fault, process},
    time::Time,
};

/// Containers followed at once; the oldest is given up, and counted.
const MAX_LIVES: usize = 16_384;

const SIGKILL: i32 = 9;

/// How long an ended container is remembered for what comes late.
const AFTERLIFE_NS: u64 = 5_000_000_000;

/// A container that lives, or has just ended.
#[derive(Clone, Debug)]
pub struct Life {
    pub init: u32,
    pub since: Since,
    /// When its payload began.
    pub begun: Option<Time>,
    /// When its init ended, and `task->exit_code`.
    pub ended: Option<(Time, u32)>,
    pub streams: Streams,
    /// Where its engine logs to.
    pub log: Log,
    /// What became of its memory.
    pub memory: memory::State,
    /// Signals by which somebody outside wanted it to end.
    pub stops: BTreeSet<i32>,
    /// Its runtime was called to delete it.
    pub deleted: bool,
    pub cpu: cpu::State,
    /// Why it ended, in the words of what was seen before.
    pub reason: Option<String>,
    pub(super) who: Who,
}

impl Life {
    /// Somebody outside killed it after its init had ignored SIGTERM.
    pub fn was_killed_deaf(&self) -> bool {
        self.memory.term_ignored && self.stops.contains(&SIGKILL) && !self.memory.has_been_killed()
    }
}

/// Who a container is, as far as is settled.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// Still starting: what is known of it may grow.
    Starting(StartId),
    Known(Box<Container>),
}

/// The containers that are followed, by the pid of their init.
#[derive(Default)]
pub struct Lives {
    pub(super) by_init: BTreeMap<u32, Life>,
    pub(super) readers: Readers,
    pub given_up: u64,
}

impl Lives {
    pub fn get_mut(&mut self, init: u32) -> Option<&mut Life> {
        self.by_init.get_mut(&init)
    }

    pub fn get(&self, init: u32) -> Option<&Life> {
        self.by_init.get(&init)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Life> {
        self.by_init.values()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Life> {
        self.by_init.values_mut()
    }

    pub(super) fn insert(&mut self, life: Life) {
        self.by_init.insert(life.init, life);
        if self.by_init.len() > MAX_LIVES {
            self.by_init.pop_first();
            self.given_up += 1;
        }
    }

    /// Its start is over: who it is will not change any more.
    pub fn settled(&mut self, init: u32, start: StartId, container: &Container) {
        if let Some(life) = self.by_init.get_mut(&init)
            && matches!(life.who, Who::Starting(id) if id == start)
        {
            life.who = Who::Known(Box::new(container.clone()));
        }
    }

    fn forget(&mut self, time: Time) {
        self.by_init.retain(|_, life| match life.ended {
            Some((ended, _)) => time.since(ended) < AFTERLIFE_NS || !life.streams.are_done(),
            None => true,
        });
    }
}

impl Model {
    /// Containers no longer followed to bound memory.
    pub fn lives_given_up(&self) -> u64 {
        self.lives.as_ref().map_or(0, |lives| lives.given_up)
    }

    /// What a record means for the containers that are followed.
    pub(super) fn follow(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        if self.lives.is_none() {
            return;
        }
        self.begin_life(record, make);
        self.follow_execs(record, make);
        if let probes::Event::Stdio(event) = &record.event {
            self.stdio(record.time, event, make);
        }
        if let probes::Event::Net(event) = &record.event {
            self.follow_connections(record, event, make);
        }
        self.follow_memory(record, make);
        self.follow_text(record, make);
        self.follow_tools(record, make);
        self.follow_storage(record, make);
        if let probes::Event::Fault(event) = &record.event {
            self.stop_life(record, event, make);
        }
        if let probes::Event::Process(process::Event::Exited { exit_code, .. }) = &record.event {
            self.end_life(record, *exit_code, make);
        }
    }

    /// A sample of something of theirs.
    pub(super) fn sampled(&mut self, sample: &Sample, make: &mut impl FnMut(Made)) {
        match &sample.what {
            SampleKind::Pipe { ino, state, written } => {
                self.pipe_sampled(sample.time, *ino, *state, written, make);
            }
            SampleKind::Memory { init, used } => self.memory_sampled(*init, sample.time, used, make),
            SampleKind::Cpu { init, counts } => self.cpu_sampled(*init, sample.time, counts, make),
            SampleKind::Failures(counts) => self.failed_again(sample.time, counts, make),
            SampleKind::Certificates(found) => make(Made::Certificates(found.clone())),
            SampleKind::Linear { init, tgid, bytes } => self.linear_sampled(*init, *tgid, *bytes, make),
            SampleKind::Tracked { init, counts } => self.tracked_sampled(*init, counts, make),
            SampleKind::Listening { init, at } => self.listening_sampled(*init, at, make),
            SampleKind::Node(counts) => make(Made::Node(node::node_use(counts, &mut self.slowest))),
        }
    }

    fn begin_life(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        let Some(id) = self.member_of.get(&record.tgid) else { return };
        let Some(start) = self.starts.get(id) else { return };
        let Some(lives) = self.lives.as_mut().filter(|_| start.init == Some(record.tgid)) else { return };
        let mut actions = Vec::new();
        let known = lives.by_init.get(&record.tgid);
        if known.is_none_or(|life| life.ended.is_some()) {
            lives.insert(Life {
                init: record.tgid,
                since: Since::Start,
                begun: None,
                ended: None,
                streams: Streams::default(),
                log: Log::default(),
                memory: memory::State::default(),
                stops: BTreeSet::new(),
                deleted: false,
                cpu: cpu::State::default(),
                reason: None,
                who: Who::Starting(*id),
            });
            actions.push(RuntimeAction::Create);
        }
        if let Some(life) = lives.by_init.get_mut(&record.tgid)
            && life.begun.is_none()
            && start.progress.begun.is_some()
        {
            life.begun = start.progress.begun;
            actions.push(RuntimeAction::Start);
        }
        if actions.contains(&RuntimeAction::Create) {
            self.find_log(record.tgid, record.time, make);
            make(Made::Want(Want::Resolver { tgid: record.tgid, of_node: false }));
        }
        if actions.contains(&RuntimeAction::Start) {
            self.follow_resident(record.tgid, make);
        }
        for action in actions {
            self.tell(record.tgid, record.time, None, What::Runtime(Runtime::of(action)), make);
        }
    }

    /// Somebody outside wants the container to end. What says so again is told again only with another signal.
    fn stop_life(&mut self, record: &Record, event: &fault::Event, make: &mut impl FnMut(Made)) {
        let fault::Event::Stop { signal, init, start, comm, .. } = event else { return };
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(*init)) else { return };
        if life.ended.is_some() || !life.stops.insert(*signal) {
            return;
        }
        let what = Runtime { signal: Some(*signal), ..Runtime::of(RuntimeAction::Stop) };
        let Some(mut event) = self.event_of(*init, record.time, What::Runtime(what)) else { return };
        let info = self.processes.get(record.tgid).filter(|info| info.start == *start);
        event.process = Some(Process {
            pid: record.tgid,
            tid: record.tid,
            ppid: info.map(|info| info.ppid),
            comm: comm.clone(),
            exe: info.and_then(|info| info.exe.clone()),
            start: Some(self.clock.wall(*start)),
        });
        make(Made::Event(event));
    }

    fn end_life(&mut self, record: &Record, exit_code: u32, make: &mut impl FnMut(Made)) {
        self.entrances.forget(record.tgid);
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(record.tgid)) else { return };
        if life.ended.is_some() {
            return;
        }
        life.ended = Some((record.time, exit_code));
        let exit = container::exit(exit_code);
        life.reason = life.memory.reason_of(&exit);
        if let Who::Known(container) = &mut life.who {
            container.exit = Some(exit.clone());
        }
        self.memory_at_end(record, &exit, make);
        let what = Runtime { exit_code: exit.code, signal: exit.signal, ..Runtime::of(RuntimeAction::Exit) };
        self.tell(record.tgid, record.time, None, What::Runtime(what), make);
    }

    /// Time has passed for the containers that are followed.
    pub(super) fn live_on(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        self.stdio_tick(time, make);
        self.tell_repeated(Some(time), make);
        self.tell_unanswered(Some(time), make);
        self.look_up_on(time, make);
        self.drops.forget(time);
        if let Some(lives) = &mut self.lives {
            lives.forget(time);
        }
    }

    /// Hands on an event of the container with this init.
    pub(super) fn tell(
        &self,
        init: u32,
        time: Time,
        why: Option<String>,
        what: What,
        make: &mut impl FnMut(Made),
    ) {
        if let Some(mut event) = self.event_of(init, time, what) {
            event.why = why;
            make(Made::Event(event));
        }
    }

    /// An event of the container with this init, done by that init. Pause containers are no one's concern.
    pub(super) fn event_of(&self, init: u32, time: Time, what: What) -> Option<Box<Event>> {
        let life = self.lives.as_ref()?.by_init.get(&init)?;
        let container = self.container_of(life).filter(|container| container.kind != Kind::Sandbox)?;
        Some(Box::new(Event {
            time: self.clock.wall(time),
            began: None,
            process: Some(self.init_process(life, &container)),
            container: Some(container),
            since: life.since,
            why: None,
            what,
        }))
    }

    pub(super) fn container_of(&self, life: &Life) -> Option<Container> {
        let mut container = match &life.who {
            Who::Starting(id) => container::container(self.starts.get(id)?, &self.context()),
            Who::Known(container) => (**container).clone(),
        };
        if let Some(exit) = &mut container.exit {
            exit.reason.clone_from(&life.reason);
        }
        Some(container)
    }

    /// The control group of a container, as far as it is known by now.
    pub(super) fn cgroup_id_of(&self, life: &Life) -> Option<u64> {
        match &life.who {
            Who::Known(container) => container.cgroup_id,
            Who::Starting(_) => self.container_of(life)?.cgroup_id,
        }
    }

    fn init_process(&self, life: &Life, container: &Container) -> Process {
        let info = self.processes.get(life.init).cloned().unwrap_or_default();
        let start = container.instance.map(|Instance { start, .. }| self.clock.wall(start));
        Process {
            pid: life.init,
            tid: life.init,
            ppid: Some(info.ppid),
            comm: info.comm,
            exe: info.exe,
            start,
        }
    }
}
