//! What the tests share: rigs that make real containers, starts and events to show to sinks, and the init of the
//! machines in which other kernels are tried.

pub mod check;
pub mod confusion;
pub mod deploy;
pub mod events;
pub mod ordinary;
pub mod quiet;
pub mod rig;
pub mod soak;
pub mod starts;
pub mod vm;
