//! From signals to findings: the matrix as written, what its conditions mean, and which of them hold. Pure.
//!
//! [`catalogue`] is how the matrix is written, [`grammar`] how its conditions are; [`Rules::compile`] turns both into
//! rules, and [`Engine`] judges them as observations come.

pub mod catalogue;
mod checks;
pub mod compile;
mod engine;
pub mod grammar;
mod habits;
mod judge;
pub mod keywords;
mod open;
mod series;
mod tell;
mod trust;
mod windows;

pub use compile::{Problem, Rules};
pub use engine::{Engine, Said};
