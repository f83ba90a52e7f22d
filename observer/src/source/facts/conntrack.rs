//! What a network namespace's table of connections has counted: as /proc says it, in the eyes of a process that is there.

use std::{fs, os::unix::fs::MetadataExt};

use super::HostRoot;
use crate::input::Tracked;

const MAX: &str = "sys/net/netfilter/nf_conntrack_max";

/// Since the namespace is there; `None`: this kernel does not say.
pub fn counts(host: &HostRoot, pid: u32) -> Option<Tracked> {
    let table = host.read_proc(format!("{pid}/net/stat/nf_conntrack")).ok()?;
    // The same for all namespaces, but of each one's own table.
    let max = host.read_proc(MAX).ok()?.trim().parse().ok()?;
    parse(&table, max)
}

/// What tells one network from another: the number of a file that each one has of its own. (The links of /proc/PID/ns
/// name it as well, and take rights that nobody may have over init.)
pub fn network(host: &HostRoot, pid: u32) -> Option<u64> {
    Some(fs::metadata(host.proc(format!("{pid}/net/dev"))).ok()?.ino())
}

/// A line of names, then one a CPU of numbers in hexadecimal digits; names have come and gone.
fn parse(table: &str, max: u64) -> Option<Tracked> {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let column = |name: &str| names.iter().position(|its| *its == name);
    let [entries, collided, dropped, evicted] =
        ["entries", "insert_failed", "drop", "early_drop"].map(column);
    let (entries, collided, dropped, evicted) = (entries?, collided?, dropped?, evicted?);
    let mut sum = Tracked { max, ..Tracked::default() };
    let mut all_dropped = 0_u64;
    for line in lines {
        let numbers: Vec<u64> =
            line.split_ascii_whitespace().map_while(|word| u64::from_str_radix(word, 16).ok()).collect();
        let number = |at: usize| numbers.get(at).copied();
        // Of all CPUs together, in each line.
        sum.entries = number(entries)?;
        sum.collided = sum.collided.saturating_add(number(collided)?);
        sum.evicted = sum.evicted.saturating_add(number(evicted)?);
        all_dropped = all_dropped.saturating_add(number(dropped)?);
    }
    // Whoever collides is dropped, and counted as both.
    sum.refused = all_dropped.saturating_sub(sum.collided);
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new
00000012  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000003 00000005 0000000a 00000000  00000000
00000012  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000002 00000001 00000000  00000000
";

    #[test]
    fn what_each_cpu_has_counted_is_summed_up() {
        let expected = Tracked { entries: 18, max: 64, collided: 5, refused: 2, evicted: 11 };
        assert_eq!(parse(TABLE, 64), Some(expected));
    }

    #[test]
    fn a_table_of_anything_is_none() {
        for table in
            ["", "entries drop\n1 2\n", &TABLE.replace("0000000a", "zz"), &TABLE.replace(" drop ", " x ")]
        {
            assert_eq!(parse(table, 1), None, "{table}");
        }
    }

    #[test]
    fn this_process_is_somewhere() {
        let (host, own) = (HostRoot::at("/"), std::process::id());
        assert!(network(&host, own).is_some_and(|number| number > 0));
        assert_eq!(network(&host, u32::MAX), None);
    }
}
