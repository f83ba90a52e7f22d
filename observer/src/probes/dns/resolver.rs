//! Look-ups by the C library that fail without asking anybody. What was asked for is kept only if it is a name that a server
//! could be asked for: programs hand over anything.

use std::net::SocketAddr;

use observer_ebpf::wire::dns::{MAX_NAME, Unresolved as Wire};
use serde::{Deserialize, Serialize};

use crate::{
    probes::{
        Malformed, fixed,
        packet::{self, Owner},
        spec::LibraryHook,
        tls::Function,
    },
    time::Time,
};

/// Where look-ups by the C library begin and return.
pub const GETADDRINFO: Function = Function {
    entry: LibraryHook { library: "libc", symbol: "getaddrinfo", program: "resolve" },
    returned: Some("resolved"),
};

/// A call of `getaddrinfo` that failed, while its thread asked nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    pub owner: Owner,
    pub began: Time,
    /// `None`: it is none that anybody could be asked for.
    pub name: Option<String>,
    /// One of the library's `EAI_` numbers.
    pub result: i32,
    /// `ai_flags` and `ai_family` of the hints.
    pub flags: u32,
    pub family: u32,
    /// Whom its last `connect` to port 53 failed to reach, and with which errno.
    pub refused: Option<(SocketAddr, i32)>,
}

pub(super) fn unresolved(bytes: &[u8]) -> Result<Unresolved, Malformed> {
    let (wire, name) = fixed::<Wire>(bytes)?;
    if name.len() != usize::from(wire.name_len) {
        return Err(Malformed::Text);
    }
    let refused = (wire.errno != 0).then(|| {
        (packet::address(wire.server, wire.server_port), i32::try_from(wire.errno).unwrap_or_default())
    });
    Ok(Unresolved {
        owner: packet::owner(&wire.owner).ok_or(Malformed::Operation(0))?,
        began: Time(wire.began_ns),
        name: (name.len() < MAX_NAME).then(|| name_in(name)).flatten(),
        result: wire.result as i32,
        flags: wire.ai_flags,
        family: wire.ai_family,
        refused,
    })
}

/// A name of hosts, as servers are asked for; no number that stands for an address.
fn name_in(bytes: &[u8]) -> Option<String> {
    const LONGEST_NAME: usize = 253;
    const LONGEST_LABEL: usize = 63;
    let text = std::str::from_utf8(bytes).ok()?;
    let name = text.strip_suffix('.').unwrap_or(text);
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(of_names);
    let is_name = name.len() <= LONGEST_NAME && name.split('.').all(is_label);
    // Addresses have been written in many ways (`10.1`, `0x7f.1`); what ends in a number is none of a name.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with(|first: char| first.is_ascii_digit())
        && (last.bytes().all(|byte| byte.is_ascii_digit())
            || last.starts_with("0x")
            || last.starts_with("0X"));
    (is_name && !is_number).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::name_in;

    #[test]
    fn names_that_servers_can_be_asked_for_are_kept_and_nothing_else() {
        let long = format!("{}.test", "a".repeat(64));
        for name in
            ["db", "db.shop.svc.cluster.local", "www.example.com.", "_sip._tcp.x-1.test", "3com.com", "9p"]
        {
            assert_eq!(name_in(name.as_bytes()).as_deref(), Some(name));
        }
        for other in [
            "",
            ".",
            "a..b",
            "10.0.0.1",
            "10.1",
            "0x7f000001",
            "::1",
            "a b",
            "user:hunter2@db",
            "db/path",
            &long,
        ] {
            assert_eq!(name_in(other.as_bytes()), None, "{other}");
        }
        assert_eq!(name_in(b"\xff.test"), None);
    }
}
