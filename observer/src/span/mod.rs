//! Spans that others have sent, reduced to what ties them to what the kernel saw. Pure.
//!
//! Owns the reading of OTLP requests, of all three signals, as bytes: which records they hold ([`parcel`]), what a
//! span says ([`reduce`]), how it says that a request was answered ([`Answer`]), and the same in JSON ([`json`]). Refuses to decode what it does not need: whatever is passed
//! on keeps every field, also those that are not known here.

mod answer;
pub mod json;
pub mod parcel;
pub mod reduce;
pub mod wire;

use serde::{Deserialize, Serialize};

use crate::time::Time;
pub use answer::Answer;

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// Scope of all that observer itself exports.
pub const OWN_SCOPE: &str = "observer";

/// What OTLP carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

    /// As paths and statistics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }

    /// What one record of it is called, of many.
    pub const fn records(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Logs => "log records",
            Signal::Metrics => "metrics",
        }
    }
}

/// A span that was received. All text is its sender's, bounded, and not to be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// When it was received.
    pub time: Time,
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: String,
    pub kind: Kind,
    /// Nanoseconds since the Unix epoch, by its sender's clock.
    pub start: u64,
    pub end: u64,
    pub status: StatusCode,
    /// OTLP's: the lowest byte is that of W3C.
    pub flags: u32,
    /// W3C's, which a child takes over.
    #[serde(default)]
    pub state: String,
    pub scope: String,
    pub service: Option<String>,
    /// Of those that a span may be tied by, its own: [`reduce::is_of_use`].
    pub attributes: Vec<(String, String)>,
    /// The same of what has sent it.
    pub resource: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusCode {
    #[default]
    Unset,
    Ok,
    Error,
}

/// W3C's "sampled".
const SAMPLED: u32 = 1;
/// All that W3C has a flag for. OTLP's own are above it, and some senders set only those (the SDK of Python).
const W3C: u32 = 0xff;

impl Span {
    /// Whether more of its trace is wanted. Who sends none of W3C's flags has sent the span.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0 || self.flags & W3C == 0
    }

    pub fn attribute(&self, key: &str) -> Option<&str> {
        find(&self.attributes, key)
    }

    pub fn resource(&self, key: &str) -> Option<&str> {
        find(&self.resource, key)
    }

    pub fn duration_ns(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

fn find<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// An id as people write it.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id that is written so, if it is one.
pub fn trace_id(text: &str) -> Option<TraceId> {
    let text = text.trim();
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let id = u128::from_str_radix(text, 16).ok()?.to_be_bytes();
    (id != [0; 16]).then_some(id)
}

#[cfg(test)]
mod tests;
