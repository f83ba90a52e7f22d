//! The kernel as a source: all of aya lives here (load, attach ladder, ring, maps, offsets from BTF).

mod attach;
mod btf;
mod load;
mod maps;
mod reorder;
mod ring;

pub use attach::{Kernel, plan};
pub use load::{Live, LoadError, Options, Tracefs};

use std::path::Path;

use observer_ebpf::Family;

use crate::health::ProbePlan;

/// How each family would attach on this kernel, whose types are in `btf`. Nothing is loaded.
pub fn plan_with(btf: &Path, tracefs: Tracefs, asked: &[Family]) -> Vec<ProbePlan> {
    let types = btf::KernelTypes::read(btf).ok();
    let parsed = aya::Btf::parse_file(btf, aya::Endianness::default()).ok();
    plan(&Kernel { types: types.as_ref(), btf: parsed.as_ref(), tracefs }, asked)
}
