//! What the model makes, as signals, to the rules: findings and suspicions, where rules were given.

use crate::{
    compare::usual::Usual,
    filter::Filter,
    health::ProbeReport,
    input::{Certificate, Listening, NodeFilesystem, Normal, Tracked},
    model::kube::KubeState,
    output::{
        ColdStart, Container, CpuUse, Event, Found, NodeUse, NotMeasured, Output, Resident, ToolFailed,
    },
    rules::{Engine, Rules, Said},
    signals::{Answered, Observation, Signals, certificate, tool, tracking},
    time::{ClockOffset, Time},
};

#[derive(Default)]
pub(super) struct Judging {
    signals: Signals,
    /// `None`: no rules were given, and nothing is concluded.
    engine: Option<Engine>,
}

impl Judging {
    /// By these rules, on a node on which this is usual.
    pub fn by(rules: Rules, normals: &[Normal]) -> Judging {
        Judging { signals: Signals::knowing(normals), engine: Some(Engine::new(rules).knowing(normals)) }
    }

    /// What was learned to be usual since this was asked last.
    pub fn take_learned(&mut self) -> Usual {
        self.engine.as_mut().map(Engine::take_learned).unwrap_or_default()
    }

    /// Judges by other rules from now on; what is open is closed, and why is said with it.
    pub fn judge_by(&mut self, rules: Rules, why: &str, now: Time, clock: ClockOffset) -> Vec<Output> {
        self.told(|engine, mut tell| {
            engine.leave(why, |_| true, now, clock, &mut tell);
            engine.replace(rules, now);
        })
    }

    /// Closes what is open about such containers, and says why.
    pub fn leave(
        &mut self,
        why: &str,
        of: impl Fn(&Container) -> bool,
        now: Time,
        clock: ClockOffset,
    ) -> Vec<Output> {
        let is = |container: Option<&Container>| container.is_some_and(&of);
        self.told(|engine, mut tell| engine.leave(why, is, now, clock, &mut tell))
    }

    pub fn began(&mut self, time: Time) {
        if let Some(engine) = &mut self.engine {
            engine.began(time);
        }
    }

    pub fn report(&mut self, report: &ProbeReport) -> Vec<Output> {
        self.told(|engine, mut tell| engine.report(report, &mut tell))
    }

    pub fn lost(&mut self, family: u8, count: u64, time: Time) {
        if let Some(engine) = &mut self.engine {
            engine.lost(family, count, time);
        }
    }

    pub fn event(&mut self, event: &Event, kube: &KubeState, now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |signals, see| signals.of_event(event, kube, now, see))
    }

    pub fn start(&mut self, start: &ColdStart, now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |signals, see| signals.of_start(start, now, see))
    }

    pub fn resident(&mut self, container: &Container, resident: Resident) {
        if self.engine.is_some() {
            self.signals.resident(container, resident);
        }
    }

    pub fn linear(
        &mut self,
        container: &Container,
        bytes: u64,
        now: Time,
        clock: ClockOffset,
    ) -> Vec<Output> {
        self.judged(clock, |signals, see| see(signals.linear(container, bytes, now, clock.wall(now))))
    }

    pub fn cpu(
        &mut self,
        container: &Container,
        used: &CpuUse,
        now: Time,
        clock: ClockOffset,
    ) -> Vec<Output> {
        self.judged(clock, |signals, see| signals.cpu(container, used, now, clock.wall(now), see))
    }

    pub fn cpu_of_another(&mut self, container: &Container, used: &CpuUse, now: Time) {
        if self.engine.is_some() {
            self.signals.cpu_of_another(container, used, now);
        }
    }

    pub fn node(&mut self, used: &NodeUse, now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |signals, see| signals.node(used, now, clock.wall(now), see))
    }

    pub fn tracked(
        &mut self,
        container: Option<&Container>,
        counts: &Tracked,
        now: Time,
        clock: ClockOffset,
    ) -> Vec<Output> {
        self.judged(clock, |_, see| tracking::signals(container, counts, now, clock.wall(now), see))
    }

    pub fn node_listens(&mut self, at: &Listening, now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |signals, see| signals.node_listens(at, now, clock.wall(now), see))
    }

    pub fn container_listens(&mut self, container: &Container, at: &Listening) {
        if self.engine.is_some() {
            self.signals.container_listens(container, at);
        }
    }

    pub fn answered(&mut self, by: Answered, now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |signals, see| signals.answered(by, now, see))
    }

    pub fn filesystems(&mut self, all: &[NodeFilesystem], now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |signals, see| signals.filesystems(all, now, clock.wall(now), see))
    }

    pub fn certificates(&mut self, found: &[Certificate], now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |_, see| certificate::signals(found, now, clock.wall(now), see))
    }

    pub fn tool(&mut self, failed: &ToolFailed, now: Time, clock: ClockOffset) -> Vec<Output> {
        self.judged(clock, |_, see| tool::signals(failed, now, clock.wall(now), see))
    }

    /// What the Kubernetes API says, of whom the user asks for.
    pub fn kube(&mut self, kube: &KubeState, filter: &Filter, now: Time, clock: ClockOffset) -> Vec<Output> {
        let takes = |namespace: &str, pod: &str| {
            let (namespace, pod) = (Some(namespace.to_owned()), Some(pod.to_owned()));
            filter.is_empty() || filter.takes(&Container { namespace, pod, ..Container::default() })
        };
        let when = (now, clock.wall(now));
        self.judged(clock, |signals, see| signals.kube(kube, takes, !filter.is_empty(), when, see))
    }

    /// What the rules say of the signals that are made of something.
    fn judged(
        &mut self,
        clock: ClockOffset,
        make: impl FnOnce(&mut Signals, &mut dyn FnMut(Observation)),
    ) -> Vec<Output> {
        let Judging { signals, engine } = self;
        let mut said = Vec::new();
        if let Some(engine) = engine {
            make(signals, &mut |seen| engine.observe(&seen, clock, &mut |what| said.push(what.into())));
        }
        said
    }

    /// What the rules say when they are told of something.
    fn told(&mut self, tell: impl FnOnce(&mut Engine, &mut dyn FnMut(Said))) -> Vec<Output> {
        let mut said = Vec::new();
        if let Some(engine) = &mut self.engine {
            tell(engine, &mut |what| said.push(what.into()));
        }
        said
    }

    pub fn tick(&mut self, time: Time, clock: ClockOffset, out: &mut impl FnMut(Output)) {
        let Some(engine) = &mut self.engine else { return };
        let mut say = |said: Said| out(Output::from(said));
        self.signals.tick(time, clock.wall(time), |seen| engine.observe(&seen, clock, &mut say));
        engine.tick(time, clock, &mut say);
    }

    /// Nothing more will come.
    pub fn finish(&mut self, out: &mut impl FnMut(Output)) {
        if let Some(engine) = &mut self.engine {
            engine.finish(&mut |said| out(Output::from(said)));
        }
    }

    /// What came of it; `None`: nothing was judged.
    pub fn outcome(&self) -> Option<Found> {
        self.engine.as_ref().map(Engine::outcome)
    }

    /// The same by now, for who asks meanwhile.
    pub fn recently(&self) -> Option<Found> {
        self.engine.as_ref().map(Engine::recently)
    }

    pub fn not_measured(&self) -> Vec<NotMeasured> {
        self.engine.iter().flat_map(Engine::not_measured).collect()
    }
}

impl From<Said> for Output {
    fn from(said: Said) -> Output {
        match said {
            Said::Finding(finding) => Output::Finding(finding),
            Said::Unproven(unproven) => Output::Unproven(unproven),
        }
    }
}
