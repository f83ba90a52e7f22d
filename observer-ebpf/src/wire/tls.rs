//! What programs hand to their TLS library, and what it hands to them, in clear: the beginnings of messages that may
//! be calls of admission webhooks.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{packet::Address, records};
use crate::control::COMM_LEN;

/// What a piece is of: [`Piece::part`].
pub mod part {
    /// The beginning of a request that carries something.
    pub const REQUEST: u32 = 1;
    /// The beginning of the answer to one.
    pub const RESPONSE: u32 = 2;
    /// What follows a beginning.
    pub const MORE: u32 = 3;
    // 4 was the beginning of an HTTP/2 connection.
    /// The beginning of a request without its first byte, a `P`. Servers of Go read that by itself where a request comes
    /// while they still see whether their client is there.
    pub const REQUEST_REST: u32 = 5;
}

/// Which library a connection is of: [`Piece::library`].
pub mod library {
    pub const OPENSSL: u32 = 1;
    pub const GO: u32 = 2;
}

/// Whose calls are of interest in a process: values of the kernel's map of asked processes.
pub mod side {
    /// Requests that it writes.
    pub const CLIENT: u32 = 1 << 0;
    /// Requests that it reads.
    pub const SERVER: u32 = 1 << 1;
}

/// Bytes of a message that are handed over.
pub const MAX_MESSAGE: u32 = 4_096;

/// Bytes of a piece.
pub const MAX_PIECE: usize = 2_048;

/// Bytes that are handed over of what a program passes at once on a connection of HTTP/2: a record of TLS.
pub const MAX_FRAMES: usize = 16_384;

/// A TCP socket. All zeros: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Socket {
    /// The kernel's number of the socket; 0: nobody has asked for it yet.
    pub cookie: u64,
    pub local: Address,
    pub remote: Address,
    pub local_port: u16,
    pub remote_port: u16,
    pub pad: u32,
}

records! { Tls {
    /// A piece of a message. Its bytes are the text, and end in user space where records are reduced.
    1 Piece text 2048 {
        /// CLOCK_BOOTTIME when the program called its library.
        entered_ns: u64,
        /// When the process started: with its pid, its identity.
        start_ns: u64,
        /// The library's own connection, by its address.
        conn: u64,
        /// What that connection is made over, by its address: another connection, where TLS runs inside TLS. 0: not
        /// known.
        below: u64,
        socket: Socket,
        /// One of [`part`].
        part: u32,
        /// 1: the program wrote it, 0: it read it.
        written: u32,
        /// One of [`library`].
        library: u32,
        /// Bytes that the program passed and that are not handed over, behind this piece.
        omitted: u32,
        /// Bytes of the piece.
        len: u32,
        pad: u32,
        comm: [u8; COMM_LEN],
    }
    /// A stretch of what passes a connection of HTTP/2, one way. Its bytes are the text, and end in user space where
    /// records are reduced.
    2 Frames text 2048 {
        /// As of a piece, these five.
        entered_ns: u64,
        start_ns: u64,
        conn: u64,
        below: u64,
        socket: Socket,
        /// Bytes that passed this way before, since the connection is followed, modulo 2^32.
        at: u32,
        /// 1: the program wrote it, 0: it read it.
        written: u32,
        /// 1: it goes from the client to the server.
        of_client: u32,
        /// 1: the connection is followed from its beginning on.
        is_fresh: u32,
        /// 1: it is the beginning of what the program passed at once.
        begins: u32,
        /// One of [`library`].
        library: u32,
        /// Bytes behind it that are not handed over.
        omitted: u32,
        /// Bytes of it.
        len: u32,
        comm: [u8; COMM_LEN],
    }
} }
