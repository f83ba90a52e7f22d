//! The sockets of a container at a moment, by the tables of its network and the links of its processes' descriptors,
//! which are read and never opened; and what its network's table of connections has counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
};

use super::{HostRoot, conntrack, procfs, sockets};
use crate::output::{Connections, Direction, Listening, NetworkLook, Transport};

/// Processes of a container that are looked at.
const MAX_PROCESSES: usize = 1_024;
/// Bytes of a table that are read.
const MAX_TABLE: u64 = 64 << 20;
/// Places that are listened at, and peers, that are told.
const MAX_TOLD: usize = 16;

/// States that are told, by the kernel's numbers (`net/tcp_states.h`).
const LISTEN: u8 = 10;
const STATES: [(u8, &str); 5] =
    [(1, "established"), (2, "syn-sent"), (3, "syn-received"), (4, "fin-wait"), (8, "close-wait")];

/// One line of a table.
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    unsent: u64,
    unread: u64,
}

/// `None`: the process is gone, or may not be looked at.
pub fn look(host: &HostRoot, init: u32) -> Option<NetworkLook> {
    let own = inodes(host, init)?;
    let (mut listening, mut all) = (Vec::new(), Vec::new());
    let mut is_read = false;
    for (table, transport) in
        [("tcp", Transport::Tcp), ("tcp6", Transport::Tcp), ("udp", Transport::Udp), ("udp6", Transport::Udp)]
    {
        let Ok(file) = File::open(host.proc(format!("{init}/net/{table}"))) else { continue };
        is_read = true;
        let lines = BufReader::new(file.take(MAX_TABLE)).lines().map_while(Result::ok).skip(1);
        for socket in lines.filter_map(|line| socket(&line, &own)) {
            let is_bound = transport == Transport::Udp && socket.remote.port() == 0;
            if is_bound || (transport == Transport::Tcp && socket.state == LISTEN) {
                let waiting = (transport == Transport::Tcp).then_some(socket.unread);
                listening.push(Listening { transport, at: socket.local, waiting });
            } else {
                all.push((transport, socket));
            }
        }
    }
    let network = conntrack::network(host, init);
    is_read.then(|| {
        let (connections, left_out) = connections(&listening, all);
        listening.sort();
        listening.dedup();
        let more = listening.len().saturating_sub(MAX_TOLD);
        listening.truncate(MAX_TOLD);
        NetworkLook {
            is_nodes: network.is_some() && network == conntrack::network(host, 1),
            listening,
            connections,
            left_out: left_out + more as u64,
            tracked: conntrack::counts(host, init),
        }
    })
}

/// Put together by where they go to; those that came in by where they arrived.
fn connections(listening: &[Listening], all: Vec<(Transport, Socket)>) -> (Vec<Connections>, u64) {
    let ports: BTreeSet<(Transport, u16)> = listening.iter().map(|it| (it.transport, it.at.port())).collect();
    let mut by: BTreeMap<(Direction, Transport, SocketAddr, &'static str), Connections> = BTreeMap::new();
    for (transport, socket) in all {
        let state = match transport {
            Transport::Udp => "connected",
            Transport::Tcp => match STATES.iter().find(|(number, _)| *number == socket.state) {
                Some((_, name)) => name,
                None => continue,
            },
        };
        let (direction, at) = if ports.contains(&(transport, socket.local.port())) {
            (Direction::In, socket.local)
        } else {
            (Direction::Out, socket.remote)
        };
        let one = Connections { direction, transport, at, state, count: 0, unsent_bytes: 0, unread_bytes: 0 };
        let sum = by.entry((direction, transport, at, state)).or_insert(one);
        sum.count += 1;
        sum.unsent_bytes += socket.unsent;
        sum.unread_bytes += socket.unread;
    }
    let mut all: Vec<Connections> = by.into_values().collect();
    // What is not as it should be first, then what there is most of.
    all.sort_by_key(|it| (it.state == "established", std::cmp::Reverse(it.count)));
    let more = all.len().saturating_sub(MAX_TOLD);
    all.truncate(MAX_TOLD);
    (all, more as u64)
}

/// `sl local remote state unsent:unread timer:when retransmits uid timeout inode ..`, if the socket is one of these.
fn socket(line: &str, own: &BTreeSet<u64>) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    let [_, local, remote, state, queues, _, _, _, _, inode] = fields[..] else { return None };
    if !own.contains(&inode.parse().ok()?) {
        return None;
    }
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (unsent, unread) = queues.split_once(':')?;
    Some(Socket {
        local: sockets::place(local)?,
        remote: sockets::place(remote)?,
        state: u8::from_str_radix(state, 16).ok()?,
        unsent: hex(unsent)?,
        unread: hex(unread)?,
    })
}

/// The numbers of the sockets that a process and those that descend from it have.
pub(super) fn inodes(host: &HostRoot, init: u32) -> Option<BTreeSet<u64>> {
    let (mut found, mut known, mut queue) = (BTreeSet::new(), BTreeSet::from([init]), vec![init]);
    while let Some(pid) = queue.pop() {
        let children = children(host, pid);
        queue
            .extend(children.into_iter().filter(|child| known.len() < MAX_PROCESSES && known.insert(*child)));
        let links = match procfs::descriptors(host, pid) {
            Ok(links) => links,
            Err(_) if pid == init => return None,
            Err(_) => continue,
        };
        found.extend(links.filter_map(|link| {
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
        }));
    }
    Some(found)
}

fn children(host: &HostRoot, pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(host.proc(format!("{pid}/task"))).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn sockets_are_told_by_whom_they_lead_to() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
        let (here, there) = (server.local_addr().unwrap(), elsewhere.local_addr().unwrap());
        let client = TcpStream::connect(here).unwrap();
        let _waits = client.try_clone().unwrap();
        let names = UdpSocket::bind("127.0.0.1:0").unwrap();
        names.connect(there).unwrap();
        let look = look(&HostRoot::at("/"), std::process::id()).unwrap();
        let listens = look.listening.iter().find(|it| it.at == here).unwrap();
        assert_eq!((listens.transport, listens.waiting), (Transport::Tcp, Some(1)));
        let to = |at: SocketAddr, transport| {
            look.connections
                .iter()
                .find(|it| (it.at, it.transport, it.direction) == (at, transport, Direction::Out))
        };
        assert_eq!(to(here, Transport::Tcp).map(|it| (it.state, it.count)), Some(("established", 1)));
        assert_eq!(to(there, Transport::Udp).map(|it| (it.state, it.count)), Some(("connected", 1)));
        assert!(super::look(&HostRoot::at("/"), u32::MAX).is_none());
    }

    #[test]
    fn of_others_nothing_is_told() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 42 1 0 100";
        let own = |inode| BTreeSet::from([inode]);
        let found = socket(line, &own(42)).unwrap();
        assert_eq!((found.state, found.unread, found.local), (LISTEN, 3, "127.0.0.1:8080".parse().unwrap()));
        assert!(socket(line, &own(43)).is_none());
        for line in ["", "0: 1 2 3 4 5 6 7 8 42", "sl local"] {
            assert!(socket(line, &own(42)).is_none(), "{line}");
        }
    }
}
