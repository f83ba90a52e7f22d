//! Bytes on disk. A segment is [`MAGIC`], a version, a header frame and further frames; a frame is its kind,
//! the length and the checksum of its payload, and the payload (MessagePack with named fields, so that
//! fields can be added). The checksum covers kind and payload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// Its first byte is no frame's kind, so a segment that follows another in one file is told from a frame.
pub(super) const MAGIC: [u8; 8] = *b"\x89OBSREC\n";
/// Raised when an older reader would misread; added fields and frame kinds do not raise it.
pub const VERSION: u16 = 1;
pub(super) const PREAMBLE_LEN: usize = MAGIC.len() + 2;
pub(super) const FRAME_HEADER_LEN: usize = 9;
/// A longer frame is damage.
pub(super) const MAX_FRAME: usize = 1 << 20;
/// Headers carry the catalogue and baselines.
pub(super) const MAX_HEADER: usize = 8 << 20;

/// Values of a frame's first byte.
pub(super) mod kind {
    pub const HEADER: u8 = 1;
    /// An input that was open when the segment began: a repetition, except at the begin of what is kept.
    pub const CHECKPOINT: u8 = 2;
    pub const INPUT: u8 = 3;
    /// Inputs are missing here.
    pub const LOST: u8 = 4;
    /// The segment is complete.
    pub const END: u8 = 5;
}

/// What a recording says about the run that it is of. Filled in by whoever starts the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    pub observer_version: String,
    /// Subcommand and options as typed, without CMD's arguments.
    pub command: String,
    /// Resolved options by name.
    pub options: BTreeMap<String, String>,
    pub filters: Vec<String>,
    pub language: String,
    /// The Kubernetes node's name, where known.
    pub node: Option<String>,
    pub host: String,
    pub kernel_release: String,
    pub arch: String,
    pub page_size: u64,
    /// `v1`, `v2`, `hybrid`.
    pub cgroup_mode: String,
    pub hooks: Vec<HookTaken>,
    /// Offsets and enum values as resolved, by `struct.member`; `None`: this kernel has none.
    pub offsets: BTreeMap<String, Option<u32>>,
    /// Classes of content bytes held. Empty: none.
    pub content: Vec<String>,
    pub catalogue: Option<String>,
    pub baselines: Option<String>,
}

/// How one hook of a probe was attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookTaken {
    pub family: String,
    pub hook: String,
    pub rung: String,
}

/// The first frame of each segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentHeader {
    /// Tells the recordings in one directory apart: nanoseconds of the Unix epoch when it was begun.
    pub run: u64,
    /// Counted from 0 within the run: above 0 in the first segment that is there, earlier ones were dropped.
    pub number: u64,
    /// Inputs before this time are in earlier segments.
    pub begins: Time,
    /// Segments of this run that were dropped to keep the limit before this one was begun.
    pub dropped_segments: u64,
    pub header: Header,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Lost {
    pub frames: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct End {
    /// Another segment follows.
    pub more: bool,
}

pub(super) fn preamble() -> [u8; PREAMBLE_LEN] {
    let mut bytes = [0; PREAMBLE_LEN];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

pub(super) fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// Appends a frame. When its payload exceeds `limit`, nothing is appended and its size is the error.
pub(super) fn push_frame(
    out: &mut Vec<u8>,
    kind: u8,
    payload: &impl Serialize,
    limit: usize,
) -> Result<(), usize> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    let body = start + FRAME_HEADER_LEN;
    // Into memory and with these types encoding cannot fail; if it did, the frame would count as lost.
    let encoded = payload.serialize(&mut rmp_serde::Serializer::new(&mut *out).with_struct_map());
    let len = out.len() - body;
    if encoded.is_err() || len > limit {
        out.truncate(start);
        return Err(len);
    }
    let checksum = checksum(kind, &out[body..]);
    out[start] = kind;
    out[start + 1..start + 5].copy_from_slice(&(len as u32).to_le_bytes());
    out[start + 5..body].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}
