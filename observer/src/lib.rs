//! observer: which layer of the isolation stack, and which known problem, is this symptom?
//!
//! Data flows one way: kernel records and facts become [`input::Input`]s, the pipeline turns them into
//! [`output::Output`]s, sinks print those. Everything between input and output is pure: no clock, no files.

// pure
pub mod compare;
pub mod health;
pub mod input;
pub mod layer;
pub mod output;
pub mod probes;
pub mod time;

// edges
#[cfg(feature = "edges")]
pub mod sink;
