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
    input::{LookupError, Route, Tracked, Translated},
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
    let mut found = BTreeMap::new();
    each(host, |entry| {
        let is_one = entry.arrives.to != entry.sent.to && routes.contains(&entry.sent);
        found.extend(is_one.then_some((entry.sent, entry.arrives.to)));
    })?;
    Ok(found)
}

/// Those of these connections that the node translates, each given as either of its ends sees it.
///
/// # Errors
/// This kernel does not show its table, or it may not be read.
pub fn translated(host: &HostRoot, routes: &[Route]) -> Result<Vec<Translated>, LookupError> {
    let routes: BTreeSet<&Route> = routes.iter().collect();
    let mut found = Vec::new();
    each(host, |entry| {
        let is_one = routes.contains(&entry.sent) || routes.contains(&entry.arrives);
        found.extend((is_one && entry.sent != entry.arrives).then_some(entry));
    })?;
    Ok(found)
}

/// Takes what the node's table holds.
fn each(host: &HostRoot, mut take: impl FnMut(Translated)) -> Result<(), LookupError> {
    let path = host.proc("1/net/nf_conntrack");
    let error = |why: std::io::Error| LookupError { what: path.display().to_string(), why: why.to_string() };
    let table = BufReader::new(File::open(&path).map_err(error)?.take(MAX_TABLE));
    for line in table.lines() {
        if let Some(entry) = entry(&line.map_err(error)?) {
            take(entry);
        }
    }
    Ok(())
}

/// `ipv4 2 udp 17 29 src=A dst=B sport=1 dport=2 [UNREPLIED] src=C dst=D sport=3 dport=4 ..`: what A:1 sends to B:2 arrives at
/// C:3 as from D:4.
fn entry(line: &str) -> Option<Translated> {
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
    let way = |from, to| Some(Route { transport, from, to });
    let sent = way(place(&src.0, &sport.0)?, place(&dst.0, &dport.0)?)?;
    let arrives = way(place(&dst.1, &dport.1)?, place(&src.1, &sport.1)?)?;
    Some(Translated { sent, arrives })
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

    fn way(transport: Transport, from: &str, to: &str) -> Route {
        Route { transport, from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    const UDP: &str = "ipv4     2 udp      17 29 src=10.1.0.2 dst=10.96.0.10 sport=4444 dport=53 [UNREPLIED] \
                       src=10.1.0.5 dst=10.1.0.2 sport=5353 dport=4444 mark=0 zone=0 use=2";
    const TCP: &str = "ipv6     10 tcp      6 431999 ESTABLISHED src=fd00::2 dst=fd00::a sport=1 dport=443 \
                       src=fd00::9 dst=fd00::1 sport=8443 dport=2 [ASSURED] mark=0 zone=0 use=2";
    const PLAIN: &str = "ipv4     2 tcp      6 86 SYN_SENT src=10.1.0.2 dst=10.1.0.5 sport=1 dport=80 [UNREPLIED] \
                         src=10.1.0.5 dst=10.1.0.2 sport=80 dport=1 mark=0 zone=0 use=2";

    #[test]
    fn where_a_connection_is_sent_and_from_whom_it_arrives() {
        let udp = Translated {
            sent: way(Transport::Udp, "10.1.0.2:4444", "10.96.0.10:53"),
            arrives: way(Transport::Udp, "10.1.0.2:4444", "10.1.0.5:5353"),
        };
        let tcp = Translated {
            sent: way(Transport::Tcp, "[fd00::2]:1", "[fd00::a]:443"),
            arrives: way(Transport::Tcp, "[fd00::1]:2", "[fd00::9]:8443"),
        };
        assert_eq!((entry(UDP), entry(TCP)), (Some(udp), Some(tcp)));
        for damaged in ["", " udp src=", "a b udp src=x dst=y sport=1 dport=2 src=a dst=b sport=3 dport=4"] {
            assert_eq!(entry(damaged), None);
        }
    }

    #[test]
    fn the_table_is_asked_for_what_was_seen_at_either_end() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/1/net")).unwrap();
        fs::write(root.path().join("proc/1/net/nf_conntrack"), [UDP, TCP, PLAIN].join("\n")).unwrap();
        let host = HostRoot::at(root.path());
        let (udp, tcp, plain) = (entry(UDP).unwrap(), entry(TCP).unwrap(), entry(PLAIN).unwrap());
        let asked = [udp.sent, plain.sent, tcp.arrives].into();
        assert_eq!(backends(&host, &asked).unwrap(), [(udp.sent, udp.arrives.to)].into());
        for (asked, expected) in [
            (vec![udp.sent, tcp.arrives, plain.sent], vec![udp, tcp]),
            (vec![plain.sent], vec![]),
            // Another transport, another port, another server.
            (
                vec![
                    way(Transport::Tcp, "10.1.0.2:4444", "10.96.0.10:53"),
                    way(Transport::Udp, "10.1.0.2:4445", "10.96.0.10:53"),
                    way(Transport::Udp, "10.1.0.2:4444", "10.96.0.11:53"),
                ],
                vec![],
            ),
        ] {
            assert_eq!(translated(&host, &asked).unwrap(), expected, "{asked:?}");
        }
        fs::remove_file(root.path().join("proc/1/net/nf_conntrack")).unwrap();
        assert!(translated(&host, &[]).is_err());
    }
}
