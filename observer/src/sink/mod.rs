//! Where outputs go: a table, JSON lines, a page, metrics, a collector. Sinks own their outer format and what has to be kept for
//! the end, bounded; they decide nothing about a start and read no clock.
//!
//! A reader that went away surfaces as [`io::ErrorKind::BrokenPipe`] ([`is_broken_pipe`]): the end of the
//! run, not a failure.

pub mod compare;
mod escape;
pub mod explain;
mod file;
mod group;
pub mod html;
pub mod json;
mod keep;
pub mod kube_event;
mod markdown;
pub mod matrix;
pub mod metrics;
pub mod otlp;
mod rcode;
mod story;
pub mod table;
mod timeline;
mod units;
mod words;

use std::io;

use crate::output::{Output, errno, signal};

pub use group::GroupBy;
pub use html::HtmlSink;
pub use json::JsonSink;
pub use markdown::MarkdownSink;
pub use table::TableSink;

/// Takes outputs as they come. The summary is kept back and written by [`Sink::finish`], so that it is the
/// last word whatever else comes at the end.
pub trait Sink {
    /// # Errors
    /// Whatever writing says; see [`is_broken_pipe`].
    fn output(&mut self, output: &Output) -> io::Result<()>;

    /// What moved against earlier starts; to be given before [`Sink::finish`].
    ///
    /// # Errors
    /// As [`Sink::output`].
    fn comparison(&mut self, comparison: &compare::Report) -> io::Result<()>;

    /// Writes what waited for the end. To be called once.
    ///
    /// # Errors
    /// As [`Sink::output`].
    fn finish(&mut self) -> io::Result<()>;
}

/// Who observed: goes into every object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The Kubernetes node name, where known.
    pub node: Option<String>,
    pub host: String,
}

/// Whether whoever read the output has left.
pub fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
