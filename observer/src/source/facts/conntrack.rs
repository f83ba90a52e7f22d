//! What a network namespace's table of connections has counted, and where it sends what: as /proc says it, in the eyes
//! of a process that is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    os::unix::fs::MetadataExt,
};

use super::HostRoot;
use crate::{
    input::{LookupError, Route, Tracked},
    probes::packet::Transport,
};

/// Bytes of a table that are read.
const MAX_TABLE: u64 = 64 << 20;
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

/// Where the node sends what goes these ways, if that is somewhere else.
///
/// # Errors
/// This kernel does not show its table, or it may not be read.
pub fn backends(
    host: &HostRoot,
    routes: &BTreeSet<Route>,
) -> Result<BTreeMap<Route, SocketAddr>, LookupError> {
    let path = host.proc("1/net/nf_conntrack");
    let error = |why: std::io::Error| LookupError { what: path.display().to_string(), why: why.to_string() };
    let table = BufReader::new(File::open(&path).map_err(error)?.take(MAX_TABLE));
    let mut found = BTreeMap::new();
    for line in table.lines() {
        let sent = sent(&line.map_err(error)?);
        found.extend(sent.filter(|(route, to)| routes.contains(route) && *to != route.to));
    }
    Ok(found)
}

/// `ipv4 2 udp 17 29 src=A dst=B sport=1 dport=2 [UNREPLIED] src=C dst=A sport=3 dport=1 ..`: what goes from A:1 to B:2
/// is sent to C:3.
fn sent(line: &str) -> Option<(Route, SocketAddr)> {
    let transport = match line.split_ascii_whitespace().nth(2)? {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        _ => return None,
    };
    let values = |key: &str| {
        let words = line.split_ascii_whitespace();
        let mut values = words.filter_map(|word| word.strip_prefix(key)).map(str::to_owned);
        Some((values.next()?, values.next()?))
    };
    let (src, dst, sport, dport) = (values("src=")?, values("dst=")?, values("sport=")?, values("dport=")?);
    let place = |address: &str, port: &str| Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?));
    let route = Route { transport, from: place(&src.0, &sport.0)?, to: place(&dst.0, &dport.0)? };
    Some((route, place(&src.1, &sport.1)?))
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

    #[test]
    fn where_a_connection_is_sent() {
        let line = "ipv4     2 udp      17 29 src=10.1.0.2 dst=10.96.0.10 sport=4444 dport=53 [UNREPLIED] \
                    src=10.1.0.5 dst=10.1.0.2 sport=5353 dport=4444 mark=0 zone=0 use=2";
        let route = |transport, from: &str, to: &str| Route {
            transport,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        let asked = route(Transport::Udp, "10.1.0.2:4444", "10.96.0.10:53");
        assert_eq!(sent(line), Some((asked, "10.1.0.5:5353".parse().unwrap())));
        let tcp = "ipv6     10 tcp      6 431999 ESTABLISHED src=fd00::2 dst=fd00::a sport=1 dport=443 \
                   src=fd00::9 dst=fd00::2 sport=8443 dport=1 [ASSURED] mark=0 zone=0 use=2";
        let asked = route(Transport::Tcp, "[fd00::2]:1", "[fd00::a]:443");
        assert_eq!(sent(tcp), Some((asked, "[fd00::9]:8443".parse().unwrap())));
        for damaged in
            ["", "ipv4 2 udp", "ipv4 2 udp 17 29 src=x dst=y sport=1 dport=2 src=a dst=b sport=3 dport=4"]
        {
            assert_eq!(sent(damaged), None);
        }
    }
}
