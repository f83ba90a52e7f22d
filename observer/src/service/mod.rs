//! Questions to an observer that runs, over a socket of its own: a request is one line of JSON, an answer a few of them.
//! What was recorded is not sent: whoever asks is told where it is, and reads it himself.
//!
//! Both ends believe nothing of the other: lines, answers and patience are bounded, and another version says so.

mod client;
mod server;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use client::{Client, ClientError};
pub use server::{Answer, Question, Server};

/// Raised when what an older end makes of a message would be wrong.
pub const VERSION: u32 = 1;
/// The longest request.
const MAX_REQUEST: u64 = 16 << 10;
/// The longest answer, all of its lines together.
const MAX_ANSWER: usize = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version that is spoken.
    pub observer: u32,
    pub ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Who answers, and where it records to.
    State,
    Describe {
        who: String,
        page: Page,
    },
    /// What the pipeline is fed, from now on.
    Follow,
}

/// How an answer is to look: it is made where everything is known, and shown as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub json: bool,
    pub width: usize,
    pub color: bool,
    pub chinese: bool,
}

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    State(State),
    /// To standard output, as it is.
    Text(String),
    /// The last line: what follows are the bytes of a recording that does not end by itself.
    Follows,
    /// The last line: there is no answer, and why.
    Refused(String),
    /// The last line: the exit code.
    Done(i32),
}

/// An observer that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub version: String,
    pub pid: u32,
    /// Nanoseconds of the Unix epoch.
    pub since: i64,
    /// Which containers it watches, in words.
    pub scope: String,
    pub recording: Option<PathBuf>,
}
