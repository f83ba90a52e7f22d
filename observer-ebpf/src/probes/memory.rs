//! Large address-space reservations: how linear memories of Wasm engines begin.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use observer_ebpf::{
    control::role,
    wire::{
        Syscall,
        memory::{MIN_RESERVATION, Memory},
    },
};

use super::{NO_HEADER, on_return};
use crate::{
    emit, filter,
    syscall::{self, InFlight},
};

on_return!(exit_mmap, 0, returned);

/// Entry of mmap: only large mappings are kept, so that ordinary ones cost a comparison at their exit.
#[tracepoint]
pub fn enter_mmap(ctx: TracePointContext) -> u32 {
    // SAFETY: the second argument of sys_enter_mmap, `len`.
    let bytes = unsafe { ctx.read_at::<u64>(syscall::ENTER_ARGS + 8) }.unwrap_or(0);
    if bytes >= MIN_RESERVATION {
        syscall::keep(&ctx, role::RUNTIME);
    }
    0
}

#[inline(always)]
fn returned(_op: u32, entry: &InFlight, syscall: Syscall) {
    let Some(watch) = filter::lookup(filter::current_tgid()) else { return };
    let record = Memory {
        header: NO_HEADER,
        syscall,
        bytes: entry.args[1],
        prot: entry.args[2] as u32,
        flags: entry.args[3] as u32,
        role: watch.flags,
        pad: 0,
    };
    emit::emit(record, false);
}
