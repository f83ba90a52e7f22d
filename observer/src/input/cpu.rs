//! How much CPU time a control group has had, as the kernel counts it.

use serde::{Deserialize, Serialize};

/// What a control group's CPU files say: counts since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCounts {
    /// CPU time of all its processes, on all CPUs together.
    pub usage_ns: u64,
    /// `None`: the group is not subject to the CPU controller, or its files could not be read.
    pub bandwidth: Option<Bandwidth>,
}

/// How often, and for how long, a limit on CPU time was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Periods in which the group wanted to run. Only groups with a limit count them.
    pub periods: u64,
    /// Those of them in which its limit was used up before their end.
    pub throttled_periods: u64,
    /// For how long it was kept from CPUs: the sum over CPUs, which may be more than the time that has passed.
    pub throttled_ns: u64,
    /// CPU time that is allowed a period. `None`: there is no limit.
    pub quota: Option<Quota>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    pub quota_ns: u64,
    pub period_ns: u64,
}

/// What was counted of a container that lives, by the last sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFact {
    pub time: crate::time::Time,
    pub counts: CpuCounts,
    /// That it is throttled has been told.
    pub throttled: bool,
}
