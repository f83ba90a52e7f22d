//! Named, typed values with a unit and the probes that they need: what rules are made of. Pure.

mod list;

pub use list::{Label, Signal, SignalSpec};
