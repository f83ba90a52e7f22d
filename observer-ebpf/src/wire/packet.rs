//! What records about packets have in common: who talks to whom, and for which process.

use crate::{control::COMM_LEN, wire::cgroup::Ids};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Values of [`Packet::direction`].
pub mod direction {
    /// To the socket.
    pub const IN: u8 = 0;
    /// From the socket.
    pub const OUT: u8 = 1;
}

/// Values of [`Packet::protocol`], as IP has them.
pub mod protocol {
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
}

/// Bits of [`Packet::tcp_flags`], as TCP has them.
pub mod tcp {
    pub const FIN: u8 = 1 << 0;
    pub const SYN: u8 = 1 << 1;
    pub const RST: u8 = 1 << 2;
    pub const ACK: u8 = 1 << 4;
}

/// An address; IPv4 ones as IPv6 writes them (`::ffff:a.b.c.d`). Zeros: none.
pub type Address = [u8; 16];

/// A packet of a socket of this node. Local and remote are as the socket sees them, whatever the direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Packet {
    /// The kernel's number of the socket, never used again until the next boot.
    pub cookie: u64,
    pub local: Address,
    /// As the packet has it: on its way out after addresses were translated, on its way in after that was undone.
    pub remote: Address,
    /// Whom the socket is connected to, as it asked. Zeros: to nobody.
    pub peer: Address,
    pub local_port: u16,
    pub remote_port: u16,
    pub peer_port: u16,
    /// One of [`protocol`].
    pub protocol: u8,
    /// One of [`direction`].
    pub direction: u8,
    /// Bytes behind the transport header, copied or not.
    pub payload_len: u32,
    /// Number of the first of them in the stream; 0 for UDP.
    pub sequence: u32,
    /// Bits of [`tcp`]; 0 for UDP.
    pub tcp_flags: u8,
    pub pad: [u8; 7],
}

/// The process that a socket sends for, as seen in its own context. All zeros: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Owner {
    pub tgid: u32,
    /// The thread that sent last.
    pub tid: u32,
    /// The container's init as the kernel side knows it, else 0.
    pub init: u32,
    /// Bits of `control::role`.
    pub role: u32,
    /// When the process started.
    pub start_ns: u64,
    pub cgroup: Ids,
    pub comm: [u8; COMM_LEN],
}
