//! Large address-space reservations: how linear memories of Wasm engines begin.

use observer_ebpf::{Family, control::role, wire::memory::Memory};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, chars, fixed,
    spec::{Spec, syscall},
};
use crate::time::Time;

pub const SPEC: Spec = Spec {
    family: Family::Memory,
    gives: "where loading a Wasm module ends and instantiating it begins, which addresses are linear memory, and how far \
            it had grown when it trapped",
    cost: "a comparison at the exit of mmap; a look-up at the exit of mprotect",
    hooks: &[
        syscall!("mmap", "exit_mmap", ["addr", "len", "prot", "flags"]),
        syscall!("mprotect", "exit_mprotect", ["start", "len", "prot"]),
    ],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub call: Call,
    /// Where the caller would have liked it; 0: anywhere. `None`: not recorded.
    #[serde(default)]
    pub hint: Option<u64>,
    pub bytes: u64,
    /// When the process started, where that is known.
    #[serde(default)]
    pub start: Option<Time>,
    /// PROT_* and MAP_* bits.
    pub prot: u32,
    pub flags: u32,
    pub role: u32,
    /// The container's init as the kernel side knows it.
    #[serde(default)]
    pub init: Option<u32>,
    #[serde(default)]
    pub comm: String,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 2 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, _) = fixed::<Memory>(bytes)?;
    Ok(Event {
        call: Call::from_wire(&wire.header, wire.syscall),
        hint: Some(wire.hint),
        bytes: wire.bytes,
        start: (wire.start_ns != 0).then_some(Time(wire.start_ns)),
        prot: wire.prot,
        flags: wire.flags,
        role: wire.role,
        init: (wire.init != 0).then_some(wire.init),
        comm: chars::comm(&wire.comm),
    })
}

impl Event {
    pub fn is_of_payload(&self) -> bool {
        self.role & role::PAYLOAD != 0
    }

    /// Whether this may be neither read nor written nor executed, as memory is that is only reserved.
    pub fn is_reservation(&self) -> bool {
        self.prot == 0
    }
}
