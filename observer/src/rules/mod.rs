//! From signals to findings: the matrix as written, what its conditions mean, and which of them hold. Pure.

pub mod catalogue;
pub mod grammar;
