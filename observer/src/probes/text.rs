//! What containers and components of the node write to their standard streams, as far as a keyword is in it. Only the
//! line that holds one is kept, without what looks like a secret; nothing of any other line gets past [`Lines`].

mod keyword;
mod lines;
mod redact;

use observer_ebpf::Family;
use serde::{Deserialize, Serialize};

use super::{
    packet::Owner,
    spec::{Spec, covered, syscall},
};
pub use keyword::{BadKeyword, Keyword};
pub(super) use lines::Lines;
pub use redact::Redactor;

pub const SPEC: Spec = Spec {
    family: Family::Text,
    gives: "lines of components and containers that say what is wrong",
    cost: "nothing beyond what `output` and `stdio` cost; a copy of the beginning of each write to standard output and \
           error of containers, engines, shims, runtimes, kubelet, kube-apiserver and etcd",
    // Those of `output` and `stdio`, which hand on what they see.
    hooks: &[
        covered("write", &syscall!("write", "exit_write", ["fd", "buf", "count"])),
        covered("writev", &syscall!("writev", "exit_writev", ["fd", "vec", "vlen"])),
        covered("pwritev2", &syscall!("pwritev2", "exit_pwritev2", ["fd", "vec", "vlen"])),
    ],
};

/// Bytes of a line that are kept.
pub const MAX_LINE: usize = 512;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Something was written in which no keyword is, or not yet.
    Ordinary,
    /// Lines were written in which keywords are.
    Found(Found),
    /// Writes were not looked at: there were too many, or they could not be read.
    Skipped { writer: Owner, count: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub writer: Owner,
    /// The descriptor that was written to last.
    pub fd: u32,
    pub lines: Vec<Line>,
}

/// A line with a keyword in it. Text of a process: untrusted, and not escaped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub keyword: String,
    /// The layer that it points to.
    pub layer: String,
    /// Whoever wrote it is called like a component that the keyword is of.
    pub is_named: bool,
    /// Secrets replaced, at most [`MAX_LINE`] bytes.
    pub text: String,
    /// There is more of the line.
    pub is_cut: bool,
    /// What the pattern's named groups hold.
    pub captures: Vec<(String, String)>,
}
