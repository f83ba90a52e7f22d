//! What user space has given up for the while, to keep within its budget. Programs that other families share go on
//! running, and leave it out.

use aya_ebpf::{macros::map, maps::Array};

/// Bits of [`observer_ebpf::control::shed`].
#[map]
static SHED: Array<u32> = Array::with_max_entries(1, 0);

/// Asked last, where a call is of interest otherwise: most of a node's are not.
#[inline(always)]
pub fn is_shed(what: u32) -> bool {
    SHED.get(0).copied().unwrap_or(0) & what != 0
}
