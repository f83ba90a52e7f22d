//! How much CPU time containers get, and are kept from.

use super::names;

/// A container is throttled, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    pub outcome: CpuOutcome,
    /// In the interval at whose end that was seen.
    pub used: CpuUse,
}

names! {
    CpuOutcome {
        /// Its limit was used up in many of its periods.
        Throttled = "throttled",
        /// Not any more.
        Unthrottled = "unthrottled",
    }
}

/// What a container's control group has had of the CPUs within an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuUse {
    pub interval_ns: u64,
    /// CPU time, on all CPUs together.
    pub usage_ns: u64,
    /// `None`: the kernel does not say.
    pub throttling: Option<Throttling>,
    /// CPUs that its limit allows, in thousandths; `None`: no limit, or it is not known.
    pub quota_milli_cpus: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// In which it wanted to run, and those in which its limit was used up.
    pub periods: u64,
    pub throttled_periods: u64,
    /// How long it was kept from CPUs, the sum over CPUs.
    pub throttled_ns: u64,
}

impl CpuUse {
    /// Share of one CPU: 200 is two of them. `None`: no time has passed.
    pub fn usage_percent(&self) -> Option<f64> {
        percent(self.usage_ns, self.interval_ns)
    }

    /// Share of its periods in which the limit was used up; 0 where it did not want to run at all.
    pub fn throttled_percent(&self) -> Option<f64> {
        let throttling = self.throttling?;
        Some(percent(throttling.throttled_periods, throttling.periods).unwrap_or(0.0))
    }

    pub fn quota_cpus(&self) -> Option<f64> {
        self.quota_milli_cpus.map(|cpus| cpus as f64 / 1_000.0)
    }

    /// Adds the interval that follows; its limit is the one that holds now.
    pub fn add(&mut self, next: &CpuUse) {
        self.interval_ns = self.interval_ns.saturating_add(next.interval_ns);
        self.usage_ns = self.usage_ns.saturating_add(next.usage_ns);
        self.quota_milli_cpus = next.quota_milli_cpus;
        self.throttling = self.throttling.zip(next.throttling).map(|(one, other)| Throttling {
            periods: one.periods.saturating_add(other.periods),
            throttled_periods: one.throttled_periods.saturating_add(other.throttled_periods),
            throttled_ns: one.throttled_ns.saturating_add(other.throttled_ns),
        });
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_add_up_and_what_one_does_not_know_the_sum_does_not() {
        let throttling = Throttling { periods: 50, throttled_periods: 20, throttled_ns: 7 };
        let one = CpuUse {
            interval_ns: 1_000,
            usage_ns: 500,
            throttling: Some(throttling),
            quota_milli_cpus: Some(500),
        };
        let mut sum = one;
        sum.add(&CpuUse { usage_ns: 2_500, ..one });
        assert_eq!((sum.usage_percent(), sum.throttled_percent()), (Some(150.0), Some(40.0)));
        assert_eq!(sum.quota_cpus(), Some(0.5));
        sum.add(&CpuUse { throttling: None, quota_milli_cpus: None, ..one });
        assert_eq!((sum.throttled_percent(), sum.quota_cpus()), (None, None));
        assert_eq!(CpuUse::default().usage_percent(), None, "nothing can be said of no time");
        let idle = CpuUse { throttling: Some(Throttling::default()), ..one };
        assert_eq!(idle.throttled_percent(), Some(0.0));
    }
}
