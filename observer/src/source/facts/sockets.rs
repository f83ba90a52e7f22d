//! Whether a process has a socket: by the addresses in its network namespace and the links of its descriptors,
//! which are read and never opened.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{HostRoot, procfs};
use crate::{
    input::LookupError,
    probes::{packet::Owner, process::CgroupIds},
};

/// The process as the owner of the connected TCP socket between these places, if it is: it has the socket, or, as
/// connections to a server may be gone by now, the one that listens at its local end.
///
/// # Errors
/// It is not, or it could not be found out.
pub fn owner(
    host: &HostRoot,
    tgid: u32,
    local: SocketAddr,
    remote: SocketAddr,
) -> Result<Owner, LookupError> {
    let error =
        |why: &str| LookupError { what: format!("socket {local} of process {tgid}"), why: why.to_owned() };
    let stat = procfs::stat(host, tgid).ok_or_else(|| error("the process is gone"))?;
    let tables: Vec<String> = ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| host.read_proc(format!("{tgid}/net/{table}")).ok())
        .collect();
    let anywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let places =
        [local.ip()].into_iter().chain(anywhere).map(|address| SocketAddr::new(address, local.port()));
    let listening = places.flat_map(|place| anywhere.map(|nobody| (place, SocketAddr::new(nobody, 0))));
    let sockets: BTreeSet<String> = [(local, remote)]
        .into_iter()
        .chain(listening)
        .flat_map(|ends| tables.iter().filter_map(move |table| inode(table, ends)))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return Err(error("not in its network namespace"));
    }
    let folder = fs::read_dir(host.proc(format!("{tgid}/fd"))).map_err(|why| error(&why.to_string()))?;
    let is_one = |entry: fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
    };
    if !folder.flatten().any(is_one) {
        return Err(error("it has no such descriptor"));
    }
    Ok(Owner {
        tgid,
        tid: tgid,
        start: stat.start,
        init: None,
        role: 0,
        cgroup: CgroupIds::default(),
        comm: stat.comm,
    })
}

/// Of a table of the kernel's: the socket between these places.
fn inode(table: &str, between: (SocketAddr, SocketAddr)) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ends = (place(fields.next()?)?, place(fields.next()?)?);
        // One that nobody has any more is there for a while, without a number.
        (ends == between).then(|| fields.nth(6)?.parse().ok().filter(|inode| *inode != 0))?
    })
}

/// `0100007F:1F90`: words of the machine's order in hexadecimal digits.
pub fn place(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for at in (0..address.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_is_found_at_whom_it_belongs_to_and_nobody_else() {
        let host = HostRoot::at("/");
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let ends = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let own = std::process::id();
            let found = owner(&host, own, ends.0, ends.1).unwrap();
            assert_eq!((found.tgid, found.start), (own, procfs::stat(&host, own).unwrap().start));
            let parent = std::os::unix::process::parent_id();
            assert!(owner(&host, parent, ends.0, ends.1).is_err());
            let nowhere = SocketAddr::new(ends.1.ip(), 1);
            assert!(owner(&host, own, ends.0, nowhere).is_err());
            // A connection to whoever listens, which is over.
            assert_eq!(owner(&host, own, ends.1, nowhere).unwrap().tgid, own);
            assert!(owner(&host, parent, ends.1, nowhere).is_err());
        }
    }

    #[test]
    fn a_table_of_anything_is_read() {
        let local = "127.0.0.1:8080".parse().unwrap();
        for table in
            ["", "head\n", "head\n 0: 0100007F 0:", "head\n 0: 0100007F:1F90 zz:1 01 x", "head\n0: :1 :2"]
        {
            assert_eq!(inode(table, (local, local)), None, "{table:?}");
        }
    }
}
