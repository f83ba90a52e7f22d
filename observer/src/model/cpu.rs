//! How much CPU time containers get, from samples of what their control groups have counted, and whether their limit
//! keeps them from more.

use super::{Made, Model};
use crate::{
    input::{Bandwidth, CpuCounts, CpuFact, Quota},
    output::{Cpu, CpuOutcome, CpuUse, Kind, Throttling, What},
    time::Time,
};

/// A container is throttled if its limit was used up in this share of its periods,
const MUCH_PERCENT: f64 = 25.0;
/// and it wanted to run in at least so many: of fewer a share says little.
const MIN_PERIODS: u64 = 5;

/// What was sampled of a container.
#[derive(Clone, Debug, Default)]
pub struct State {
    last: Option<CpuFact>,
    /// What came of the last two samples.
    used: Option<CpuUse>,
}

impl State {
    pub fn take_up(&mut self, fact: Option<CpuFact>) {
        self.last = fact;
    }

    pub fn as_fact(&self) -> Option<CpuFact> {
        self.last
    }

    pub fn used(&self) -> Option<CpuUse> {
        self.used
    }

    /// Takes in a sample: what came of it since the one before, and what is to be told of that.
    fn sampled(&mut self, time: Time, counts: &CpuCounts) -> Option<(CpuUse, Option<CpuOutcome>)> {
        let before = self.last.replace(CpuFact { time, counts: *counts, throttled: false })?;
        // A group of the same name that counts from zero is another one.
        if time <= before.time || counts.usage_ns < before.counts.usage_ns {
            return None;
        }
        let used = CpuUse {
            interval_ns: time.since(before.time),
            usage_ns: counts.usage_ns - before.counts.usage_ns,
            throttling: between(before.counts.bandwidth, counts.bandwidth),
            quota_milli_cpus: counts.bandwidth.and_then(|of| of.quota).and_then(milli_cpus),
        };
        self.used = Some(used);
        let much = used.throttled_percent().map(|percent| percent >= MUCH_PERCENT);
        let periods = used.throttling.map_or(0, |throttling| throttling.periods);
        let throttled = match (before.throttled, much) {
            (was, None) => was,
            (false, Some(much)) => much && periods >= MIN_PERIODS,
            (true, Some(much)) => much,
        };
        if let Some(last) = &mut self.last {
            last.throttled = throttled;
        }
        let outcome = match (before.throttled, throttled) {
            (false, true) => Some(CpuOutcome::Throttled),
            (true, false) => Some(CpuOutcome::Unthrottled),
            _ => None,
        };
        Some((used, outcome))
    }
}

fn between(before: Option<Bandwidth>, now: Option<Bandwidth>) -> Option<Throttling> {
    let (before, now) = before.zip(now)?;
    Some(Throttling {
        periods: now.periods.checked_sub(before.periods)?,
        throttled_periods: now.throttled_periods.checked_sub(before.throttled_periods)?,
        throttled_ns: now.throttled_ns.checked_sub(before.throttled_ns)?,
    })
}

fn milli_cpus(quota: Quota) -> Option<u64> {
    quota.quota_ns.saturating_mul(1_000).checked_div(quota.period_ns)
}

impl Model {
    /// A sample of the control group of the container with this init.
    pub(super) fn cpu_sampled(
        &mut self,
        init: u32,
        time: Time,
        counts: &CpuCounts,
        make: &mut impl FnMut(Made),
    ) {
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) else { return };
        let Some((used, outcome)) = life.cpu.sampled(time, counts) else { return };
        let has_ended = life.ended.is_some();
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return };
        let of_it = self.container_of(life).filter(|container| container.kind != Kind::Sandbox);
        let Some(container) = of_it else { return };
        make(Made::Cpu(Box::new(container), used));
        // What has ended is not throttled any more, and nobody needs to be told.
        let Some(outcome) = outcome.filter(|outcome| !(has_ended && *outcome == CpuOutcome::Unthrottled))
        else {
            return;
        };
        if let Some(mut event) = self.event_of(init, time, What::Cpu(Cpu { outcome, used })) {
            event.began = Some(self.clock.wall(Time(time.0 - used.interval_ns)));
            make(Made::Event(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts after so many seconds: all periods, those in which it was throttled.
    fn counts(seconds: u64, periods: u64, throttled_periods: u64) -> CpuCounts {
        let quota = Some(Quota { quota_ns: 20_000_000, period_ns: 100_000_000 });
        let throttled_ns = throttled_periods * 80_000_000;
        CpuCounts {
            usage_ns: seconds * 200_000_000,
            bandwidth: Some(Bandwidth { periods, throttled_periods, throttled_ns, quota }),
        }
    }

    fn sample(state: &mut State, seconds: u64, counts: &CpuCounts) -> Option<(CpuUse, Option<CpuOutcome>)> {
        state.sampled(Time(seconds * 1_000_000_000), counts)
    }

    #[test]
    fn throttling_is_told_when_it_begins_and_ends() {
        let mut state = State::default();
        let mut told = Vec::new();
        // At first nothing is known; then 10 of 50 periods, 30 of 50, 30 of 50, 0 of 50, 4 of 4: too few to say.
        let samples = [(0, 7, 3), (5, 57, 13), (10, 107, 43), (15, 157, 73), (20, 207, 73), (25, 211, 77)];
        for (seconds, periods, throttled) in samples {
            let sampled = sample(&mut state, seconds, &counts(seconds, periods, throttled));
            told.push(sampled.map(|(used, outcome)| (used.throttled_percent(), outcome)));
        }
        let expected = [
            None,
            Some((Some(20.0), None)),
            Some((Some(60.0), Some(CpuOutcome::Throttled))),
            Some((Some(60.0), None)),
            Some((Some(0.0), Some(CpuOutcome::Unthrottled))),
            Some((Some(100.0), None)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_an_interval_had() {
        let mut state = State::default();
        sample(&mut state, 1, &counts(1, 10, 10));
        let (used, _) = sample(&mut state, 6, &counts(6, 60, 30)).unwrap();
        assert_eq!(used.usage_percent(), Some(20.0));
        let throttling = Throttling { periods: 50, throttled_periods: 20, throttled_ns: 1_600_000_000 };
        assert_eq!(used.throttling, Some(throttling));
        assert_eq!(used.quota_cpus(), Some(0.2));
    }

    #[test]
    fn a_group_that_counts_anew_has_no_interval_and_unknown_throttling_ends_nothing() {
        let mut state = State::default();
        sample(&mut state, 0, &counts(0, 0, 0));
        sample(&mut state, 5, &counts(5, 50, 50));
        let unknown = CpuCounts { bandwidth: None, ..counts(10, 0, 0) };
        let (used, outcome) = sample(&mut state, 10, &unknown).unwrap();
        assert_eq!((used.throttled_percent(), outcome), (None, None));
        assert!(state.as_fact().unwrap().throttled);
        assert_eq!(sample(&mut state, 15, &counts(1, 1, 1)), None);
    }
}
