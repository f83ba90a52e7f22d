//! Messages of the domain name system, and errors of the sockets that ask.

use super::{
    packet::{Address, Owner, Packet},
    records,
};

/// Where names are served.
pub const PORT: u16 = 53;

/// Bytes of a message that are copied.
pub const MAX_MESSAGE: usize = 512;

/// Bytes of a name that are copied, its end included.
pub const MAX_NAME: usize = 256;

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
    /// A socket that asks port 53 was told of an error, which calls of `recv` may not show.
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
    /// `getaddrinfo` failed, and the thread that called it has asked nobody meanwhile. Text: the name, as far as it
    /// is copied.
    3 Unresolved text MAX_NAME {
        owner: Owner,
        /// When it was called.
        began_ns: u64,
        /// Whom its last `connect` to port 53 failed to reach. Zeros: none failed.
        server: Address,
        /// What that failed with; positive.
        errno: u32,
        /// What it returned, a number below 0 in two's complement.
        result: u32,
        /// `ai_flags` and `ai_family` of its hints; zeros: it had none.
        ai_flags: u32,
        ai_family: u32,
        server_port: u16,
        name_len: u16,
        pad: [u8; 4],
    }
} }
