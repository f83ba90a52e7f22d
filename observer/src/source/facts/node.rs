//! What /proc says of the node's CPUs.

use super::HostRoot;
use crate::input::CpuTime;

/// Time of all CPUs since the node was started; `None`: it cannot be read.
pub fn cpu_time(host: &HostRoot) -> Option<CpuTime> {
    parse(&host.read("/proc/stat").ok()?)
}

/// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`: a guest's time is in user and nice already.
fn parse(stat: &str) -> Option<CpuTime> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).take(8).collect();
    let stolen = *ticks.get(7)?;
    Some(CpuTime { all: ticks.iter().sum(), stolen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_time_is_not_counted_twice() {
        let stat = "cpu  10 1 20 300 4 5 6 7 99 98\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
        assert_eq!(parse(stat), Some(CpuTime { all: 353, stolen: 7 }));
        assert_eq!(parse("cpu  10 1 20 300\n"), None, "not measured is not zero");
        assert!(cpu_time(&HostRoot::at("/")).is_some_and(|time| time.all > time.stolen));
    }
}
