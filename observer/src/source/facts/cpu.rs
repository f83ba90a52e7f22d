//! What a control group's CPU files say. Read only; a group that is gone is the normal case.

use std::io;

use super::HostRoot;
use crate::input::{Bandwidth, CpuCounts, Quota};

/// Where CPU time is counted and where it is limited, of version 1; the two are often one hierarchy.
const V1_USAGE: &str = "/sys/fs/cgroup/cpuacct";
const V1_LIMIT: &str = "/sys/fs/cgroup/cpu";
/// Version 2.
const V2: &str = "/sys/fs/cgroup";

/// How much CPU time a control group, by its path in its hierarchy, has had.
///
/// # Errors
/// It is in neither hierarchy, or cannot be read.
pub fn counts(host: &HostRoot, cgroup: &str) -> io::Result<CpuCounts> {
    if let Ok(usage) = host.read(format!("{V1_USAGE}{cgroup}/cpuacct.usage")) {
        return Ok(CpuCounts { usage_ns: number(&usage)?, bandwidth: limit_of_v1(host, cgroup) });
    }
    let stat = host.read(format!("{V2}{cgroup}/cpu.stat"))?;
    let usage = field(&stat, "usage_usec").ok_or_else(not_a_number)?;
    let max = host.read(format!("{V2}{cgroup}/cpu.max"));
    let bandwidth = bandwidth(&stat, "throttled_usec", 1_000).zip(max.ok()).map(|(counted, max)| {
        let quota = max.split_once(' ').and_then(|(quota, period)| quota_of_us(quota, period));
        Bandwidth { quota, ..counted }
    });
    Ok(CpuCounts { usage_ns: usage.saturating_mul(1_000), bandwidth })
}

fn limit_of_v1(host: &HostRoot, cgroup: &str) -> Option<Bandwidth> {
    let read = |file: &str| host.read(format!("{V1_LIMIT}{cgroup}/{file}")).ok();
    let counted = bandwidth(&read("cpu.stat")?, "throttled_time", 1)?;
    // A quota of -1 is no number: no limit.
    let quota = quota_of_us(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?);
    Some(Bandwidth { quota, ..counted })
}

fn bandwidth(stat: &str, throttled: &str, unit_ns: u64) -> Option<Bandwidth> {
    Some(Bandwidth {
        periods: field(stat, "nr_periods")?,
        throttled_periods: field(stat, "nr_throttled")?,
        throttled_ns: field(stat, throttled)?.saturating_mul(unit_ns),
        quota: None,
    })
}

fn quota_of_us(quota: &str, period: &str) -> Option<Quota> {
    let ns = |text: &str| number(text).ok().map(|us| us.saturating_mul(1_000));
    Some(Quota { quota_ns: ns(quota)?, period_ns: ns(period)? })
}

fn field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| number(line.strip_prefix(name)?.strip_prefix(' ')?).ok())
}

fn number(text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(|_| not_a_number())
}

fn not_a_number() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a number")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = HostRoot::at(dir.path());
        (dir, host)
    }

    #[test]
    fn version_1() {
        let (dir, host) = host(&[
            ("sys/fs/cgroup/cpuacct/pod/c/cpuacct.usage", "2500000000\n"),
            (
                "sys/fs/cgroup/cpu/pod/c/cpu.stat",
                "nr_periods 31\nnr_throttled 30\nthrottled_time 2412500000\n",
            ),
            ("sys/fs/cgroup/cpu/pod/c/cpu.cfs_quota_us", "20000\n"),
            ("sys/fs/cgroup/cpu/pod/c/cpu.cfs_period_us", "100000\n"),
        ]);
        let quota = Some(Quota { quota_ns: 20_000_000, period_ns: 100_000_000 });
        let limited = Bandwidth { periods: 31, throttled_periods: 30, throttled_ns: 2_412_500_000, quota };
        let told = counts(&host, "/pod/c").unwrap();
        assert_eq!(told, CpuCounts { usage_ns: 2_500_000_000, bandwidth: Some(limited) });
        let group = dir.path().join("sys/fs/cgroup/cpu/pod/c");
        fs::write(group.join("cpu.cfs_quota_us"), "-1\n").unwrap();
        assert_eq!(counts(&host, "/pod/c").unwrap().bandwidth, Some(Bandwidth { quota: None, ..limited }));
        fs::remove_file(group.join("cpu.stat")).unwrap();
        assert_eq!(counts(&host, "/pod/c").unwrap().bandwidth, None, "not measured is not zero");
        assert!(counts(&host, "/pod/gone").is_err());
    }

    #[test]
    fn version_2_with_and_without_the_controller() {
        let stat = "usage_usec 1500\nuser_usec 1000\nnr_periods 4\nnr_throttled 1\nthrottled_usec 9\n";
        let (dir, host) = host(&[
            ("sys/fs/cgroup/pod/c/cpu.stat", stat),
            ("sys/fs/cgroup/pod/c/cpu.max", "50000 100000\n"),
        ]);
        let quota = Some(Quota { quota_ns: 50_000_000, period_ns: 100_000_000 });
        let limited = Bandwidth { periods: 4, throttled_periods: 1, throttled_ns: 9_000, quota };
        let told = counts(&host, "/pod/c").unwrap();
        assert_eq!(told, CpuCounts { usage_ns: 1_500_000, bandwidth: Some(limited) });
        let group = dir.path().join("sys/fs/cgroup/pod/c");
        fs::write(group.join("cpu.max"), "max 100000\n").unwrap();
        assert_eq!(counts(&host, "/pod/c").unwrap().bandwidth, Some(Bandwidth { quota: None, ..limited }));
        fs::write(group.join("cpu.stat"), "usage_usec 1500\n").unwrap();
        assert_eq!(counts(&host, "/pod/c").unwrap().bandwidth, None);
    }
}
