//! Signals of memory: traps, kills, refusals.

use super::{Label, Observation, Signal, yes_no};
use crate::output::{FaultKind, FaultRegion, Memory, OomScope, errno};

pub(super) fn signals<'a>(
    memory: &'a Memory,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let signal = match memory.kind {
        FaultKind::WasmTrap => Signal::MemoryTrap,
        FaultKind::OomKill => Signal::MemoryOomKill,
        FaultKind::MapFailed => Signal::MemoryMapFailed,
        FaultKind::Fault | FaultKind::Limit => return,
    };
    see(of(signal, memory.count.max(1) as f64)
        .with_some(Label::Region, memory.region.map(FaultRegion::name))
        .with_some(Label::Signal, memory.signal.map(|signal| signal.to_string()))
        .with(Label::Seen, memory.seen.name())
        .with_some(Label::Code, memory.engine_code.map(|code| format!("{code:#x}")))
        .with_some(Label::Handled, memory.handled.map(yes_no))
        .with_some(Label::AtMaximum, memory.is_at_maximum().map(yes_no))
        .with_some(Label::Scope, memory.scope.map(OomScope::name))
        .with_some(Label::Errno, memory.errno.and_then(errno::name))
        .saying(text(memory)));
}

/// How large the memory was, and may become.
fn grown(memory: &Memory) -> String {
    match (memory.linear_bytes, memory.linear_max_bytes) {
        (Some(bytes), Some(max)) => format!(" of {bytes} bytes, which may have {max}"),
        (Some(bytes), None) => format!(" of {bytes} bytes"),
        (None, _) => String::new(),
    }
}

fn text(memory: &Memory) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    match memory.kind {
        FaultKind::WasmTrap => match (memory.wasm_address, memory.engine_code) {
            (Some(address), _) => {
                format!("Wasm code touched {address:#x}, outside of its memory{}", grown(memory))
            }
            (None, Some(code)) => format!("the Wasm engine says error {code:#x}"),
            (None, None) => "the Wasm engine caught a fault of its code".to_owned(),
        },
        FaultKind::OomKill => {
            let scope = match memory.scope {
                Some(OomScope::Memcg) => "of its limit",
                Some(OomScope::Global) => "on the node",
                Some(OomScope::Unknown) | None => "for want of memory",
            };
            let sizes = memory.rss_bytes.map(|bytes| format!(", with {}", mib(bytes))).unwrap_or_default();
            let limit = memory.limit_bytes.map(|bytes| format!(" of {}", mib(bytes))).unwrap_or_default();
            format!("the kernel killed it for want of memory {scope}{sizes}{limit}")
        }
        _ => {
            let asked = memory.asked_bytes.map_or_else(|| "memory".to_owned(), mib);
            format!("{asked} of address space was refused")
        }
    }
}
