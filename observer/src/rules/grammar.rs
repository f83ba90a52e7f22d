//! The closed grammar of conditions:
//!
//! ```text
//! [FUNC(]SIGNAL[{LABEL=A|B, LABEL!=A, LABEL~PART}][)] OP NUMBER over TIME
//!     [spanning TIME] [since SIGNAL[{..}]] [at other LABEL | at any LABEL]
//! ```
//!
//! FUNC: `sum`, `max`, `min`, `last`, `median`, `p99`; `grew`: in how many of five equal parts of the time, counted back
//! from now, the value grew, before one in which it did not. `spanning`: from the first to the last at least so long. `since S`: only what came after the last S of the same
//! key. `at other L`: of the same key but for L, which is another. `at any L`: whatever L is.

use crate::{
    rules::catalogue::Period,
    signals::{Label, Signal},
};

/// What a rule asks of the observations of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub func: Func,
    pub of: Selector,
    pub op: Op,
    pub bound: f64,
    pub over: Period,
    pub spanning: Option<Period>,
    pub since: Option<Selector>,
    pub place: Place,
}

/// Which observations of a signal count.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    pub signal: Signal,
    pub matchers: Vec<Matcher>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    pub label: Label,
    pub how: How,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    IsOneOf,
    IsNoneOf,
    /// One of them is part of it.
    Contains,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Func {
    Sum,
    Max,
    Min,
    Last,
    Median,
    P99,
    /// In how many of [`PARTS`] equal parts of the time, counted back from now, it grew, before one in which it did not.
    Grew,
}

/// Of the time over which `grew` is asked.
pub const PARTS: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    AtLeast,
    Above,
    AtMost,
    Below,
    Equal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Here,
    Other(Label),
    Any(Label),
}

impl Op {
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Op::AtLeast => value >= bound,
            Op::Above => value > bound,
            Op::AtMost => value <= bound,
            Op::Below => value < bound,
            Op::Equal => value == bound,
        }
    }

    /// Whether nothing at all would do.
    pub const fn is_upper_bound(self) -> bool {
        matches!(self, Op::AtMost | Op::Below)
    }
}

impl Selector {
    /// # Errors
    /// What is wrong with it, in words for who wrote it.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let (name, labels) = match text.split_once('{') {
            Some((name, rest)) => {
                let inner = rest.strip_suffix('}').ok_or_else(|| format!("{text:?} lacks its closing }}"))?;
                (name, inner)
            }
            None => (text, ""),
        };
        let signal = Signal::of(name.trim())
            .ok_or_else(|| unknown("signal", name.trim(), Signal::ALL.iter().map(|signal| signal.name())))?;
        let parts = labels.split(',').map(str::trim).filter(|part| !part.is_empty());
        let matchers = parts.map(Matcher::parse).collect::<Result<_, _>>()?;
        Ok(Selector { signal, matchers })
    }

    /// Whether an observation with these labels is one of them.
    pub fn takes<'a>(&self, label: impl Fn(Label) -> Option<&'a str>) -> bool {
        self.matchers.iter().all(|matcher| matcher.takes(label(matcher.label)))
    }
}

impl Matcher {
    fn parse(text: &str) -> Result<Matcher, String> {
        let (name, how, values) = if let Some((name, values)) = text.split_once("!=") {
            (name, How::IsNoneOf, values)
        } else if let Some((name, values)) = text.split_once('~') {
            (name, How::Contains, values)
        } else if let Some((name, values)) = text.split_once('=') {
            (name, How::IsOneOf, values)
        } else {
            return Err(format!(
                "{text:?} is no condition on a label: write LABEL=VALUE, LABEL!=VALUE or LABEL~PART"
            ));
        };
        let values: Vec<String> = values.split('|').map(|value| value.trim().to_owned()).collect();
        Ok(Matcher { label: label(name.trim())?, how, values })
    }

    fn takes(&self, value: Option<&str>) -> bool {
        match self.how {
            How::IsOneOf => value.is_some_and(|value| self.values.iter().any(|wanted| wanted == value)),
            // What is not known is not another.
            How::IsNoneOf => value.is_none_or(|value| self.values.iter().all(|other| other != value)),
            How::Contains => {
                value.is_some_and(|value| self.values.iter().any(|part| value.contains(part.as_str())))
            }
        }
    }
}

impl Condition {
    /// The value below which an observation says nothing for it, whatever else was observed: of a greatest one, its bound.
    pub fn least(&self) -> Option<f64> {
        let is_of_one = self.func == Func::Max && matches!(self.op, Op::Above | Op::AtLeast);
        is_of_one.then_some(self.bound)
    }

    /// How far back it looks: what has grown over a time had some value before.
    pub fn reach(&self) -> Period {
        match self.func {
            Func::Grew => Period(self.over.0 + self.over.0 / u64::from(PARTS)),
            _ => self.over,
        }
    }

    /// # Errors
    /// What is wrong with it, in words for who wrote it.
    pub fn parse(text: &str) -> Result<Condition, String> {
        let (head, rest) = text.split_once(" over ").ok_or("it says over no time: `.. over 60s`")?;
        let (left, op, bound) = comparison(head)?;
        let (func, of) = function(left)?;
        let bound = bound.parse().map_err(|_| format!("{bound:?} is no number"))?;
        let mut condition = Condition {
            func,
            of,
            op,
            bound,
            over: Period(0),
            spanning: None,
            since: None,
            place: Place::Here,
        };
        let mut words = rest.split_whitespace();
        condition.over = Period::parse(words.next().ok_or("it says over no time")?)?;
        while let Some(word) = words.next() {
            let mut next = |what: &str| words.next().ok_or_else(|| format!("`{word}` needs {what}"));
            match word {
                "spanning" => condition.spanning = Some(Period::parse(next("a time")?)?),
                "since" => {
                    let mut selector = next("a signal")?.to_owned();
                    while selector.contains('{') && !selector.contains('}') {
                        selector.push_str(next("the rest of its labels")?);
                    }
                    condition.since = Some(Selector::parse(&selector)?);
                }
                "at" => {
                    let which = next("`other` or `any`, and a label")?;
                    let label = label(next("a label")?)?;
                    condition.place = match which {
                        "other" => Place::Other(label),
                        "any" => Place::Any(label),
                        _ => {
                            return Err(format!(
                                "`at {which}`: there are `at other LABEL` and `at any LABEL`"
                            ));
                        }
                    };
                }
                _ => return Err(unknown("word", word, ["spanning", "since", "at"].into_iter())),
            }
        }
        Ok(condition)
    }
}

fn comparison(head: &str) -> Result<(&str, Op, &str), String> {
    const OPS: [(&str, Op); 5] = [
        (" >= ", Op::AtLeast),
        (" <= ", Op::AtMost),
        (" == ", Op::Equal),
        (" > ", Op::Above),
        (" < ", Op::Below),
    ];
    let found =
        OPS.iter().find_map(|(text, op)| head.rsplit_once(text).map(|(left, right)| (left, *op, right)));
    let (left, op, right) = found.ok_or("it compares nothing: write `SIGNAL >= 3 over 60s`")?;
    Ok((left.trim(), op, right.trim()))
}

fn function(text: &str) -> Result<(Func, Selector), String> {
    const FUNCS: [(&str, Func); 7] = [
        ("sum", Func::Sum),
        ("max", Func::Max),
        ("min", Func::Min),
        ("last", Func::Last),
        ("median", Func::Median),
        ("p99", Func::P99),
        ("grew", Func::Grew),
    ];
    if let Some((name, rest)) = text.split_once('(') {
        let (_, func) = FUNCS
            .iter()
            .find(|(known, _)| *known == name.trim())
            .ok_or_else(|| unknown("function", name, FUNCS.iter().map(|(name, _)| *name)))?;
        let inner = rest.strip_suffix(')').ok_or_else(|| format!("{text:?} lacks its closing )"))?;
        return Ok((*func, Selector::parse(inner)?));
    }
    let of = Selector::parse(text)?;
    Ok((if of.signal.is_count() { Func::Sum } else { Func::Max }, of))
}

/// # Errors
/// There is no such label.
pub fn label(name: &str) -> Result<Label, String> {
    Label::of(name).ok_or_else(|| unknown("label", name, Label::ALL.iter().map(|label| label.name())))
}

/// Says that there is no such thing, and what comes nearest.
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match known.min_by_key(|known| distance(name, known)) {
        Some(nearest) => format!("there is no {what} {name:?}; the nearest is {nearest:?}"),
        None => format!("there is no {what} {name:?}"),
    }
}

/// How many letters must be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to, other) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
