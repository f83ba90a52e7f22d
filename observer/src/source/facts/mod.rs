//! Facts that are read or asked rather than traced: processes, bundles, container engines, versions, the
//! host. Every reader takes the [`HostRoot`] or endpoint it is to look at, waits for nothing without a
//! bound, and turns a failure into a [`LookupError`], which is a result like any other.

pub mod bundle;
pub mod certificates;
pub mod conntrack;
pub mod containers;
pub mod cpu;
pub mod cri;
pub mod disks;
pub mod files;
pub mod host;
pub mod kube;
pub mod listening;
pub mod memory;
pub mod module;
pub mod network;
pub mod node;
pub mod procfs;
pub mod root;
pub mod sockets;
pub mod storage;
pub mod version;
pub mod wasm;
mod x509;

use crate::input::LookupError;

pub use root::HostRoot;

fn failed(what: impl Into<String>, why: impl std::fmt::Display) -> LookupError {
    LookupError { what: what.into(), why: why.to_string() }
}
