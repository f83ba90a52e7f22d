//! Rigs: the stage of `observer demo`, and what tests need beside it.

pub mod bpftrace;
pub mod disk;
pub mod dns;
pub mod engines;
pub mod group;
pub mod kube;
pub mod memory;
pub mod net;
pub mod nginx;
pub mod node;
pub mod run;
pub mod stdio;
pub mod tls;
pub mod verdict;
pub mod wasmedge;
pub mod watch;
pub mod webhook;
pub mod workload;

pub use observer::app::demo::stage::{self, Ran, Stage, bundle::Bundle, tools};

/// The module that `observer demo` runs.
pub use observer::app::demo::HELLO;

/// A stage, for tests that need root.
///
/// # Panics
/// Without root or without what every container is made of: these tests cannot be run there, and must not look
/// as if they had been.
pub fn stage() -> Stage {
    assert!(rustix::process::geteuid().is_root(), "live tests make real containers: run them as root");
    Stage::new().unwrap_or_else(|error| panic!("no stage for real containers: {error:#}"))
}

/// The path of a program that these tests cannot do without.
///
/// # Panics
/// It is not there.
pub fn program(name: &str) -> std::path::PathBuf {
    tools::find(name)
        .unwrap_or_else(|| panic!("{name} is not on this machine: `cargo xtask setup` installs it"))
}
