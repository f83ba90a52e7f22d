//! Judges rules as observations come and time passes, and keeps the findings that are open: one for each root cause
//! and subject, however often and in however many ways it shows.

mod change;
mod suspect;

mod outcome;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Rules,
    compile::{COMES_LATE, Rule},
    habits::Habits,
    judge::{Bench, Match, Verdict},
    open::{Open, Suspicion, Taken},
    tell,
    trust::Trust,
    windows::{Key, Windows, key},
};
use crate::{
    compare::usual::Usual,
    health::{ProbeReport, Report, Status},
    input::Normal,
    output::{Check, Container, Finding, Grade, Process, Unproven},
    signals::Observation,
    time::{ClockOffset, Time},
};

/// Findings that are open at once, and suspicions.
const MAX_OPEN: usize = 1_024;
/// How often is noted what was worst: within what checks look back at.
const LOOK_NS: u64 = 60_000_000_000;
/// What explains another finding must have been seen this recently.
const EXPLAINS_NS: u64 = 300_000_000_000;

/// What the engine says.
#[derive(Debug)]
pub enum Said {
    Finding(Box<Finding>),
    Unproven(Box<Unproven>),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Rules,
    windows: Windows,
    trust: Trust,
    habits: Habits,
    /// When watching began, and how late it is.
    began: Option<Time>,
    now: Time,
    clock: ClockOffset,
    /// What was looked at on the whole node, as it was when it was worst; and when that was noted last.
    worst: Vec<Check>,
    looked: Time,
    /// By cause and key.
    open: BTreeMap<(usize, Key), Open>,
    /// Matches that wait for what would refute them.
    waiting: BTreeMap<(usize, Key), Taken>,
    /// Symptoms whose causes may still show.
    suspicions: BTreeMap<(usize, Key), Suspicion>,
    /// Findings for which there was no room.
    given_up: u64,
    proved: u64,
    likely: u64,
    unproven: u64,
}

impl Engine {
    pub fn new(rules: Rules) -> Engine {
        let windows = Windows::new(rules.series.len());
        Engine { rules, windows, ..Engine::default() }
    }

    /// On a node on which this is usual.
    #[must_use]
    pub fn knowing(self, normals: &[Normal]) -> Engine {
        Engine { habits: Habits::knowing(normals), ..self }
    }

    /// What was learned to be usual since this was asked last.
    pub fn take_learned(&mut self) -> Usual {
        self.habits.take_learned()
    }

    pub fn report(&mut self, report: &ProbeReport, say: &mut impl FnMut(Said)) {
        self.trust.report(report);
        if let Report::Status { family, status: Status::Shed, .. } = report.what {
            self.now = self.now.max(report.time);
            self.doubt_open(family, say);
        }
    }

    pub fn lost(&mut self, family: u8, total: u64, time: Time) {
        self.trust.lost(family, total, time);
    }

    pub fn began(&mut self, time: Time) {
        self.began.get_or_insert(time);
    }

    pub fn observe(&mut self, observation: &Observation, clock: ClockOffset, say: &mut impl FnMut(Said)) {
        (self.now, self.clock) = (self.now.max(observation.time), clock);
        let Some(series) = self.rules.by_signal.get(&observation.signal) else { return };
        let (mut causes, mut symptoms) = (Vec::new(), Vec::new());
        for at in series {
            let series = &self.rules.series[*at];
            if self.windows.take(*at, series, observation) {
                if series.is_learned {
                    self.habits.note(observation);
                }
                causes.extend_from_slice(&series.causes);
                symptoms.extend_from_slice(&series.symptoms);
            }
        }
        // What may explain others is judged before them.
        causes.sort_unstable_by_key(|at| (self.rules.causes[*at].depth, *at));
        causes.dedup();
        symptoms.sort_unstable();
        symptoms.dedup();
        let mut satisfied: Vec<Arc<super::catalogue::Entry>> = Vec::new();
        for at in causes {
            let rule = &self.rules.causes[at];
            if satisfied.iter().any(|entry| Arc::ptr_eq(entry, &rule.entry)) {
                continue;
            }
            let Some(key) = key(&rule.by, observation) else { continue };
            let counted = self.open.get(&(at, key.clone())).map_or(0, |open| open.counted);
            let Verdict::Match(found) = self.bench().judge(rule, &key, counted) else { continue };
            if found.grade.is_none() {
                continue;
            }
            satisfied.push(Arc::clone(&rule.entry));
            let taken = Taken::of(observation, found, self.now);
            if rule.settle.0 > 0 && !self.open.contains_key(&(at, key.clone())) {
                self.wait(at, key, taken);
            } else {
                self.found(at, key, taken, say);
            }
        }
        for at in symptoms {
            self.suspect(at, observation);
        }
    }

    /// Time has passed: what waited is decided, what is over is closed.
    pub fn tick(&mut self, now: Time, clock: ClockOffset, say: &mut impl FnMut(Said)) {
        (self.now, self.clock) = (self.now.max(now), clock);
        self.windows.prune(&self.rules.series, now);
        if now.since(self.looked) >= LOOK_NS {
            self.looked = now;
            self.worst = self.looked_at();
        }
        self.decide(|rule, taken| now.since(taken.time) >= rule.settle.0, say);
        self.decide_suspicions(say);
        self.close(say);
        self.learn();
    }

    /// What waited, where its time has come: does it still hold?
    fn decide(&mut self, is_due: impl Fn(&Rule, &Taken) -> bool, say: &mut impl FnMut(Said)) {
        let due = self.waiting.iter().filter(|((at, _), taken)| is_due(&self.rules.causes[*at], taken));
        let mut due: Vec<_> = due.map(|(key, _)| key.clone()).collect();
        // What may explain others is told before them.
        due.sort_by_key(|(at, _)| self.rules.causes[*at].depth);
        for (at, key) in due {
            let Some(mut taken) = self.waiting.remove(&(at, key.clone())) else { continue };
            let counted = self.open.get(&(at, key.clone())).map_or(0, |open| open.counted);
            if let Verdict::Match(found) = self.bench().judge(&self.rules.causes[at], &key, counted)
                && found.grade.is_some()
            {
                taken.found = *found;
                self.found(at, key, taken, say);
            }
        }
    }

    /// Nothing more will come: neither what is only known late, nor more of what is told as it is.
    pub fn finish(&mut self, say: &mut impl FnMut(Said)) {
        self.decide(|rule, _| rule.settle <= COMES_LATE, say);
        let bench = Bench::of((&self.windows, &self.trust, &self.habits), self.now, self.began);
        for ((at, key), open) in &mut self.open {
            if open.count > open.told_count {
                open.told_count = open.count;
                open.checked = tell::looked_at(&self.rules, open, bench);
                say(tell::updated(&self.rules, *at, key, open, bench, self.clock));
            }
        }
    }

    fn bench(&self) -> Bench<'_> {
        Bench::of((&self.windows, &self.trust, &self.habits), self.now, self.began)
    }

    /// From its first evidence on: what goes on failing must not put off for ever what is said of it.
    fn wait(&mut self, at: usize, key: Key, taken: Taken) {
        if self.waiting.len() < MAX_OPEN {
            self.waiting.entry((at, key)).or_insert(taken);
        } else {
            self.given_up += 1;
        }
    }

    /// A rule holds.
    fn found(&mut self, at: usize, key: Key, taken: Taken, say: &mut impl FnMut(Said)) {
        let now = self.now;
        if let Some(other) = self.told_by_another(at, &taken) {
            other.shows(&taken, now);
            return;
        }
        if let Some(open) = self.open.get_mut(&(at, key.clone())) {
            let is_surer = taken.found.grade > Some(open.grade);
            open.again(&taken, self.now);
            if is_surer {
                self.uncount(Grade::Likely);
                self.count(Grade::Proved);
            }
            let open = self.open.get_mut(&(at, key.clone()));
            if let Some(open) = open.filter(|open| is_surer || open.is_due(self.now)) {
                (open.told_count, open.told) = (open.count, self.now);
                let bench = Bench::of((&self.windows, &self.trust, &self.habits), self.now, self.began);
                open.checked = tell::looked_at(&self.rules, open, bench);
                say(tell::updated(&self.rules, at, &key, open, bench, self.clock));
            }
            return;
        }
        if self.open.len() >= MAX_OPEN {
            self.given_up += 1;
            return;
        }
        self.replace_worse(at, &taken, say);
        let mut open = Open::new(taken, self.now);
        open.checked = tell::looked_at(&self.rules, &open, self.bench());
        self.count(open.grade);
        say(tell::opened(&self.rules, at, &key, &open, self.bench(), self.clock));
        self.open.insert((at, key), open);
    }

    fn count(&mut self, grade: Grade) {
        match grade {
            Grade::Proved => self.proved += 1,
            Grade::Likely => self.likely += 1,
        }
    }

    /// One that was told is withdrawn, or told anew with another grade.
    fn uncount(&mut self, grade: Grade) {
        let count = match grade {
            Grade::Proved => &mut self.proved,
            Grade::Likely => &mut self.likely,
        };
        *count = count.saturating_sub(1);
    }

    /// The open finding that this is another symptom of: a better cause of the same entry about the same container,
    /// or one of an entry that explains it.
    fn told_by_another(&mut self, at: usize, taken: &Taken) -> Option<&mut Open> {
        let rule = &self.rules.causes[at];
        let explained_by = rule.cause.as_ref().map(|cause| cause.explained_by.clone()).unwrap_or_default();
        let now = self.now;
        let rules = &self.rules;
        self.open.iter_mut().find_map(|((other, _), open)| {
            let known = &rules.causes[*other];
            let is_better = Arc::ptr_eq(&known.entry, &rule.entry)
                && known.rank < rule.rank
                && open.grade >= taken.grade();
            let explains = explained_by.contains(&known.entry.id) && now.since(open.last) < EXPLAINS_NS;
            let same = open.is_about_what(taken) || (explains && open.is_of_node());
            ((is_better || explains) && same).then_some(open)
        })
    }

    /// Findings about the same container that were made before better was known: of worse causes of the same entry,
    /// and of what turns out to be its symptoms.
    fn replace_worse(&mut self, at: usize, taken: &Taken, say: &mut impl FnMut(Said)) {
        let rule = &self.rules.causes[at];
        let worse: Vec<_> = self
            .open
            .iter()
            .filter(|((other, _), open)| {
                let known = &self.rules.causes[*other];
                let is_worse = Arc::ptr_eq(&known.entry, &rule.entry)
                    && known.rank > rule.rank
                    && open.grade <= taken.grade();
                let explained_by = known.cause.as_deref().map(|cause| cause.explained_by.as_slice());
                let is_symptom = explained_by.is_some_and(|ids| ids.contains(&rule.entry.id));
                (is_worse || is_symptom) && open.is_about_what(taken)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for (other, key) in worse {
            if let Some(open) = self.open.remove(&(other, key.clone())) {
                self.uncount(open.grade);
                say(tell::resolved(&self.rules, other, &key, &open, self.bench(), self.clock));
            }
        }
    }

    /// Findings whose evidence has been absent for long.
    fn close(&mut self, say: &mut impl FnMut(Said)) {
        let over: Vec<_> = self
            .open
            .iter()
            .filter(|((at, _), open)| {
                self.now.since(self.unseen_since(*at, open)) > self.rules.causes[*at].life.0
            })
            .map(|(key, _)| key.clone())
            .collect();
        for (at, key) in over {
            if let Some(open) = self.open.remove(&(at, key.clone())) {
                say(tell::resolved(&self.rules, at, &key, &open, self.bench(), self.clock));
            }
        }
    }
}

impl Taken {
    fn of(observation: &Observation, found: Box<Match>, now: Time) -> Taken {
        Taken {
            time: now,
            workload: observation.label(crate::signals::Label::Container).map(Arc::from),
            container: observation.about.container.cloned().map(Box::<Container>::new),
            process: observation.about.process.cloned().map(Box::<Process>::new),
            labels: observation.labels().map(|(label, value)| (label, Arc::from(value))).collect(),
            found: *found,
        }
    }
}

#[cfg(test)]
mod tests;
