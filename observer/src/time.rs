//! Time as the kernel tells it. Pure modules get time from records and ticks only.

use serde::{Deserialize, Serialize};

/// Nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is later.
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn plus(self, ns: u64) -> Time {
        Time(self.0.saturating_add(ns))
    }
}

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall(pub i64);

/// The distance between the two clocks, as measured by the live edge: an input like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// Wall clock minus CLOCK_BOOTTIME, nanoseconds.
    pub wall_minus_boot_ns: i64,
    /// Half the width of the bracket in which it was measured, nanoseconds.
    pub error_ns: u64,
}

impl ClockOffset {
    /// After it was measured again: as it was, unless a clock has been set. Both clocks are slewed alike, and the same
    /// instant should have the same name whenever it is told.
    #[must_use]
    pub fn measured_again(self, measured: ClockOffset) -> ClockOffset {
        let apart = self.wall_minus_boot_ns.abs_diff(measured.wall_minus_boot_ns);
        let is_the_same = apart <= self.error_ns.saturating_add(measured.error_ns);
        if is_the_same && self != ClockOffset::default() { self } else { measured }
    }

    pub fn wall(self, time: Time) -> Wall {
        Wall((time.0 as i64).saturating_add(self.wall_minus_boot_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_not_set_gives_instants_their_names_for_good() {
        let offset = |ns| ClockOffset { wall_minus_boot_ns: ns, error_ns: 50 };
        let first = ClockOffset::default().measured_again(offset(1_000));
        assert_eq!(first, offset(1_000));
        assert_eq!(first.measured_again(offset(1_090)), first);
        assert_eq!(first.measured_again(offset(1_101)), offset(1_101), "somebody has set it");
    }
}
