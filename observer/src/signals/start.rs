//! Signals of container starts: those that failed, and those that took longer than their image's starts do.

use std::collections::{BTreeMap, VecDeque};

use super::{About, Label, Observation, Signal};
use crate::{
    input::Normal,
    output::{ColdStart, Failure, PhaseName, Ready, Since, errno},
    time::Time,
};

/// Starts of an image before its median means something.
const ENOUGH: usize = 5;
/// The same of starts that earlier runs have seen, of a node that was another then.
const ENOUGH_LEARNED: u64 = 10;
/// A node that has just booted starts everything at once, and reads all of it from its disk.
const JUST_BOOTED: Time = Time(900_000_000_000);
/// Starts of an image, and images, that are remembered.
const MAX_STARTS: usize = 64;
const MAX_IMAGES: usize = 1_024;
/// A start that takes little more than usual is no trouble, however little is usual.
const LEAST_EXCESS_MS: f64 = 100.0;

/// What earlier starts of each image took, milliseconds.
#[derive(Debug, Default)]
pub(super) struct Medians {
    totals: Kept,
    loads: Kept,
}

/// Of each image, and where its starts begin.
#[derive(Debug, Default)]
struct Kept {
    /// Of this run.
    seen: BTreeMap<String, VecDeque<f64>>,
    /// Of earlier ones.
    learned: BTreeMap<String, Normal>,
}

/// What a start is compared with.
#[derive(Debug, PartialEq)]
struct Usually {
    median: f64,
    /// Of how many starts of earlier runs it is; `None`: of this run's.
    learned: Option<u64>,
}

pub(super) fn signals<'a>(
    start: &'a ColdStart,
    now: Time,
    medians: &mut Medians,
    mut see: impl FnMut(Observation<'a>),
) {
    let about = About {
        probe: "coldstart",
        container: Some(&start.container),
        process: start.failure.as_ref().and_then(|failure| failure.process.as_ref()),
        since: Since::Start,
        in_teardown: false,
        is_young: false,
    };
    let of = |signal, value| Observation::new(now, start.time, signal, value, about);
    if let Some(failure) = &start.failure {
        see(failed(failure, of(Signal::StartFailed, 1.0)));
        return;
    }
    let total = total_ms(start);
    let counted = start.phases.iter().filter(|phase| !is_left_out(start, phase.name));
    let slowest = counted.max_by_key(|phase| phase.duration_ns);
    let phase = slowest.map_or("unattributed", |phase| phase.name.name());
    let cold = match start.cold {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let labelled =
        |observation: Observation<'a>| observation.with(Label::Phase, phase).with(Label::Cold, cold);
    let slow = |ms: f64| format!("its start took {ms:.0} ms, most of it in phase {phase}");
    see(labelled(of(Signal::StartTotal, total).saying(slow(total))));
    // Starts are compared only with those that began alike.
    let key = format!("{} from {}", start.container.image.as_deref().unwrap_or_default(), start.t0.name());
    // What was not in memory takes longer, and is not usual.
    let usually = medians.totals.take(&key, total, now);
    if let Some(usually) = usually.filter(|usually| usually.learned.is_none() || start.cold != Some(true))
        && total - usually.median > LEAST_EXCESS_MS
    {
        let text = format!("{}, {}", slow(total), usually.told(0, "of earlier starts of its image"));
        see(labelled(of(Signal::StartSlow, total / usually.median.max(0.001)).saying(text)));
    }
    let Some(load) = load_ms(start) else { return };
    see(labelled(of(Signal::WasmLoad, load).saying(format!("its module took {load:.1} ms to load"))));
    if let Some(usually) = medians.loads.take(&key, load, now) {
        let text = format!("its module took {load:.1} ms to load, {}", usually.told(1, "before"));
        see(labelled(of(Signal::WasmLoadSlow, load / usually.median.max(0.001)).saying(text)));
    }
}

fn failed<'a>(failure: &'a Failure, observation: Observation<'a>) -> Observation<'a> {
    observation
        .with(Label::Phase, failure.phase.name())
        .with_some(Label::Call, failure.call.as_deref())
        .with_some(Label::Errno, failure.errno.and_then(errno::name))
        .with_some(Label::Object, failure.object.as_deref())
        .saying(&failure.text)
}

/// Without what fetches its image. And without what a program does before it first speaks, or ends: it may be at work.
/// One that listens was not ready before.
fn is_left_out(start: &ColdStart, name: PhaseName) -> bool {
    match name {
        PhaseName::ImagePull | PhaseName::Snapshot => true,
        PhaseName::Init => start.ready != Ready::Listen,
        _ => false,
    }
}

fn total_ms(start: &ColdStart) -> f64 {
    let left_out = start.phases.iter().filter(|phase| is_left_out(start, phase.name));
    let others: u64 = left_out.map(|phase| phase.duration_ns).sum();
    start.total_ns.saturating_sub(others) as f64 / 1e6
}

fn load_ms(start: &ColdStart) -> Option<f64> {
    let loading = |name| matches!(name, PhaseName::WasmLoad | PhaseName::WasmInstantiate);
    let loads = start.phases.iter().filter(|phase| loading(phase.name));
    loads.map(|phase| phase.duration_ns as f64 / 1e6).reduce(|sum, next| sum + next)
}

impl Medians {
    pub fn knowing(normals: &[Normal]) -> Medians {
        let of = |signal: Signal| {
            let of_it = normals.iter().filter(|normal| normal.what == signal.name());
            let learned = of_it.map(|normal| (normal.who.clone(), normal.clone())).collect();
            Kept { learned, ..Kept::default() }
        };
        Medians { totals: of(Signal::StartTotal), loads: of(Signal::WasmLoad) }
    }
}

impl Kept {
    /// The median before this one; `None`: there were too few. As long as there were too few in this run, that of
    /// earlier ones, if this is more than one in ten of those was.
    fn take(&mut self, key: &str, value: f64, now: Time) -> Option<Usually> {
        let learned = self
            .learned
            .get(key)
            .filter(|normal| normal.count >= ENOUGH_LEARNED && value > normal.p90 && now >= JUST_BOOTED);
        let learned = learned.map(|normal| Usually { median: normal.median, learned: Some(normal.count) });
        if !self.seen.contains_key(key) && self.seen.len() >= MAX_IMAGES {
            return learned;
        }
        let known = self.seen.entry(key.to_owned()).or_default();
        let seen = (known.len() >= ENOUGH).then(|| {
            let mut sorted: Vec<f64> = known.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            Usually { median: sorted[sorted.len() / 2], learned: None }
        });
        known.push_back(value);
        if known.len() > MAX_STARTS {
            known.pop_front();
        }
        seen.or(learned)
    }
}

impl Usually {
    fn told(&self, decimals: usize, of: &str) -> String {
        let median = self.median;
        match self.learned {
            None => format!("against {median:.decimals$} ms {of}"),
            Some(count) => {
                format!("normal: {median:.decimals$} ms, learned from {count} starts of its image")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Time = Time(2 * JUST_BOOTED.0);

    fn knowing(count: u64) -> Kept {
        let normal = |what: &str| Normal {
            what: what.to_owned(),
            who: "app from shim".to_owned(),
            count,
            median: 120.0,
            p90: 400.0,
        };
        Medians::knowing(&[normal("start.total_ms"), normal("cpu.used_percent")]).totals
    }

    #[test]
    fn the_first_start_of_a_run_is_compared_with_those_of_earlier_runs() {
        let usually = knowing(40).take("app from shim", 900.0, LATER).unwrap();
        assert_eq!(usually.told(0, ""), "normal: 120 ms, learned from 40 starts of its image");
        assert_eq!(knowing(40).take("other from shim", 900.0, LATER), None);
    }

    #[test]
    fn what_is_not_certain_to_be_unusual_is_not_compared() {
        assert_eq!(knowing(9).take("app from shim", 900.0, LATER), None, "of too few");
        assert_eq!(knowing(40).take("app from shim", 399.0, LATER), None, "one in ten took as long");
        assert_eq!(knowing(40).take("app from shim", 900.0, Time(60_000_000_000)), None, "after booting");
    }

    #[test]
    fn what_this_run_has_seen_counts_more() {
        let mut kept = knowing(40);
        for _ in 0..ENOUGH {
            kept.take("app from shim", 1_000.0, LATER);
        }
        let usually = kept.take("app from shim", 1_100.0, LATER);
        assert_eq!(usually, Some(Usually { median: 1_000.0, learned: None }));
    }
}
