//! TCP connections that watched processes open, how they fare, and packets that this node drops on their way.

use super::{
    packet::{Address, Owner},
    records,
};

/// What became of a connection: [`Connection::state`].
pub mod state {
    /// The other side has answered.
    pub const ESTABLISHED: u32 = 1;
    /// It was given up before the other side had answered.
    pub const FAILED: u32 = 2;
    /// It has ended, after it was established.
    pub const CLOSED: u32 = 3;
    /// What was sent, the first packet included, was sent again more than once, and nothing was acknowledged.
    pub const STALLED: u32 = 4;
}

/// What became of a TLS handshake: [`Handshake::outcome`].
pub mod handshake {
    /// Both sides have the keys, and the server has used them.
    pub const DONE: u32 = 1;
    /// A side ended it with an alert that says why.
    pub const ALERT: u32 = 2;
    /// A side ended it with a record of the length of an encrypted alert.
    pub const HIDDEN_ALERT: u32 = 3;
}

/// Packets are dropped for this many reasons at most, each with a number below.
pub const MAX_REASONS: u32 = 256;

/// Why packets are dropped, as far as it matters which reason it is: values of the kernel's map of reasons.
pub mod reason {
    pub const WANTED: u32 = 1;
    /// A rule says so. Who sends is told, as long as the packet has not left its socket.
    pub const OF_A_RULE: u32 = 2;
}

/// While packets of a kind keep being dropped, so many of them are told of within this time, nanoseconds: whose each was
/// is known from itself alone.
pub const MAX_DROPS: u32 = 64;
pub const TELL_DROPS_NS: u64 = 100_000_000;

records! { Net {
    /// A connection has changed. `header` is of the process that opened it.
    1 Connection text 0 {
        owner: Owner,
        local: Address,
        remote: Address,
        cookie: u64,
        /// When it was asked for.
        began_ns: u64,
        /// When it was established; 0: it was not.
        established_ns: u64,
        bytes_acked: u64,
        bytes_received: u64,
        local_port: u16,
        remote_port: u16,
        /// `sk->sk_err`: an errno, 0 for none.
        error: u32,
        /// One of [`state`].
        state: u32,
        /// Packets sent again so far.
        retransmits: u32,
        /// Of those, before it was established.
        syn_retransmits: u32,
        /// Smoothed round trip, microseconds; 0: not measured.
        rtt_us: u32,
        /// Number of the network namespace.
        netns: u32,
        /// 1: the other side has reset it.
        was_reset: u32,
    }
    /// `connect` failed before anything was sent.
    2 Refused text 0 {
        owner: Owner,
        remote: Address,
        /// errno, positive.
        error: u32,
        remote_port: u16,
        pad: u16,
    }
    /// A packet to or from somebody that a watched process connects to was dropped on this node.
    3 Dropped text 0 {
        source: Address,
        destination: Address,
        source_port: u16,
        destination_port: u16,
        /// `enum skb_drop_reason` of this kernel.
        reason: u32,
        /// Number of the network namespace where it was dropped; 0: not known.
        netns: u32,
        /// Like this one, so far.
        count: u32,
        /// As IP has it.
        protocol: u8,
        pad: [u8; 7],
    }
    /// What became of a TLS handshake, at the socket that asked for the connection. `header` is of the process that
    /// opened it. Nothing of what was said is in it but an alert's two bytes.
    4 Handshake text 0 {
        owner: Owner,
        local: Address,
        /// Whom the socket is connected to, as it asked.
        remote: Address,
        cookie: u64,
        /// When the connection was asked for.
        began_ns: u64,
        local_port: u16,
        remote_port: u16,
        /// One of [`handshake`].
        outcome: u32,
        /// Of an alert that could be read.
        level: u8,
        description: u8,
        /// 1: the client sent the alert, else the server.
        of_client: u8,
        pad: [u8; 5],
    }
} }
