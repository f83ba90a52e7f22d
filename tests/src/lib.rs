//! What the tests share: rigs that make real containers, and starts to show to sinks.

pub mod rig;
pub mod starts;
