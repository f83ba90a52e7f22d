//! Words that have a meaning: durations, sizes, labels, lists of kinds. An error says what to write instead.

use std::time::Duration;

use crate::pipeline::Show;

/// `stdio,memory`, `events`, `none`: what an exporter is given besides cold starts.
pub(super) fn events(text: &str) -> Result<Show, String> {
    Show::events(text).map_err(|error| error.to_string())
}

/// A size that the kernel takes for a ring: a power of two, of pages, and no more than 1 GiB.
pub fn ring(text: &str) -> Result<u32, String> {
    let fits = |bytes: &u32| bytes.is_power_of_two() && (4 << 10..=1 << 30).contains(bytes);
    let bytes = u32::try_from(size(text)?).ok().filter(fits);
    bytes.ok_or_else(|| format!("{text:?} is no power of two from 4KiB to 1GiB; write 8MiB or 32MiB"))
}

/// What observing may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Of one CPU: what the observer and its kernel programs use of it.
    pub cpu_percent: Option<f64>,
    /// Resident memory of the observer.
    pub memory_bytes: Option<u64>,
    /// How long it may be more than that.
    pub over_ns: u64,
}

/// `cpu=1%,memory=60MiB`, either of them, and `for=30s`.
pub fn budget(text: &str) -> Result<Budget, String> {
    let mut budget = Budget { cpu_percent: None, memory_bytes: None, over_ns: 30_000_000_000 };
    for part in text.split(',') {
        let wrong = || format!("{part:?} is no budget; write cpu=1% or memory=60MiB");
        let (what, much) = part.split_once('=').ok_or_else(wrong)?;
        match what {
            "cpu" => {
                let percent = much.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
                let is_share = |percent: &f64| percent.is_finite() && *percent > 0.0;
                budget.cpu_percent = Some(percent.filter(is_share).ok_or_else(wrong)?);
            }
            "memory" => budget.memory_bytes = Some(size(much)?),
            "for" => budget.over_ns = u64::try_from(duration(much)?.as_nanos()).map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    if budget.cpu_percent.is_none() && budget.memory_bytes.is_none() {
        return Err(format!("{text:?} bounds nothing; write cpu=1%,memory=60MiB"));
    }
    Ok(budget)
}

/// `key=value`.
pub(super) fn label(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() && !key.ends_with('!') => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not a label; write app=web")),
    }
}

/// `shop`; `!shop`: not that one.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    name(text.strip_prefix('!').unwrap_or(text)).map(|_| text.to_owned())
}

/// `web-0`, `shop/web-0`, `shop/web-*`.
pub(super) fn pod(text: &str) -> Result<String, String> {
    let whole = text.strip_suffix('*').unwrap_or(text);
    let (space, pod) = whole.split_once('/').map_or((None, whole), |(space, pod)| (Some(space), pod));
    let is_pattern = !pod.contains(['/', '*']) && space.is_none_or(|space| name(space).is_ok());
    if is_pattern && !text.is_empty() {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a pod; write web-0, shop/web-0, or with a * at its end: shop/web-*"))
}

/// Of anything that has one.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("an empty name matches nothing".to_owned()),
        text if text.contains('*') => Err(format!("{text:?}: only a pod may end with *")),
        text => Ok(text.to_owned()),
    }
}

/// `90`, `90s`, `1m30s`, `2h`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0);
        let digits = digits.ok_or_else(|| format!("{text:?} is not a duration; write 30s, 5m, 1h30m"))?;
        let number: u64 = rest[..digits].parse().map_err(|_| format!("{text:?} is too long"))?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let part = match &rest[digits..unit] {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            other => return Err(format!("{other:?} is no unit of time; use ms, s, m, h")),
        };
        total =
            part.and_then(|part| total.checked_add(part)).ok_or_else(|| format!("{text:?} is too long"))?;
        rest = &rest[unit..];
    }
    if total.is_zero() { Err("a duration must be longer than nothing".to_owned()) } else { Ok(total) }
}

/// `1048576`, `512KiB`, `64MiB`, `2GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write 512MiB or 2GiB");
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..at].parse().map_err(|_| wrong())?;
    let shift = match text[at..].trim() {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        _ => return Err(wrong()),
    };
    number.checked_shl(shift).filter(|size| size >> shift == number && *size > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whom_a_filter_may_name() {
        for text in ["web-0", "shop/web-0", "shop/web-*", "*", "shop/*"] {
            assert_eq!(pod(text).as_deref(), Ok(text));
        }
        for text in ["", "a*b", "a/b/c", "/web", "shop*/web", "web**"] {
            assert!(pod(text).is_err(), "{text}");
        }
        assert_eq!(namespace("!kube-system").as_deref(), Ok("!kube-system"));
        assert!(namespace("").is_err() && namespace("!").is_err() && namespace("sh*").is_err());
        assert!(name("").is_err());
    }

    #[test]
    fn reads_durations() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "s", "5x", "1h-", "99999999999999999999s", "18446744073709551615h", "0s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_budgets() {
        let read =
            |text| budget(text).map(|budget| (budget.cpu_percent, budget.memory_bytes, budget.over_ns));
        assert_eq!(read("cpu=1%,memory=60MiB"), Ok((Some(1.0), Some(60 << 20), 30_000_000_000)));
        assert_eq!(read("memory=1GiB,for=90s"), Ok((None, Some(1 << 30), 90_000_000_000)));
        assert_eq!(read("cpu=0.5%"), Ok((Some(0.5), None, 30_000_000_000)));
        for wrong in
            ["", "cpu", "cpu=1", "cpu=0%", "cpu=-1%", "cpu=nan%", "cpu=inf%", "memory=1%", "for=3s", "gpu=1%"]
        {
            assert!(budget(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ring_is_a_power_of_two_of_pages() {
        assert_eq!(ring("8MiB"), Ok(8 << 20));
        assert_eq!(ring("4KiB"), Ok(4 << 10));
        for wrong in ["2KiB", "3MiB", "2GiB", "8GiB", "1"] {
            assert!(ring(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_sizes() {
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "0", "MiB", "5X", "99999999999GiB", "-1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
