//! A policy tool (opa, cosign) that was run outside of containers and has failed.

use super::Process;
use crate::probes::text::Line;

#[derive(Clone, Debug, PartialEq)]
pub struct ToolFailed {
    pub process: Process,
    /// What it was asked to do.
    pub call: &'static str,
    /// What it was to verify.
    pub image: Option<String>,
    /// Its exit status, which is not 0.
    pub exit: i32,
    /// What it has said of it itself: the first line of each keyword.
    pub said: Vec<Line>,
}
