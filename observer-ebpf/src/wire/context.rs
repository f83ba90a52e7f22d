//! Requests of HTTP/1 that threads of containers have in hand: which trace each belongs to is in its head.

use super::{packet::Owner, records};

/// Bytes of a request that are handed over.
pub const MAX_HEAD: usize = 2_048;

records! { Context {
    /// A thread has read the beginning of what looks like a request. Its bytes are the text, and end in user space where
    /// records are reduced.
    1 Read text 2048 {
        reader: Owner,
        /// CLOCK_BOOTTIME: with the thread, which request it is.
        read_ns: u64,
        /// 1: whoever reads from its socket waits until there is something.
        waits: u32,
        /// Bytes of the text.
        len: u32,
    }
    /// The first bytes of an answer to it were sent, by whomever, or its connection is ended, or the next one was read.
    2 Done text 0 {
        read_ns: u64,
        /// The thread that has read it.
        tgid: u32,
        tid: u32,
        /// The thread that ran when it was done. Where a packet has ended the connection, it may be anyone's.
        by: u32,
        pad: u32,
    }
    /// Requests that a process reads are not handed over, as there are too many: how many since this was last told.
    3 Skipped text 0 {
        reader: Owner,
        skipped: u64,
    }
} }
