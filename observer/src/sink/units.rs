//! Times, durations and sizes as people and programs read them.

use jiff::Timestamp;

use crate::{output::Process, time::Wall};

fn timestamp(wall: Wall) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(wall.0)).expect("64 bits of nanoseconds are within jiff's years")
}

/// RFC 3339 in UTC, always nine digits of nanoseconds.
pub(super) fn rfc3339(wall: Wall) -> String {
    format!("{:.9}", timestamp(wall))
}

/// The same to the second.
pub(super) fn rfc3339_seconds(wall: Wall) -> String {
    format!("{:.0}", timestamp(wall))
}

/// The same, easier on the eye.
pub(super) fn date_time(wall: Wall) -> String {
    timestamp(wall).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub(super) fn time_of_day(wall: Wall) -> String {
    timestamp(wall).strftime("%H:%M:%S").to_string()
}

/// Milliseconds with the nanoseconds as digits: 12345678 is 12.345678.
pub(super) fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

pub(super) fn ms_text(ns: u64) -> String {
    format!("{:.2}", ms(ns))
}

pub(super) fn signed_ms_text(ns: i64) -> String {
    format!("{:+.2}", ns as f64 / 1e6)
}

/// Share of a whole in percent; 0 of nothing.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The share as whole percents; what is there but rounds to none is `<1%`.
pub(super) fn percent_text(part: u64, whole: u64) -> String {
    match percent(part, whole) {
        share if part > 0 && share < 0.5 => "<1%".to_owned(),
        share => format!("{share:.0}%"),
    }
}

pub(super) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

pub(super) fn process_text(process: &Process) -> String {
    format!("{}[{}]", process.comm, process.pid)
}

/// "1 start", "2 starts".
pub(super) fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_always_have_nine_digits() {
        assert_eq!(rfc3339(Wall(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(Wall(1_700_000_000_120_000_001)), "2023-11-14T22:13:20.120000001Z");
        assert_eq!(rfc3339(Wall(i64::MAX)), "2262-04-11T23:47:16.854775807Z");
        assert_eq!(rfc3339(Wall(i64::MIN)), "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn milliseconds_keep_every_digit() {
        for (ns, text) in
            [(12_345_678, "12.345678"), (1, "1e-6"), (0, "0.0"), (3_600_000_000_001, "3600000.000001")]
        {
            assert_eq!(serde_json::to_string(&ms(ns)).unwrap(), text);
        }
    }

    #[test]
    fn sizes_read_well() {
        let sizes = [0, 1023, 1024, 1_572_864, u64::MAX].map(bytes_text);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16777216.0 TiB"]);
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert_eq!((percent(1, 4), percent(0, 0)), (25.0, 0.0));
        let texts = [(1, 4), (1, 1000), (0, 1000), (0, 0)].map(|(part, whole)| percent_text(part, whole));
        assert_eq!(texts, ["25%", "<1%", "0%", "0%"]);
    }
}
