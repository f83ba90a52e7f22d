//! What packets of any family have in common: who talks to whom, and for which process.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use observer_ebpf::wire::packet::{self, direction, protocol};
use serde::{Deserialize, Serialize};

use super::{Malformed, chars, process::CgroupIds};
use crate::time::Time;

/// A socket of this node and whom it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The kernel's number of the socket, never used again until the next boot.
    pub cookie: u64,
    pub transport: Transport,
    pub local: SocketAddr,
    /// Where the packet really went, or what it says it comes from.
    pub remote: SocketAddr,
    /// Whom the socket is connected to, as it asked: with a service address in between, that one.
    pub peer: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The process that a socket sends for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub tgid: u32,
    /// The thread that sent last.
    pub tid: u32,
    pub start: Time,
    /// The container's init as the kernel side knows it.
    pub init: Option<u32>,
    pub role: u32,
    pub cgroup: CgroupIds,
    pub comm: String,
}

/// Whether a packet left its socket or came to it.
///
/// # Errors
/// [`Malformed`] for a direction that there is not.
pub fn is_sent(packet: &packet::Packet) -> Result<bool, Malformed> {
    match packet.direction {
        direction::OUT => Ok(true),
        direction::IN => Ok(false),
        other => Err(Malformed::Operation(u32::from(other))),
    }
}

/// Who talks to whom.
///
/// # Errors
/// [`Malformed`] for a protocol that is not followed.
pub fn flow(packet: &packet::Packet) -> Result<Flow, Malformed> {
    let transport = match packet.protocol {
        protocol::UDP => Transport::Udp,
        protocol::TCP => Transport::Tcp,
        other => return Err(Malformed::Operation(u32::from(other))),
    };
    Ok(Flow {
        cookie: packet.cookie,
        transport,
        local: address(packet.local, packet.local_port),
        remote: address(packet.remote, packet.remote_port),
        peer: (packet.peer_port != 0).then(|| address(packet.peer, packet.peer_port)),
    })
}

/// An address as people write it, whether of IPv4 or IPv6.
pub fn address(bytes: packet::Address, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(), port)
}

/// `None`: it was not seen to send in its own context.
pub fn owner(wire: &packet::Owner) -> Option<Owner> {
    (wire.tgid != 0).then(|| process(wire))
}

/// A process that was seen in its own context.
pub fn process(wire: &packet::Owner) -> Owner {
    Owner {
        tgid: wire.tgid,
        tid: wire.tid,
        start: Time(wire.start_ns),
        init: (wire.init != 0).then_some(wire.init),
        role: wire.role,
        cgroup: wire.cgroup.into(),
        comm: chars::comm(&wire.comm),
    }
}
