//! Connections to endpoints that are watched: what passed on them, told when a side begins or ends to speak. Never
//! a record per packet, and never payload beyond the heads of unencrypted messages and of handshakes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{
    packet::{Address, Owner},
    records,
};

/// An endpoint to watch, as a key of the kernel's map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Endpoint {
    /// Zeros: any.
    pub address: Address,
    pub port: u16,
    pub pad: [u16; 3],
}

/// What a record is told for: bits of [`Moved::what`].
pub mod what {
    /// The client asked for the connection, for the first time or again.
    pub const SYN: u32 = 1 << 0;
    /// The first bytes of a request, after a silence or an answer.
    pub const REQUEST: u32 = 1 << 1;
    /// The first bytes of an answer.
    pub const ANSWER: u32 = 1 << 2;
    /// More of what the same side says, and its sender had no more to send by then.
    pub const MORE: u32 = 1 << 3;
    /// Something that was sent before was sent again.
    pub const AGAIN: u32 = 1 << 4;
    /// Who ended the connection, and how.
    pub const FIN_CLIENT: u32 = 1 << 5;
    pub const FIN_SERVER: u32 = 1 << 6;
    pub const RST_CLIENT: u32 = 1 << 7;
    pub const RST_SERVER: u32 = 1 << 8;
    /// A TLS alert; what it says may be encrypted.
    pub const ALERT_CLIENT: u32 = 1 << 9;
    pub const ALERT_SERVER: u32 = 1 << 10;
    /// The first record of a TLS handshake.
    pub const HELLO: u32 = 1 << 11;
    /// The connection was established.
    pub const ESTABLISHED: u32 = 1 << 12;
}

/// What is known of a connection: bits of [`Connection::flags`].
pub mod known {
    /// The socket is the client's; else the server's.
    pub const CLIENT: u32 = 1 << 0;
    /// What passes is TLS.
    pub const TLS: u32 = 1 << 1;
    /// What passes looks like HTTP/1 without encryption.
    pub const PLAIN: u32 = 1 << 2;
    /// The handshake was seen from its first record on.
    pub const HANDSHAKE: u32 = 1 << 3;
    /// The server encrypts its part of the handshake: TLS 1.3.
    pub const ENCRYPTED_HANDSHAKE: u32 = 1 << 4;
    /// The client's part of the handshake is over.
    pub const SECURED: u32 = 1 << 5;
    /// Where it was over could not be told from what followed.
    pub const UNSURE: u32 = 1 << 6;
    /// A request has begun, since the connection is watched.
    pub const REQUESTED: u32 = 1 << 7;
    /// A request has begun after an answer.
    pub const REUSED: u32 = 1 << 8;
    /// The last who spoke was the client, or the server.
    pub const CLIENT_SPOKE: u32 = 1 << 9;
    pub const SERVER_SPOKE: u32 = 1 << 10;
    /// Each of them said that it encrypts from here on (`ChangeCipherSpec`), before the first request.
    pub const CLIENT_CHANGED: u32 = 1 << 11;
    pub const SERVER_CHANGED: u32 = 1 << 12;
}

/// What is known of one direction: bits of [`Flow::flags`].
pub mod flow {
    /// `next` holds a sequence number.
    pub const COUNTED: u32 = 1 << 0;
    /// `next_record` is where a TLS record begins, or will.
    pub const IN_STEP: u32 = 1 << 1;
    /// The TLS record that passes is of the application.
    pub const OF_APPLICATION: u32 = 1 << 2;
    pub const FIN: u32 = 1 << 3;
    /// `acknowledged` holds a sequence number.
    pub const HEARD_OF: u32 = 1 << 4;
    /// Bytes were missed in between, or TLS records could not be followed.
    pub const GAP: u32 = 1 << 5;
}

/// TLS records of an answer that are told one by one.
pub const RECORDS_TOLD: usize = 4;

/// One direction of a connection. A run is what one side says until the other one speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Flow {
    /// CLOCK_BOOTTIME of the first and the last bytes of the run; 0: none yet.
    pub first_ns: u64,
    pub last_ns: u64,
    /// Of the last packet of any kind that came this way.
    pub seen_ns: u64,
    /// Bytes of the run, without what TLS adds in front of its records.
    pub bytes: u64,
    /// The first TLS records of the run: when each began.
    pub record_ns: [u64; RECORDS_TOLD],
    /// And how long each is, 0 for none.
    pub record_len: [u16; RECORDS_TOLD],
    /// TLS records of the run.
    pub records: u32,
    /// Number in the stream of the byte after the last that was seen.
    pub next: u32,
    pub next_record: u32,
    /// Number of the byte that the other side expects next.
    pub acknowledged: u32,
    /// Packets with bytes that had been sent before, since the connection is watched.
    pub again: u32,
    /// Bits of [`flow`].
    pub flags: u32,
    /// Records of the run that were told for [`what::MORE`].
    pub told: u32,
    /// What the packet that is looked at means; of no interest to user space.
    pub scratch: u32,
}

/// A connection, by the socket of one of its sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Connection {
    pub local: Address,
    /// As packets have it: on their way out after addresses were translated.
    pub remote: Address,
    /// Whom the socket is connected to, as it asked.
    pub peer: Address,
    pub local_port: u16,
    pub remote_port: u16,
    pub peer_port: u16,
    /// Which of the endpoints it was that matched, from 1.
    pub endpoint: u16,
    /// Bits of [`known`].
    pub flags: u32,
    /// How often the client asked for the connection.
    pub syns: u32,
    /// CLOCK_BOOTTIME of the first time it did, and of the answer; 0: not seen.
    pub syn_ns: u64,
    pub established_ns: u64,
    /// Of the first record of the TLS handshake, and of the last; 0: not seen.
    pub hello_ns: u64,
    pub secured_ns: u64,
    /// TLS records by which the client ends the handshake, where they look like any other.
    pub handshake_records: u32,
    /// Length of a record that came from the server after that and before the first request: a ticket. 0: none.
    pub ticket_len: u32,
    pub request: Flow,
    pub answer: Flow,
}

/// Values of [`Head::of`].
pub mod head {
    /// A TLS handshake's first message.
    pub const HELLO: u32 = 0;
    pub const REQUEST: u32 = 1;
    pub const ANSWER: u32 = 2;
}

/// Bytes of a head that are looked at, at most.
pub const MAX_HEAD: usize = <Head as super::Record>::MAX_TEXT;

records! {
    Webhook {
        /// Something happened on a connection: all that is known of it now. `tgid` is the socket's owner, 0 where
        /// that is not known.
        1 Moved text 0 {
            /// The socket's cookie.
            cookie: u64,
            /// Bits of [`what`].
            what: u32,
            /// The process in whose context a packet left, which may be any other's: to be verified. 0: none.
            candidate: u32,
            owner: Owner,
            connection: Connection,
        }
        /// The first bytes of a message without encryption.
        2 Head text 512 {
            cookie: u64,
            /// One of [`head`].
            of: u32,
            len: u32,
        }
    }
}
