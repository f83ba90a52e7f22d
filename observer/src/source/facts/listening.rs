//! Where somebody listens, of the ports by which clusters are entered, by a network's tables in the eyes of a process that is
//! in it; and the node's own addresses. Nothing is opened but tables.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{HostRoot, network, sockets};

/// HTTP, with and without TLS.
const PORTS: [u16; 2] = [80, 443];
/// `TCP_LISTEN` (`net/tcp_states.h`), as tables write it.
const LISTEN: &str = "0A";
/// Lines of a table that are read: those who listen come first.
const MAX_LINES: usize = 4_096;
/// Addresses of the node that are kept.
const MAX_ADDRESSES: usize = 256;
/// In whose network the node itself is.
pub const INIT: u32 = 1;

/// A socket that listens, by its port and its number.
pub type Socket = (u16, u64);

/// Those of a process's network.
///
/// # Errors
/// It is gone, or its tables cannot be read.
pub fn sockets(host: &HostRoot, pid: u32) -> io::Result<BTreeSet<Socket>> {
    let mut found = table(host, pid, "tcp")?;
    match table(host, pid, "tcp6") {
        Ok(more) => found.extend(more),
        // A kernel without IPv6.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// The ports of those that a process and its descendants have.
pub fn own(host: &HostRoot, init: u32, of: &BTreeSet<Socket>) -> BTreeSet<u16> {
    if of.is_empty() {
        return BTreeSet::new();
    }
    let own = network::inodes(host, init).unwrap_or_default();
    of.iter().filter(|(_, inode)| own.contains(inode)).map(|(port, _)| *port).collect()
}

fn table(host: &HostRoot, pid: u32, name: &str) -> io::Result<BTreeSet<Socket>> {
    let file = File::open(host.proc(format!("{pid}/net/{name}")))?;
    let mut found = BTreeSet::new();
    for line in BufReader::new(file).lines().skip(1).take(MAX_LINES) {
        let line = line?;
        let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
        let [_, local, _, LISTEN, .., inode] = fields[..] else { break };
        let port = sockets::place(local).map(|at| at.port()).filter(|port| PORTS.contains(port));
        found.extend(port.zip(inode.parse().ok()));
    }
    Ok(found)
}

/// Those by which others reach it.
pub fn addresses(host: &HostRoot) -> Vec<IpAddr> {
    let read = |table: &str| host.read_proc(format!("{INIT}/net/{table}")).unwrap_or_default();
    let mut found: BTreeSet<IpAddr> = local_v4(&read("fib_trie")).map(IpAddr::V4).collect();
    found.extend(local_v6(&read("if_inet6")).map(IpAddr::V6));
    found.into_iter().filter(|address| !address.is_loopback()).take(MAX_ADDRESSES).collect()
}

/// `|-- 10.0.0.1`, and below it `/32 host LOCAL`.
fn local_v4(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let mut last = None;
    trie.lines().filter_map(move |line| {
        let line = line.trim_start();
        match line.strip_prefix("|-- ") {
            Some(address) => {
                last = address.parse().ok();
                None
            }
            None => last.filter(|_| line == "/32 host LOCAL"),
        }
    })
}

/// `fd000000000000000000000000000001 02 40 00 80 eth0`. An address of a link is one of many.
fn local_v6(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    let bits = |line: &str| u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok();
    table.lines().filter_map(bits).map(Ipv6Addr::from).filter(|address| !address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join("proc").join(name);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = HostRoot::at(dir.path());
        (dir, host)
    }

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
           0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0\n\
           1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0\n\
           2: 0100007F:01BB 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0\n";
    const TCP6: &str = "  sl  local_address remote_address st\n\
           0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 44 1 0\n";

    #[test]
    fn who_listens_at_an_entrance_is_found_by_the_tables() {
        let (_dir, of_both) = host(&[("1/net/tcp", TCP), ("1/net/tcp6", TCP6)]);
        assert_eq!(sockets(&of_both, 1).unwrap(), [(80, 41), (443, 44)].into());
        let (_dir, of_v4) = host(&[("1/net/tcp", TCP)]);
        assert_eq!(sockets(&of_v4, 1).unwrap(), [(80, 41)].into());
        // What cannot be read is not that nobody listens.
        assert!(sockets(&of_v4, 2).is_err());
    }

    #[test]
    fn it_is_whose_descriptor_it_is() {
        let (dir, host) = host(&[("1/comm", ""), ("7/net/tcp", TCP), ("7/fd/about", "")]);
        std::os::unix::fs::symlink("socket:[41]", dir.path().join("proc/7/fd/5")).unwrap();
        let all = [(80, 41), (443, 44)].into();
        assert_eq!(own(&host, 7, &all), [80].into());
        assert_eq!(own(&host, 8, &all), [].into());
    }

    #[test]
    fn the_node_s_addresses_are_those_that_are_local() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n\
                    \x20       /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\nLocal:\n     |-- 10.0.0.7\n\
                    \x20       /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        let v6 = "fd000000000000000000000000000001 02 40 00 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n\
                  fe800000000000000000000000000001 02 40 20 80 eth0\n";
        let (_dir, host) = host(&[("1/net/fib_trie", trie), ("1/net/if_inet6", v6)]);
        let expected: Vec<IpAddr> =
            ["10.0.0.7", "fd00::1"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(addresses(&host), expected);
    }
}
