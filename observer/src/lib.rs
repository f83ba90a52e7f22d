//! observer: which layer of the isolation stack, and which known problem, is this symptom?
//!
//! Data flows one way: kernel records and facts become [`input::Input`]s, the pipeline turns them into
//! [`output::Output`]s, sinks print those. Everything between input and output is pure: no clock, no files.
#![cfg_attr(
    not(feature = "record"),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

// pure
pub mod compare;
pub mod correlate;
pub mod filter;
pub mod health;
pub mod input;
pub mod layer;
pub mod model;
pub mod output;
pub mod pipeline;
pub mod probes;
pub mod rules;
pub mod signals;
pub mod span;
pub mod time;

// edges
#[cfg(feature = "edges")]
pub mod app;
#[cfg(feature = "edges")]
pub mod cli;
#[cfg(feature = "edges")]
pub mod credentials;
#[cfg(feature = "record")]
pub mod privileges;
#[cfg(feature = "record")]
pub mod record;
#[cfg(feature = "edges")]
pub mod service;
#[cfg(feature = "edges")]
pub mod sink;
#[cfg(all(test, feature = "record"))]
mod skips;
#[cfg(feature = "edges")]
pub mod source;
