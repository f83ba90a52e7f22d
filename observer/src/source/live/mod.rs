//! The kernel as a source: all of aya lives here (load, attach ladder, ring, maps, offsets from BTF).

mod attach;
mod btf;
mod code;
mod cpu;
mod drops;
mod early;
mod endpoints;
mod engine;
mod hardware;
pub mod heap;
mod hierarchy;
mod load;
mod loaded;
mod log;
mod maps;
mod reorder;
mod resolver;
mod ring;
mod shed;
mod storage;
mod streams;
mod syscalls;
mod tls;
mod tracefs;

pub use endpoints::Endpoint;
pub use hardware::{Counted as Hardware, text};
pub use load::{Live, LoadError, Options, RING, plan};
pub use observer_ebpf::wire::hardware::{Block, Syncing};
pub use tracefs::Tracefs;
