//! Linear memories: which reservations of address space are ones, and where address 0 of a module lies in them.
//!
//! An engine reserves all that a 32-bit module can address (4 GiB), with guards around it instead of comparisons
//! before each access. How large the guards are tells the engines apart, and where the memory begins. Seen with
//! WasmEdge 0.14 and 0.17 (its constant is the same from 0.11 on), Node.js 20 and wasmtime 50; the larger guards of
//! wasmtime are those of its versions before. A Java heap of 8 GiB has the size of one of them, and is therefore
//! told by where it lies: Java asks for a place, engines take any. Not always (ZGC's map of 8 GiB, a heap without
//! compressed addresses): what such a process takes besides is what tells it (`state.rs`).

use crate::{output::FaultRegion, probes::memory};

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;

/// What a 32-bit module can address.
const SPAN: u64 = 4 * GIB;

/// WasmEdge: three times the span, the memory in the middle.
const WASMEDGE: u64 = 12 * GIB;

/// V8: 2 GiB before the memory, 8 GiB from its beginning on; up to one unit more, to be aligned to it.
const V8: u64 = 10 * GIB;
const V8_BEFORE: u64 = 2 * GIB;
const V8_UNIT: u64 = 64 * KIB;

/// wasmtime: a guard of one of these sizes behind the span, and as large a one before it.
const WASMTIME_GUARDS: [u64; 2] = [32 * KIB * KIB, 2 * GIB];

/// Address space set aside for a linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub start: u64,
    pub bytes: u64,
    /// Where the module's address 0 is; `None`: no engine is known that reserves like this.
    pub base: Option<u64>,
    /// Whether its engine uses signals for other traps, too: division by zero, `unreachable`.
    pub traps_by_signal: bool,
}

impl Reservation {
    /// What was reserved, if it is for a linear memory: of known shape, or inside a runtime, which has no other use
    /// for as much.
    pub fn of(event: &memory::Event) -> Option<Self> {
        if !event.is_reservation() || event.call.errno().is_some() {
            return None;
        }
        let (start, bytes) = (event.call.ret as u64, event.bytes);
        let anywhere = event.hint.unwrap_or(0) == 0;
        let base = base_of(start, bytes).filter(|_| anywhere);
        if base.is_none() && event.is_of_payload() {
            return None;
        }
        let is_v8 = (V8..=V8 + V8_UNIT).contains(&bytes);
        Some(Reservation { start, bytes, base, traps_by_signal: !is_v8 })
    }

    /// Where in it an address lies, and which address that is to the module.
    pub fn place(&self, address: u64) -> Option<(FaultRegion, Option<u64>)> {
        if !(self.start..self.start.saturating_add(self.bytes)).contains(&address) {
            return None;
        }
        let Some(base) = self.base else { return Some((FaultRegion::LinearMemory, None)) };
        match address.checked_sub(base) {
            // A module's address and the offset in its instruction add up to 33 bits.
            Some(at) if at < SPAN => Some((FaultRegion::LinearMemory, Some(at))),
            at => Some((FaultRegion::Guard, at)),
        }
    }
}

fn base_of(start: u64, bytes: u64) -> Option<u64> {
    if bytes == WASMEDGE {
        return start.checked_add(SPAN);
    }
    if (V8..=V8 + V8_UNIT).contains(&bytes) {
        return start.checked_next_multiple_of(V8_UNIT)?.checked_add(V8_BEFORE);
    }
    WASMTIME_GUARDS.into_iter().find_map(|guard| match bytes.checked_sub(SPAN)? {
        both if both == 2 * guard => start.checked_add(guard),
        behind if behind == guard => Some(start),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use observer_ebpf::control::role;

    use super::*;
    use crate::{probes::Call, time::Time};

    fn reserved(start: u64, bytes: u64, role: u32) -> memory::Event {
        memory::Event {
            call: Call { entered: Time(1), ret: start as i64 },
            hint: Some(0),
            bytes,
            start: None,
            prot: 0,
            flags: 0x4022,
            role,
            init: Some(1),
            comm: String::new(),
        }
    }

    fn base(start: u64, bytes: u64) -> Option<u64> {
        Reservation::of(&reserved(start, bytes, role::PAYLOAD))?.base
    }

    #[test]
    fn the_shapes_of_real_engines() {
        // As strace showed them, with the address that the engine itself gave for its memory.
        assert_eq!(base(0x7f3c_d000_0000, 4_362_076_160), Some(0x7f3c_d200_0000), "wasmtime 50");
        assert_eq!(base(0x7f49_b7ff_1000, 10_737_479_680), Some(0x7f4a_3800_0000), "Node.js 20");
        assert_eq!(base(0x7fa1_9020_0000, 0x3_0000_0000), Some(0x7fa2_9020_0000), "WasmEdge 0.14");
    }

    #[test]
    fn an_address_is_that_of_the_module() {
        let of = |start, bytes| Reservation::of(&reserved(start, bytes, role::PAYLOAD)).unwrap();
        let expected = Some((FaultRegion::LinearMemory, Some(0x7fff_fff0)));
        assert_eq!(of(0x7f3c_d000_0000, 4_362_076_160).place(0x7f3d_51ff_fff0), expected);
        assert_eq!(of(0x7f49_b7ff_1000, 10_737_479_680).place(0x7f4a_b7ff_fff0), expected);
        assert_eq!(of(0x7fa1_9020_0000, 0x3_0000_0000).place(0x7fa3_101f_fff0), expected);
    }

    #[test]
    fn around_a_memory_are_its_guards() {
        let one = Reservation::of(&reserved(1 << 40, 12 * GIB, role::PAYLOAD)).unwrap();
        assert_eq!(one.place((1 << 40) - 1), None);
        assert_eq!(one.place(1 << 40), Some((FaultRegion::Guard, None)));
        assert_eq!(one.place((1 << 40) + 8 * GIB), Some((FaultRegion::Guard, Some(SPAN))));
        assert_eq!(one.place((1 << 40) + 12 * GIB), None);
    }

    #[test]
    fn a_java_heap_is_none() {
        // -Xmx8g, and the same with -XX:HeapBaseMinAddress=64g, as strace showed them.
        for (hint, bytes) in [(0x6_0000_0000, 8_589_934_592), (0x10_0000_0000, 8_594_128_896)] {
            let heap = memory::Event { hint: Some(hint), ..reserved(hint, bytes, role::PAYLOAD) };
            assert_eq!(Reservation::of(&heap), None);
        }
    }

    #[test]
    fn inside_a_runtime_any_shape_will_do() {
        let one = Reservation::of(&reserved(1 << 40, 77 * GIB, role::RUNTIME | role::ROOTFS)).unwrap();
        assert_eq!(one.place(1 << 40), Some((FaultRegion::LinearMemory, None)));
        assert_eq!(Reservation::of(&reserved(1 << 40, 77 * GIB, role::PAYLOAD)), None);
    }

    #[test]
    fn what_is_used_or_was_refused_is_none() {
        let used = memory::Event { prot: 3, ..reserved(1 << 40, 12 * GIB, role::PAYLOAD) };
        assert_eq!(Reservation::of(&used), None);
        assert_eq!(Reservation::of(&reserved(-12_i64 as u64, 12 * GIB, role::PAYLOAD)), None);
    }
}
