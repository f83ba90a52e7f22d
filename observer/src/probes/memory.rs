//! Large address-space reservations: how linear memories of Wasm engines begin.

use observer_ebpf::{Family, wire::memory::Memory};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, fixed,
    spec::{Spec, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::Memory,
    gives: "where loading a Wasm module ends and instantiating it begins",
    cost: "a comparison at the exit of mmap",
    hooks: &[syscall!("mmap", "exit_mmap", ["addr", "len", "prot", "flags"])],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub call: Call,
    pub bytes: u64,
    /// PROT_* and MAP_* bits.
    pub prot: u32,
    pub flags: u32,
    pub role: u32,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, _) = fixed::<Memory>(bytes)?;
    Ok(Event {
        call: Call::from_wire(&wire.header, wire.syscall),
        bytes: wire.bytes,
        prot: wire.prot,
        flags: wire.flags,
        role: wire.role,
    })
}
