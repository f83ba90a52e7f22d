//! Whether a process has a socket: by the addresses in its network namespace and the links of its descriptors,
//! which are read and never opened.

use std::{fs, net::SocketAddr};

use super::{HostRoot, procfs};
use crate::{
    input::LookupError,
    probes::{packet::Owner, process::CgroupIds},
};

/// The process as the owner of the connected TCP socket between these places, if it is.
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
    let inode = ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| host.read_proc(format!("{tgid}/net/{table}")).ok())
        .find_map(|table| inode(&table, local, remote))
        .ok_or_else(|| error("not in its network namespace"))?;
    let wanted = format!("socket:[{inode}]");
    let folder = fs::read_dir(host.proc(format!("{tgid}/fd"))).map_err(|why| error(&why.to_string()))?;
    let is_it = |entry: fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())
    };
    if !folder.flatten().any(is_it) {
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
fn inode(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ends = (place(fields.next()?)?, place(fields.next()?)?);
        (ends == (local, remote)).then(|| fields.nth(6)?.parse().ok())?
    })
}

/// `0100007F:1F90`: words of the machine's order in hexadecimal digits.
fn place(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for at in (0..address.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => std::net::IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => std::net::IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
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
        }
    }

    #[test]
    fn a_table_of_anything_is_read() {
        let local = "127.0.0.1:8080".parse().unwrap();
        for table in
            ["", "head\n", "head\n 0: 0100007F 0:", "head\n 0: 0100007F:1F90 zz:1 01 x", "head\n0: :1 :2"]
        {
            assert_eq!(inode(table, local, local), None, "{table:?}");
        }
    }
}
