//! What containers and components of the node write to their standard streams: the beginning of each write.

use super::{packet::Owner, records};

/// Bytes that are handed over of one buffer of a container's write.
pub const MAX_PIECE: usize = 512;

/// The same of a component: containerd names an image three times before it says what is wrong with it.
pub const MAX_COMPONENT_PIECE: usize = 1_024;

/// Buffers that are looked at of a write that gathers several. The C library musl writes with two.
pub const MAX_BUFFERS: u32 = 4;

records! { Text {
    /// The beginning of what was written. Its bytes are the text, and end in user space where records are reduced.
    1 Piece text 1024 {
        writer: Owner,
        /// The object that was written to; 0: not known.
        ino: u64,
        fd: u32,
        /// Bytes of the piece.
        len: u32,
        /// Bytes that were written behind this piece and are not handed over.
        omitted: u32,
        pad: u32,
    }
    /// Writes of the process are not handed over, as there are too many: how many since this was last told.
    2 Skipped text 0 {
        writer: Owner,
        skipped: u64,
    }
    /// The process ends, and something of it that was handed over ended in the middle of a line.
    3 Ended text 0 {
        writer: Owner,
    }
} }
