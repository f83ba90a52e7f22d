//! The matrix as written becomes rules: conditions are parsed, each distinct series of observations that they look at
//! gets a number, and what cannot be is refused with the place where it is written.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    catalogue::{Cause, Detect, Entry, Period, Symptom, Teardown},
    checks::{self, Check},
    grammar::{self, Condition, Place, Selector},
    keywords,
    series::Series,
};
use crate::{
    layer::Layer,
    signals::{Label, Signal},
};

/// Observations that a condition may have to count.
pub const MAX_COUNT: f64 = 256.0;
/// How long a chain of explanations may be.
const MAX_DEPTH: usize = 4;
/// How long an open finding lives on without evidence, at least.
const LEAST_LIFE: Period = Period::seconds(60);
/// A failure is known at once, a success only when it is over: what counts failures since the last success waits
/// for one that was there before, and is known after.
pub const COMES_LATE: Period = Period(700_000_000);

/// Something in a catalogue that cannot be: where, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry}{}: {why}", .cause.as_ref().map(|cause| format!(", cause {cause}")).unwrap_or_default())]
pub struct Problem {
    pub entry: String,
    pub cause: Option<String>,
    /// The words of the file that are wrong, to find its line by.
    pub words: String,
    pub why: String,
}

/// All rules, and what they look at.
#[derive(Debug, Default)]
pub struct Rules {
    pub entries: Vec<Arc<Entry>>,
    /// By entry, and in it by rank.
    pub causes: Vec<Rule>,
    pub symptoms: Vec<Rule>,
    pub series: Vec<Series>,
    pub by_signal: BTreeMap<Signal, Vec<usize>>,
    pub checks: Vec<Check>,
}

/// A cause of an entry, or its mere symptom.
#[derive(Clone, Debug)]
pub struct Rule {
    pub entry: Arc<Entry>,
    /// `None`: the symptom.
    pub cause: Option<Arc<Cause>>,
    pub layer: Layer,
    /// Place among the causes of its entry; 0 is first.
    pub rank: usize,
    /// How many others may explain it, one through the other: those are judged before it.
    pub depth: usize,
    pub by: Vec<Label>,
    pub object: Option<Label>,
    pub when: Vec<Test>,
    pub unless: Vec<Test>,
    pub settle: Period,
    pub warm_up: Period,
    pub life: Period,
}

/// A condition, and the series that it is asked of.
#[derive(Clone, Debug)]
pub struct Test {
    pub condition: Condition,
    pub series: usize,
    pub since: Option<usize>,
    pub text: String,
}

impl Rule {
    /// What it takes to be seen for it to hold.
    pub fn signals(&self) -> impl Iterator<Item = Signal> {
        self.when.iter().map(|test| test.condition.of.signal)
    }
}

impl Rules {
    /// Rules of these entries. A later entry of the same id replaces an earlier one.
    ///
    /// # Errors
    /// All that cannot be.
    pub fn compile(entries: Vec<Entry>, scenario: Option<&str>) -> Result<Rules, Vec<Problem>> {
        let mut by_id: BTreeMap<String, Arc<Entry>> = BTreeMap::new();
        for entry in entries {
            by_id.insert(entry.id.clone(), Arc::new(entry));
        }
        let mut rules = Rules { entries: by_id.into_values().collect(), ..Rules::default() };
        let mut problems = Vec::new();
        // That ours can be read is for who looks for them to say.
        let known = keywords::shipped().unwrap_or_default();
        for entry in rules.entries.clone() {
            problems.extend(rules.unknown_entries(&entry));
            problems.extend(keywords::unknown_in(&entry, &known));
            rules.entry(&entry, scenario, &mut problems);
        }
        rules.checks =
            checks::all(|selector, key, over| rules.series(Series::new(selector, key, over, true, true)));
        for check in rules.checks.iter().filter(|check| check.usual.is_some() && check.of_container) {
            rules.series[check.series].is_learned = true;
        }
        rules.order();
        for (at, series) in rules.series.iter().enumerate() {
            rules.by_signal.entry(series.of.signal).or_default().push(at);
        }
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }

    fn entry(&mut self, entry: &Arc<Entry>, scenario: Option<&str>, problems: &mut Vec<Problem>) {
        let mut finds = false;
        for (rank, cause) in entry.causes.iter().enumerate() {
            if !cause.is_found(entry) {
                continue;
            }
            finds = true;
            if !cause.scenarios.is_empty()
                && !cause.scenarios.iter().any(|name| Some(name.as_str()) == scenario)
            {
                continue;
            }
            match self.cause(entry, cause, rank) {
                Ok(rule) => self.add(rule),
                Err(problem) => problems.push(problem),
            }
        }
        if entry.detect == Detect::Node && !finds {
            let why = "it says that the node detects it, and no cause of it does".to_owned();
            problems.push(problem(entry, None, "detect", why));
        }
        if let Some(symptom) = entry.seen.as_ref().filter(|_| entry.detect == Detect::Node) {
            match self.symptom(entry, symptom) {
                Ok(rule) => self.add(rule),
                Err(problem) => problems.push(problem),
            }
        }
    }

    fn cause(&mut self, entry: &Arc<Entry>, cause: &Cause, rank: usize) -> Result<Rule, Problem> {
        let at = |words: &str, why: String| problem(entry, Some(&cause.id), words, why);
        let layer = Layer::of(&cause.layer).ok_or_else(|| {
            at(
                &cause.layer,
                grammar::unknown("layer", &cause.layer, Layer::ALL.iter().map(|layer| layer.name())),
            )
        })?;
        if cause.when.is_empty() {
            return Err(at(&cause.id, "it has no `when`".to_owned()));
        }
        let warm_up = cause.warm_up.or(entry.warm_up).unwrap_or(LEAST_LIFE);
        let in_teardown = cause.teardown == Some(Teardown::Off);
        let by = labels(&cause.by).map_err(|(words, why)| at(words, why))?;
        let object = cause.object.as_deref().map(grammar::label).transpose();
        let object = object.map_err(|why| at(cause.object.as_deref().unwrap_or_default(), why))?;
        let scope = Scope { by: &by, in_teardown, when_young: warm_up == Period(0) };
        let when = self.tests(&cause.when, scope).map_err(|(words, why)| at(words, why))?;
        let unless = self.tests(&cause.unless, scope).map_err(|(words, why)| at(words, why))?;
        let life = life(entry, &when);
        let counts_since = when.iter().any(|test| test.condition.since.is_some());
        Ok(Rule {
            entry: Arc::clone(entry),
            cause: Some(Arc::new(cause.clone())),
            layer,
            rank,
            depth: 0,
            by,
            object,
            when,
            unless,
            settle: cause.settle.unwrap_or(if counts_since { COMES_LATE } else { Period(0) }),
            warm_up,
            life,
        })
    }

    fn symptom(&mut self, entry: &Arc<Entry>, symptom: &Symptom) -> Result<Rule, Problem> {
        let at = |(words, why): (&str, String)| problem(entry, None, words, why);
        let warm_up = entry.warm_up.unwrap_or(LEAST_LIFE);
        let by = labels(&symptom.by).map_err(at)?;
        let scope = Scope { by: &by, in_teardown: false, when_young: warm_up == Period(0) };
        let when = self.tests(&symptom.when, scope).map_err(at)?;
        let unless = self.tests(&symptom.unless, scope).map_err(at)?;
        // A cause that wants to wait is waited for.
        let settle = entry.causes.iter().filter_map(|cause| cause.settle).max().unwrap_or_default();
        let life = life(entry, &when);
        Ok(Rule {
            entry: Arc::clone(entry),
            cause: None,
            layer: Layer::L3,
            rank: usize::MAX,
            depth: 0,
            by,
            object: None,
            when,
            unless,
            settle: Period(settle.0 + 3_000_000_000),
            warm_up,
            life,
        })
    }

    fn tests<'a>(&mut self, texts: &'a [String], scope: Scope) -> Result<Vec<Test>, (&'a str, String)> {
        texts.iter().map(|text| self.test(text, scope).map_err(|why| (text.as_str(), why))).collect()
    }

    fn test(&mut self, text: &str, scope: Scope) -> Result<Test, String> {
        let condition = Condition::parse(text)?;
        if condition.of.signal.is_count() && condition.bound > MAX_COUNT {
            return Err(format!("no more than {MAX_COUNT} of anything are counted"));
        }
        let (key, other) = match condition.place {
            Place::Here => (scope.by.to_vec(), None),
            Place::Any(label) | Place::Other(label) => {
                if !scope.by.contains(&label) {
                    return Err(format!(
                        "`{}` is not among the labels that its evidence is kept by",
                        label.name()
                    ));
                }
                let key = scope.by.iter().copied().filter(|by| *by != label).collect();
                (key, matches!(condition.place, Place::Other(_)).then_some(label))
            }
        };
        let series = |of: &Selector, key, other| Series {
            other,
            ..Series::new(of.clone(), key, condition.reach(), scope.in_teardown, scope.when_young)
        };
        let since = condition.since.as_ref().map(|of| series(of, scope.by.to_vec(), None));
        let of = Series { least: condition.least(), ..series(&condition.of, key, other) };
        Ok(Test {
            series: self.series(of),
            since: since.map(|since| self.series(since)),
            text: text.to_owned(),
            condition,
        })
    }

    /// The number of a series, which may have one already.
    fn series(&mut self, wanted: Series) -> usize {
        if let Some(at) = self.series.iter().position(|known| known.is_like(&wanted)) {
            self.series[at].serve(&wanted);
            return at;
        }
        self.series.push(wanted);
        self.series.len() - 1
    }

    fn add(&mut self, rule: Rule) {
        let of_causes = rule.cause.is_some();
        let at = if of_causes { self.causes.len() } else { self.symptoms.len() };
        for test in &rule.when {
            let series = &mut self.series[test.series];
            let users = if of_causes { &mut series.causes } else { &mut series.symptoms };
            if !users.contains(&at) {
                users.push(at);
            }
        }
        if of_causes { self.causes.push(rule) } else { self.symptoms.push(rule) }
    }

    /// Who may be explained by whom, as depths. A circle ends at [`MAX_DEPTH`].
    fn order(&mut self) {
        // Of one entry: among its causes the rank decides, whatever explains each.
        let mut of_entries: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..MAX_DEPTH {
            for rule in &self.causes {
                let explained_by = rule.cause.iter().flat_map(|cause| &cause.explained_by);
                let deepest = explained_by.filter_map(|id| of_entries.get(id)).max();
                let depth = deepest.map_or(0, |depth| depth + 1).min(MAX_DEPTH);
                let known = of_entries.entry(rule.entry.id.clone()).or_default();
                *known = (*known).max(depth);
            }
        }
        for rule in &mut self.causes {
            rule.depth = of_entries.get(&rule.entry.id).copied().unwrap_or_default();
        }
    }

    fn unknown_entries(&self, entry: &Entry) -> Vec<Problem> {
        let ids = || self.entries.iter().map(|entry| entry.id.as_str());
        let named =
            entry.causes.iter().flat_map(|cause| cause.explained_by.iter().map(move |id| (cause, id)));
        let unknown = named.filter(|(_, id)| !ids().any(|known| known == *id));
        unknown
            .map(|(cause, id)| problem(entry, Some(&cause.id), id, grammar::unknown("entry", id, ids())))
            .collect()
    }
}

/// How long what these conditions tell stays open without new evidence.
fn life(entry: &Entry, when: &[Test]) -> Period {
    let longest = when.iter().map(|test| test.condition.over).max().unwrap_or_default();
    longest.max(LEAST_LIFE).max(entry.stays_open.unwrap_or_default())
}

/// What the evidence of a rule has in common.
#[derive(Clone, Copy)]
struct Scope<'a> {
    by: &'a [Label],
    in_teardown: bool,
    when_young: bool,
}

fn labels(names: &[String]) -> Result<Vec<Label>, (&str, String)> {
    names.iter().map(|name| grammar::label(name).map_err(|why| (name.as_str(), why))).collect()
}

fn problem(entry: &Entry, cause: Option<&str>, words: &str, why: String) -> Problem {
    Problem { entry: entry.id.clone(), cause: cause.map(str::to_owned), words: words.to_owned(), why }
}
