//! Where the starts to compare with come from: an earlier output, or what this node has learned. The judging
//! is [`crate::compare`]'s.

mod baseline_file;
mod earlier;

use std::{io, path::PathBuf};

use crate::compare::{Comparison, Samples, compare};

pub use baseline_file::{load, save};
pub use earlier::{Earlier, read};

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{} holds no cold starts ({lines} lines, {broken} of them broken): \
         give it the output of `observer coldstart -o json`", path.display()
    )]
    NoStarts { path: PathBuf, lines: u64, broken: u64 },
    #[error("the baseline {} is damaged ({why}): remove it, it is learned anew", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error(
        "the baseline {} has format {found}, this observer reads {known}: \
         remove it, it is learned anew", path.display()
    )]
    Version { path: PathBuf, found: u32, known: u32 },
    #[error("cannot write the baseline {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A comparison, and what it was made with.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The earlier file, or `baseline`.
    pub against: String,
    /// How many starts it held.
    pub starts: u64,
    /// Lines of it that could not be read.
    pub broken_lines: u64,
    /// Starts beyond the bound of either side.
    pub left_out: u64,
    pub comparison: Comparison,
}

impl Report {
    /// Compares the starts of this run with earlier ones; `against` says which.
    pub fn new(against: String, before: &Earlier, after: &Samples) -> Report {
        let kept = before.samples.kept();
        Report {
            against,
            starts: kept.len() as u64,
            broken_lines: before.broken_lines,
            left_out: before.samples.beyond() + after.beyond(),
            comparison: compare(kept, after.kept()),
        }
    }
}
