//! Whether a rule holds for a key now: yes with a grade, no, or unknown and why.

use std::sync::Arc;

use super::{
    compile::{Rule, Test},
    grammar::{Func, PARTS, Place},
    habits::Habits,
    trust::Trust,
    windows::{Kept, Windows},
};
use crate::{output::Grade, signals::Label, time::Time};

/// Pieces of evidence that a finding shows.
pub const MAX_EVIDENCE: usize = 8;
/// `min` holds over a time only where the first sample is from its first quarter.
const COVERED_PERCENT: u64 = 75;

#[derive(Debug)]
pub enum Verdict {
    Match(Box<Match>),
    NoMatch,
    /// What it would take was not measured.
    Unknown,
}

#[derive(Debug)]
pub struct Match {
    /// `None`: what is missing makes it less than likely.
    pub grade: Option<Grade>,
    pub doubts: Vec<String>,
    pub evidence: Vec<Kept>,
    /// What is counted by its first condition and was not before, and the number of the last of it.
    pub count: u64,
    pub counted: u64,
    pub first: Kept,
    pub last: Kept,
}

/// What is looked at to judge.
pub type Looks<'a> = (&'a Windows, &'a Trust, &'a Habits);

/// What rules are judged by.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    pub windows: &'a Windows,
    pub trust: &'a Trust,
    pub habits: &'a Habits,
    pub now: Time,
    /// When watching began.
    pub began: Time,
}

enum Held<'a> {
    /// By these.
    Yes(Vec<&'a Kept>),
    No,
}

impl<'a> Bench<'a> {
    pub fn of((windows, trust, habits): Looks<'a>, now: Time, began: Option<Time>) -> Bench<'a> {
        Bench { windows, trust, habits, now, began: began.unwrap_or_default() }
    }

    /// `counted`: the number of the last observation that is in a count already.
    pub fn judge(&self, rule: &Rule, key: &[Arc<str>], counted: u64) -> Verdict {
        let floor = self.began.plus(rule.warm_up.0);
        let mut seen: Vec<&Kept> = Vec::new();
        let (mut count, mut last_counted) = (0, counted);
        for (at, test) in rule.when.iter().enumerate() {
            match self.holds(test, &rule.by, key, floor) {
                Held::Yes(kept) => {
                    if at == 0 {
                        count = count_of(test, kept.iter().filter(|kept| kept.number > counted));
                        last_counted = kept.last().map_or(counted, |last| last.number);
                    }
                    seen.extend(kept);
                }
                Held::No => return self.absent_or(rule, test),
            }
        }
        let mut doubts = Vec::new();
        for test in &rule.unless {
            if let Held::Yes(_) = self.holds(test, &rule.by, key, floor) {
                return Verdict::NoMatch;
            }
            doubts.extend(self.trust.absent(test.condition.of.signal));
        }
        for test in rule.when.iter().chain(&rule.unless) {
            let from = Time(self.now.0.saturating_sub(test.condition.over.0));
            doubts.extend(self.trust.doubt(test.condition.of.signal, from));
        }
        doubts.sort();
        doubts.dedup();
        seen.sort_by_key(|kept| kept.time);
        let told: Vec<&Kept> = seen.iter().copied().filter(|kept| kept.text.is_some()).collect();
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return Verdict::NoMatch };
        Verdict::Match(Box::new(Match {
            grade: rule.cause.as_ref().and_then(|cause| lowered(cause.grade.into(), !doubts.is_empty())),
            doubts,
            evidence: first_and_last(&told),
            count,
            counted: last_counted,
            first: (*first).clone(),
            last: (*last).clone(),
        }))
    }

    /// What keeps a rule from holding, for somebody who asks.
    pub fn lacking(&self, rule: &Rule, key: &[Arc<str>]) -> Option<String> {
        let floor = self.began.plus(rule.warm_up.0);
        if self.now < floor {
            let seconds = floor.since(self.now) / 1_000_000_000;
            return Some(format!("nothing is concluded for another {seconds} s after the beginning"));
        }
        for test in &rule.when {
            if let Held::No = self.holds(test, &rule.by, key, floor) {
                let absent = self.trust.absent(test.condition.of.signal);
                return Some(absent.unwrap_or_else(|| format!("not seen: {}", test.text)));
            }
        }
        let unless =
            rule.unless.iter().find(|test| matches!(self.holds(test, &rule.by, key, floor), Held::Yes(_)));
        unless.map(|test| format!("seen: {}", test.text))
    }

    fn absent_or(&self, rule: &Rule, failed: &Test) -> Verdict {
        let absent = self.trust.absent(failed.condition.of.signal);
        let others = rule.when.iter().find_map(|test| self.trust.absent(test.condition.of.signal));
        if absent.or(others).is_some() { Verdict::Unknown } else { Verdict::NoMatch }
    }

    fn holds(&self, test: &Test, by: &[Label], key: &[Arc<str>], floor: Time) -> Held<'a> {
        let condition = &test.condition;
        let mut from = Time(self.now.0.saturating_sub(condition.reach().0)).max(floor);
        let own = |label: Label| by.iter().position(|by| *by == label).map(|at| &key[at]);
        let (shared, other) = match condition.place {
            Place::Here => (key.to_vec(), None),
            Place::Other(label) => (without(by, key, label), own(label)),
            Place::Any(label) => (without(by, key, label), None),
        };
        if let Some(since) = test.since
            && let Some(last) = self.windows.of(since, key).next_back()
        {
            from = from.max(last.time.plus(1));
        }
        let kept: Vec<&Kept> = self
            .windows
            .of(test.series, &shared)
            .filter(|kept| kept.time >= from && kept.time <= self.now)
            .filter(|kept| condition.least().is_none() || condition.op.holds(kept.value, condition.bound))
            .filter(|kept| other.is_none_or(|own| kept.other.as_ref().is_some_and(|other| other != own)))
            .collect();
        let spans = kept.first().zip(kept.last()).map_or(0, |(first, last)| last.time.since(first.time));
        let is_spread = condition.spanning.is_none_or(|least| spans >= least.0);
        let value = self.value(condition.func, &kept, condition.over.0);
        match value {
            Some(value) if is_spread && condition.op.holds(value, condition.bound) => Held::Yes(kept),
            _ => Held::No,
        }
    }

    fn value(&self, func: Func, kept: &[&Kept], over: u64) -> Option<f64> {
        let mut values: Vec<f64> = kept.iter().map(|kept| kept.value).collect();
        if func == Func::Sum {
            return Some(values.iter().fold(0.0, |sum, value| sum + value));
        }
        let (first, last) = (kept.first()?, *values.last()?);
        if func == Func::Grew {
            let samples: Vec<(Time, f64)> = kept.iter().map(|kept| (kept.time, kept.value)).collect();
            return Some(grew(self.now, over / u64::from(PARTS), &samples));
        }
        if func == Func::Min && self.now.since(first.time) < over / 100 * COVERED_PERCENT {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        Some(match func {
            Func::Min => values[0],
            Func::Max | Func::Sum | Func::Grew => at(1.0),
            Func::Last => last,
            Func::Median => at(0.5),
            Func::P99 => at(0.99),
        })
    }
}

/// How often it was: as often as its observations say, or, of a value that is measured again and again, once.
fn count_of<'k>(test: &Test, kept: impl Iterator<Item = &'k &'k Kept>) -> u64 {
    let sum = kept.map(|kept| if test.condition.of.signal.is_count() { kept.value as u64 } else { 1 });
    if test.condition.of.signal.is_count() { sum.sum() } else { sum.max().unwrap_or(0) }
}

/// In how many parts of the time, counted back from now, a value grew before one in which it did not. Before its first
/// sample it was what that says.
fn grew(now: Time, part: u64, samples: &[(Time, f64)]) -> f64 {
    let parts_ago = |parts: u32| {
        let time = Time(now.0.saturating_sub(part * u64::from(parts)));
        samples.iter().rfind(|(at, _)| *at <= time).or(samples.first()).map(|(_, value)| *value)
    };
    let grew = |part: &u32| parts_ago(*part) > parts_ago(part + 1);
    f64::from((0..PARTS).take_while(grew).count() as u32)
}

/// What is less sure than its cause could be; `None`: not even likely.
fn lowered(grade: Grade, is_doubtful: bool) -> Option<Grade> {
    match (grade, is_doubtful) {
        (grade, false) => Some(grade),
        (Grade::Proved, true) => Some(Grade::Likely),
        (Grade::Likely, true) => None,
    }
}

fn without(by: &[Label], key: &[Arc<str>], label: Label) -> Vec<Arc<str>> {
    by.iter().zip(key).filter(|(by, _)| **by != label).map(|(_, value)| Arc::clone(value)).collect()
}

/// How it began, and how it went on.
fn first_and_last(all: &[&Kept]) -> Vec<Kept> {
    let half = MAX_EVIDENCE / 2;
    let middle = if all.len() > MAX_EVIDENCE { half..all.len() - half } else { 0..0 };
    all.iter().enumerate().filter(|(at, _)| !middle.contains(at)).map(|(_, kept)| (*kept).clone()).collect()
}

impl From<super::catalogue::Grade> for Grade {
    fn from(grade: super::catalogue::Grade) -> Grade {
        match grade {
            super::catalogue::Grade::Proved => Grade::Proved,
            super::catalogue::Grade::Likely => Grade::Likely,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: &[(u64, f64)]) -> f64 {
        let samples: Vec<_> = samples.iter().map(|(at, value)| (Time(*at), *value)).collect();
        grew(Time(100), 20, &samples)
    }

    #[test]
    fn what_grows_in_each_part_grows_in_all_five() {
        let steady: Vec<(u64, f64)> = (1..=20).map(|n| (5 * n, n as f64)).collect();
        assert_eq!(of(&steady), 5.0);
        // Once a part is enough; and what it lost before does not matter.
        assert_eq!(of(&[(1, 1.0), (19, 2.0), (39, 3.0), (59, 4.0), (79, 5.0), (99, 6.0)]), 5.0);
        assert_eq!(of(&[(1, 9.0), (25, 1.0), (59, 4.0), (79, 5.0), (99, 6.0)]), 3.0);
    }

    #[test]
    fn what_stands_still_in_one_part_does_not() {
        assert_eq!(of(&[(1, 1.0), (19, 2.0), (39, 3.0), (59, 3.0), (79, 5.0), (99, 6.0)]), 2.0);
        assert_eq!(of(&[(1, 1.0), (99, 1.0)]), 0.0);
        // It had all of it by the time at which it was first seen.
        assert_eq!(of(&[(70, 8.0), (75, 9.0), (95, 10.0)]), 2.0);
        assert_eq!(of(&[]), 0.0);
    }
}
