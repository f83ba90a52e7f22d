//! What /proc and /sys say of block devices.

use std::collections::BTreeMap;

use super::HostRoot;

/// How far a device is with what is asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests that are done, of any kind.
    pub done: u64,
    /// Requests that are under way.
    pub under_way: u64,
}

/// By name; partitions and devices on top of others, too.
pub fn progress(host: &HostRoot) -> BTreeMap<String, Progress> {
    host.read("/proc/diskstats").map(|stats| parse(&stats)).unwrap_or_default()
}

/// Whether it is a whole device that is given requests, as those are that are counted.
pub fn is_given_requests(host: &HostRoot, name: &str) -> bool {
    host.read(format!("/sys/block/{name}/mq/0/nr_tags")).is_ok()
}

/// `major minor name`, then numbers: reads done at the first, writes at the 5th, under way at the 9th, discards and
/// flushes done at the 12th and 16th.
fn parse(stats: &str) -> BTreeMap<String, Progress> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(2);
        let name = words.next()?;
        let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let at = |n: usize| numbers.get(n).copied();
        let done = [0, 4, 11, 15].into_iter().filter_map(at).fold(0, u64::saturating_add);
        Some((name.to_owned(), Progress { done, under_way: at(8)? }))
    };
    stats.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_and_what_is_under_way() {
        let stats = " 254 0 vda 10 1 1 1 20 1 1 1 3 1 1 30 1 1 1 40 1\n 8 0 sda 1 0 0 0 2 0 0 0 0 0 0\n 9 9 cut 1 2\n";
        let found = parse(stats);
        assert_eq!(found["vda"], Progress { done: 100, under_way: 3 });
        assert_eq!(found["sda"], Progress { done: 3, under_way: 0 }, "a kernel without discards and flushes");
        assert!(!found.contains_key("cut"), "not measured is not zero");
    }
}
