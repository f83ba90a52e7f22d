//! What is usual here: as earlier runs have learned it, to check against; and of this run, to be learned from it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    checks::{Check, OVER},
    windows::{Kept, Key, Windows},
};
use crate::{
    compare::usual::Usual,
    input::Normal,
    signals::{Label, Observation, kin},
    time::{Time, Wall},
};

/// How often something is learned: of what was in the time that checks look back, the highest.
const EVERY_NS: u64 = 900_000_000_000;
/// Values before anything is usual: three hours of them.
const ENOUGH: u64 = 12;
/// Workloads of which it is known whose kin they are.
const MAX_NAMES: usize = 4_096;

#[derive(Debug, Default)]
pub struct Habits {
    /// By measure and whose it is.
    normals: BTreeMap<(String, String), Normal>,
    /// What containers that are told apart here have in common with later ones.
    kin: BTreeMap<Arc<str>, String>,
    due: Option<Time>,
    learned: Usual,
}

impl Habits {
    pub fn knowing(normals: &[Normal]) -> Habits {
        let enough = normals.iter().filter(|normal| normal.count >= ENOUGH);
        let normals = enough.map(|normal| ((normal.what.clone(), normal.who.clone()), normal.clone()));
        Habits { normals: normals.collect(), ..Habits::default() }
    }

    /// What is usual of what is looked at, of this workload or of the node.
    pub fn usual(&self, check: &Check, workload: Option<&Arc<str>>) -> Option<&Normal> {
        check.usual?;
        let who = if check.of_container { self.kin.get(workload?)?.as_str() } else { "" };
        self.normals.get(&(check.of.to_owned(), who.to_owned()))
    }

    /// Keeps in mind who is seen.
    pub fn note(&mut self, observation: &Observation) {
        let Some(workload) = observation.label(Label::Container) else { return };
        if self.kin.contains_key(workload) || self.kin.len() >= MAX_NAMES {
            return;
        }
        if let Some(kin) = observation.about.container.and_then(kin) {
            self.kin.insert(Arc::from(workload), kin);
        }
    }

    /// Whether it is time to learn.
    pub fn is_due(&mut self, now: Time) -> bool {
        let due = *self.due.get_or_insert(now.plus(EVERY_NS));
        let is_due = now >= due;
        if is_due {
            self.due = Some(now.plus(EVERY_NS));
        }
        is_due
    }

    /// Learns of all that is looked at but what `is_doubtful`: where something is wrong nothing is usual.
    pub fn learn(
        &mut self,
        checks: &[Check],
        windows: &Windows,
        (now, at): (Time, Wall),
        is_doubtful: impl Fn(&Check, &Key) -> bool,
    ) {
        let from = Time(now.0.saturating_sub(OVER.0));
        for check in checks.iter().filter(|check| check.usual.is_some()) {
            for (key, kept) in windows.all_of(check.series) {
                let who = key.first().map(|workload| self.kin.get(workload).map_or("", String::as_str));
                let who = if check.of_container { who.filter(|who| !who.is_empty()) } else { Some("") };
                let recent = kept.iter().filter(|kept| kept.time >= from).map(|kept: &Kept| kept.value);
                let highest = recent.reduce(f64::max).filter(|_| !is_doubtful(check, key));
                if let Some((who, highest)) = who.zip(highest) {
                    self.learned.learn(at, check.of, who, highest);
                }
            }
        }
        let series = checks.iter().filter(|check| check.of_container).map(|check| check.series);
        let series: Vec<usize> = series.collect();
        self.kin.retain(|workload, _| {
            let key = [Arc::clone(workload)];
            series.iter().any(|series| windows.of(*series, &key).next().is_some())
        });
    }

    pub fn take_learned(&mut self) -> Usual {
        std::mem::take(&mut self.learned)
    }
}

/// How that reads.
pub fn told(normal: &Normal, unit: &str) -> String {
    let unit = if unit == "percent" { "%" } else { unit };
    format!("normal: up to {:.1} {unit}, learned from {} times 5 minutes", normal.p90, normal.count)
}
