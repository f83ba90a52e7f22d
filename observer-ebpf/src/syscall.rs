//! Syscalls in two halves: what a watched thread passed at entry is kept until its exit.
//!
//! Paths are read at exit, from the pointer kept here: at entry the page may not be there yet.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user_str_bytes},
    macros::{map, tracepoint},
    maps::HashMap,
    programs::TracePointContext,
};
use observer_ebpf::{
    Family,
    control::role,
    wire::{Syscall, flag},
};

use crate::{
    emit::{Scratch, lose, now},
    filter,
};

/// Arguments of a syscall that has not returned yet.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct InFlight {
    pub entered_ns: u64,
    pub args: [u64; 6],
}

/// By thread (`pid_tgid`). Entries go at the syscall's exit, or at the thread's end.
#[map]
static IN_FLIGHT: HashMap<u64, InFlight> = HashMap::with_max_entries(32_768, 0);

/// Offset of the first argument in a sys_enter_* tracepoint; the loader checks it by name.
pub const ENTER_ARGS: usize = 16;
/// Offset of `ret` in a sys_exit_* tracepoint; the loader checks it by name.
const EXIT_RET: usize = 16;

#[inline(always)]
pub fn keep(ctx: &TracePointContext, roles: u32) {
    if filter::current(roles).is_none() {
        return;
    }
    // SAFETY: sys_enter_* records hold six arguments at this offset.
    let Ok(args) = (unsafe { ctx.read_at::<[u64; 6]>(ENTER_ARGS) }) else { return };
    let value = InFlight { entered_ns: now(), args };
    if IN_FLIGHT.insert(bpf_get_current_pid_tgid(), value, 0).is_err() {
        lose(Family::Process as u16);
    }
}

/// Entry of syscalls that are of interest in runtimes only.
#[tracepoint]
pub fn enter_runtime(ctx: TracePointContext) -> u32 {
    keep(&ctx, role::RUNTIME);
    0
}

/// Entry of syscalls that are of interest in engines, shims and runtimes.
#[tracepoint]
pub fn enter_engine(ctx: TracePointContext) -> u32 {
    keep(&ctx, role::RUNTIME | role::ENGINE | role::SHIM | role::HELPER);
    0
}

/// Entry of execve: of interest in whatever is watched.
#[tracepoint]
pub fn enter_any(ctx: TracePointContext) -> u32 {
    keep(&ctx, !role::QUIET);
    0
}

/// Entry of syscalls that are of interest in runtimes and payloads.
#[tracepoint]
pub fn enter_payload(ctx: TracePointContext) -> u32 {
    keep(&ctx, role::RUNTIME | role::PAYLOAD);
    0
}

/// A thread has ended: whatever it was doing will not return.
#[inline(always)]
pub fn abandon() {
    let _ = IN_FLIGHT.remove(bpf_get_current_pid_tgid());
}

/// The entry that belongs to this exit, if this thread was watched then.
#[inline(always)]
pub fn returned(ctx: &TracePointContext) -> Option<(InFlight, Syscall)> {
    let key = bpf_get_current_pid_tgid();
    // SAFETY: the entry is this thread's own and is copied at once.
    let entry = unsafe { *IN_FLIGHT.get(key)? };
    let _ = IN_FLIGHT.remove(key);
    // SAFETY: sys_exit_* records hold the return value at this offset.
    let ret = unsafe { ctx.read_at::<i64>(EXIT_RET) }.ok()?;
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(ctx, "thread {} returned {}", key as u32, ret);
    Some((entry, Syscall { entered_ns: entry.entered_ns, ret }))
}

/// Reads a user string into the scratch buffer behind a fixed part of `at` bytes; gives its length without
/// the terminator, and the flags to set.
#[inline(always)]
pub fn read_path<const AT: usize>(scratch: &mut Scratch, pointer: u64) -> (usize, u16) {
    const PATH: usize = 256;
    let text = &mut scratch.bytes[AT..AT + PATH];
    // SAFETY: the helper checks the address itself.
    match unsafe { bpf_probe_read_user_str_bytes(pointer as *const u8, text) } {
        Ok(path) if path.len() == PATH - 1 => (path.len(), flag::TRUNCATED),
        Ok(path) => (path.len(), 0),
        Err(_) => (0, flag::UNREADABLE),
    }
}

/// Keeps `EbpfContext` in scope for the programs of this crate that only need the context's pointer.
#[inline(always)]
pub fn raw(ctx: &impl EbpfContext) -> *const u64 {
    ctx.as_ptr().cast()
}
