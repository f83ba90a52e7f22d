//! Recordings of [`Input`](crate::input::Input)s: their format, the writer and the reader.
//!
//! A recording is a chain of segments, in one file or in a directory of files. Each segment begins with a
//! header and a checkpoint (the inputs that are still open), so any kept tail replays by itself. The writer
//! never makes the pipeline wait: what cannot be queued or written is counted, and the recording says so.
//! The reader believes nothing: a recording may be cut, damaged, or no recording at all.
//!
//! This module knows what a frame is and nothing of what an input means: which inputs are still open is for
//! the owner of the pipeline to say.

mod directory;
mod error;
mod follow;
mod format;
mod reader;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub use error::RecordError;
pub use follow::Follower;
pub use format::{Header, HookTaken, SegmentHeader, VERSION};
pub use reader::{Damage, Ended, ReadReport, RecordingReader};
pub use stream::{Item, SegmentReader};
pub use writer::{Limits, RecordingWriter, WriteStats};
