//! The whole of the pure middle: one input in, outputs out. Live run, replay, tests and fuzzers drive the
//! same [`Pipeline::step`].

mod asked;
mod change;
mod evidence;
mod explained;
mod history;
mod judging;
mod lacks;
mod made;
mod reports;
mod seen;
mod senders;
mod settings;
mod shed;
mod show;
mod stats;

use std::collections::BTreeMap;

use crate::{
    compare::usual::Usual,
    correlate::Correlator,
    health::{OtlpCounts, OwnCost, ProbeHealth, ProbeReport},
    input::{End, Fact, FactKind, Input},
    model::Model,
    output::{Output, Summary},
    rules::Rules,
    time::{Time, Wall},
};
use explained::Explained;
use judging::Judging;
use reports::family_name;
use seen::Seen;
use senders::Senders;
use shed::Shed;
use stats::Tally;

pub use history::{History, Past};
pub use settings::{Relation, Settings};
pub use show::{Show, Shown, UnknownKind, event_needs_attention, is_a_problem, needs_attention};

/// See the module.
pub struct Pipeline {
    settings: Settings,
    model: Model,
    probes: BTreeMap<u8, ProbeHealth>,
    /// The last status report of each family.
    statuses: BTreeMap<u8, ProbeReport>,
    own: Option<OwnCost>,
    own_before: Option<(Time, OwnCost)>,
    otlp: Option<OtlpCounts>,
    /// Where what is seen is tied to spans of others.
    correlator: Option<Correlator>,
    from: Option<Time>,
    now: Time,
    health_at: Option<Time>,
    /// What was given up, and for how long.
    shed: Shed,
    seen: Seen,
    /// Counts by interval, where containers are followed.
    tally: Option<Tally>,
    /// What turns what is seen into findings.
    judging: Judging,
    rules_of: Option<fn(&Settings) -> Option<Rules>>,
    /// The settings that came after those of the beginning, as they came.
    told_settings: Option<String>,
    /// What of others its findings explain.
    explained: Explained,
    /// Who sends spans of what proxies have answered.
    senders: Senders,
}

impl Pipeline {
    pub fn new(settings: Settings) -> Self {
        let model =
            Model::new(settings.ready_wait_ns, settings.follow).with_webhooks(settings.webhooks.clone());
        let tally = settings.follow.then(|| Tally::new(settings.stats_interval_ns));
        let correlator = (settings.evidence != Relation::Off).then(Correlator::default);
        Pipeline {
            settings,
            model,
            probes: BTreeMap::new(),
            statuses: BTreeMap::new(),
            own: None,
            own_before: None,
            otlp: None,
            correlator,
            from: None,
            now: Time(0),
            health_at: None,
            shed: Shed::default(),
            seen: Seen::default(),
            tally,
            judging: Judging::default(),
            rules_of: None,
            told_settings: None,
            explained: Explained::default(),
            senders: Senders::default(),
        }
    }

    /// Judges what is seen by these rules, too.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.judging = Judging::by(rules, &self.settings.normals);
        self
    }

    /// Judges by other rules once settings change that they are made of; `None`: those cannot be.
    #[must_use]
    pub fn with_rules_of(self, rules_of: fn(&Settings) -> Option<Rules>) -> Self {
        Pipeline { rules_of: Some(rules_of), ..self }
    }

    /// Takes one input and hands on what follows from it.
    pub fn step(&mut self, input: &Input, mut out: impl FnMut(Output)) {
        self.advance(input.time());
        match input {
            Input::Probe(report) => {
                let is_news = self.is_shed_news(report);
                let said = self.report(report);
                if is_news {
                    out(Output::Health(self.health()));
                }
                self.say(said, &mut out);
            }
            Input::Lost { family, count, time } => {
                self.judging.lost(*family, *count, *time);
                if let Some(probe) = self.probes.get_mut(family) {
                    probe.lost = *count;
                }
            }
            _ => {}
        }
        if let Input::Fact(Fact { what: FactKind::Settings(text), .. }) = input {
            self.change(text, &mut out);
        }
        evidence::hear(self.correlator.as_mut(), input);
        if let Input::Span(span) = input {
            self.answered(span, &mut out);
        }
        let mut made = Vec::new();
        self.model.step(input, &mut |item| made.push(item));
        if let Input::Fact(fact) = input
            && let FactKind::End(end) = &fact.what
        {
            self.model.finish(input.time(), &mut |item| made.push(item));
            made.into_iter().for_each(|item| self.hand_on(item, &mut out));
            if let Some(correlator) = &mut self.correlator {
                correlator.end(&mut |tied| out(evidence::told_as(self.settings.evidence, tied)));
            }
            self.settle(&mut out);
            self.end(end, &mut out);
            return;
        }
        made.into_iter().for_each(|item| self.hand_on(item, &mut out));
        if let Input::Tick(time) = input {
            self.tick(*time, &mut out);
        }
    }

    fn advance(&mut self, time: Time) {
        self.from.get_or_insert(time);
        self.judging.began(time);
        self.now = self.now.max(time);
    }

    /// Hands on what was concluded.
    fn say(&mut self, said: Vec<Output>, out: &mut impl FnMut(Output)) {
        self.explained.say(said, self.now, self.correlator.as_mut(), out);
    }

    fn settle(&mut self, out: &mut impl FnMut(Output)) {
        if let Some(correlator) = &mut self.correlator {
            let now = self.model.clock().wall(self.now);
            self.explained.settle(correlator.settled(), now, out);
        }
    }

    fn tick(&mut self, time: Time, out: &mut impl FnMut(Output)) {
        if let Some(tally) = &mut self.tally {
            tally.tick(time, self.model.clock()).into_iter().map(Output::Stats).for_each(&mut *out);
        }
        let mut said = Vec::new();
        said.extend(self.judging.kube(self.model.kube(), &self.settings.filter, time, self.model.clock()));
        self.judging.tick(time, self.model.clock(), &mut |what| said.push(what));
        self.say(said, out);
        if let Some(correlator) = &mut self.correlator {
            correlator.tick(time, &mut |tied| out(evidence::told_as(self.settings.evidence, tied)));
            correlator.wanted().into_iter().for_each(|want| out(Output::Want(want)));
        }
        self.settle(out);
        let due = *self.health_at.get_or_insert(time.plus(self.settings.health_interval_ns));
        if time >= due {
            self.health_at = Some(time.plus(self.settings.health_interval_ns));
            out(Output::Health(self.health()));
        }
    }

    fn end(&mut self, end: &End, out: &mut impl FnMut(Output)) {
        if let Some(tally) = &mut self.tally {
            tally.tell(self.now, self.model.clock()).into_iter().map(Output::Stats).for_each(&mut *out);
        }
        let mut said = Vec::new();
        self.judging.finish(&mut |what| said.push(what));
        self.say(said, out);
        out(Output::Health(self.health()));
        out(Output::Summary(Summary {
            from: self.wall(self.from.unwrap_or(self.now)),
            to: self.wall(self.now),
            scope: self.settings.filter.describe(),
            containers: if self.settings.follow { self.seen.containers } else { self.seen.starts },
            starts: self.seen.starts,
            failed_starts: self.seen.failed_starts,
            events: self.settings.follow.then(|| self.seen.events.clone()),
            found: self.judging.outcome(),
            not_measured: self.not_measured(),
            lost: self.model.lost(),
            command_exit: end.command_exit,
            otlp: self.otlp,
            joined: self.correlator.as_ref().map(|correlator| correlator.joined),
        }));
    }

    /// What this run has learned since it was asked last.
    pub fn take_learned(&mut self) -> Usual {
        self.judging.take_learned()
    }

    fn wall(&self, time: Time) -> Wall {
        self.model.clock().wall(time)
    }
}
