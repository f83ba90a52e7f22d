//! Messages of the domain name system, and errors of the sockets that ask.

use super::{
    packet::{Address, Owner, Packet},
    records,
};

/// Where names are served.
pub const PORT: u16 = 53;

/// Bytes of a message that are copied.
pub const MAX_MESSAGE: usize = 512;

records! { Dns {
    /// A datagram or segment between a socket of this node and port 53 of whomever it asks. `header` is of the
    /// process that asks. Text: the payload, as far as it is copied; `packet` has its whole length.
    1 Message text MAX_MESSAGE {
        packet: Packet,
        owner: Owner,
        /// Bytes of the text. 0: it could not be copied.
        copied: u32,
        pad: u32,
    }
    /// A socket that is connected to port 53 was told of an error, which calls of `recv` may not show.
    2 SocketError text 0 {
        cookie: u64,
        local: Address,
        remote: Address,
        local_port: u16,
        remote_port: u16,
        /// Positive.
        errno: u32,
        owner: Owner,
    }
} }
