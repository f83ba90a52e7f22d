//! What is usual of what is measured all the time: the last values of each measure and workload, bounded.

use std::collections::{BTreeMap, VecDeque};

use crate::time::Wall;

/// Measures of workloads that are kept; of more, what learned nothing for the longest time gives way.
pub const MAX_KNOWN: usize = 2_000;
/// Values kept of each: a day's, at one every quarter of an hour; the oldest gives way.
pub const MAX_VALUES: usize = 96;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usual {
    /// By measure and whose it is.
    known: BTreeMap<(String, String), Known>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    last: Wall,
    values: VecDeque<f64>,
}

impl Usual {
    pub fn learn(&mut self, time: Wall, what: &str, who: &str, value: f64) {
        // What is no number cannot be written down.
        if !value.is_finite() {
            return;
        }
        let key = (what.to_owned(), who.to_owned());
        if !self.known.contains_key(&key) && self.known.len() >= MAX_KNOWN {
            let stalest = self.known.iter().min_by_key(|(_, known)| known.last);
            if let Some(stalest) = stalest.map(|(key, _)| key.clone()) {
                self.known.remove(&stalest);
            }
        }
        let known = self.known.entry(key).or_default();
        if known.values.len() >= MAX_VALUES {
            known.values.pop_front();
        }
        known.values.push_back(value);
        known.last = known.last.max(time);
    }

    /// Takes in what was learned elsewhere since.
    pub fn add(&mut self, later: &Usual) {
        for (what, who, last, values) in later.known() {
            values.iter().for_each(|value| self.learn(last, what, who, *value));
        }
    }

    /// Measure, whose, when it was learned last, and its values, oldest first.
    pub fn known(&self) -> impl Iterator<Item = (&str, &str, Wall, &VecDeque<f64>)> {
        self.known.iter().map(|((what, who), known)| (what.as_str(), who.as_str(), known.last, &known.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_values_are_kept() {
        let mut usual = Usual::default();
        for n in 0..MAX_VALUES as i64 + 3 {
            usual.learn(Wall(n), "what", "who", n as f64);
        }
        usual.learn(Wall(999), "what", "who", f64::NAN);
        let (what, who, last, values) = usual.known().next().unwrap();
        assert_eq!((what, who, last), ("what", "who", Wall(MAX_VALUES as i64 + 2)));
        assert_eq!((values.len(), values[0]), (MAX_VALUES, 3.0));
    }

    #[test]
    fn what_learned_nothing_for_the_longest_time_gives_way() {
        let mut usual = Usual::default();
        for n in 0..MAX_KNOWN {
            usual.learn(Wall(if n == 7 { 0 } else { 10 }), "what", &format!("who-{n}"), 1.0);
        }
        let mut later = Usual::default();
        later.learn(Wall(20), "what", "new", 1.0);
        usual.add(&later);
        let who: Vec<&str> = usual.known().map(|(_, who, ..)| who).collect();
        assert_eq!(who.len(), MAX_KNOWN);
        assert!(who.contains(&"new") && !who.contains(&"who-7"));
    }
}
