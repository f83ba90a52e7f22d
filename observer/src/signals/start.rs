//! Signals of container starts: those that failed, and those that took longer than their image's starts do.

use std::collections::{BTreeMap, VecDeque};

use super::{About, Label, Observation, Signal};
use crate::{
    output::{ColdStart, Failure, PhaseName, Since, errno},
    time::Time,
};

/// Starts of an image before its median means something.
const ENOUGH: usize = 5;
/// Starts of an image, and images, that are remembered.
const MAX_STARTS: usize = 64;
const MAX_IMAGES: usize = 1_024;
/// A start that takes little more than usual is no trouble, however little is usual.
const LEAST_EXCESS_MS: f64 = 100.0;

/// What earlier starts of each image took, milliseconds.
#[derive(Debug, Default)]
pub(super) struct Medians {
    totals: BTreeMap<String, VecDeque<f64>>,
    loads: BTreeMap<String, VecDeque<f64>>,
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
    let slowest = start.phases.iter().max_by_key(|phase| phase.duration_ns);
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
    if let Some(median) = Medians::take(&mut medians.totals, &key, total)
        && total - median > LEAST_EXCESS_MS
    {
        let text = format!("{}, against {median:.0} ms of earlier starts of its image", slow(total));
        see(labelled(of(Signal::StartSlow, total / median.max(0.001)).saying(text)));
    }
    let Some(load) = load_ms(start) else { return };
    see(labelled(of(Signal::WasmLoad, load).saying(format!("its module took {load:.1} ms to load"))));
    if let Some(median) = Medians::take(&mut medians.loads, &key, load) {
        let text = format!("its module took {load:.1} ms to load, against {median:.1} ms before");
        see(labelled(of(Signal::WasmLoadSlow, load / median.max(0.001)).saying(text)));
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

/// Without what fetches its image.
fn total_ms(start: &ColdStart) -> f64 {
    let pulling = |name| matches!(name, PhaseName::ImagePull | PhaseName::Snapshot);
    let pulled: u64 =
        start.phases.iter().filter(|phase| pulling(phase.name)).map(|phase| phase.duration_ns).sum();
    start.total_ns.saturating_sub(pulled) as f64 / 1e6
}

fn load_ms(start: &ColdStart) -> Option<f64> {
    let loading = |name| matches!(name, PhaseName::WasmLoad | PhaseName::WasmInstantiate);
    let loads = start.phases.iter().filter(|phase| loading(phase.name));
    loads.map(|phase| phase.duration_ns as f64 / 1e6).reduce(|sum, next| sum + next)
}

impl Medians {
    /// The median before this one; `None`: there were too few.
    fn take(of: &mut BTreeMap<String, VecDeque<f64>>, key: &str, value: f64) -> Option<f64> {
        if !of.contains_key(key) && of.len() >= MAX_IMAGES {
            return None;
        }
        let known = of.entry(key.to_owned()).or_default();
        let median = (known.len() >= ENOUGH).then(|| {
            let mut sorted: Vec<f64> = known.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        });
        known.push_back(value);
        if known.len() > MAX_STARTS {
            known.pop_front();
        }
        median
    }
}
