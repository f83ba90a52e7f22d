//! Files opened by runtimes: the few paths that mark a phase, failures, and everything after the change of
//! root (a Wasm module may have any name).

use observer_ebpf::{
    control::role,
    wire::{
        Syscall,
        file::{File, op},
        flag,
    },
};

use super::{NO_HEADER, on_return};
use crate::{
    emit::{self, Scratch},
    filter,
    syscall::{self, InFlight},
};

on_return!(exit_openat, Call { op: op::OPEN, path: 1, flags: Some(2) }, returned);
on_return!(exit_openat2, Call { op: op::OPEN, path: 1, flags: None }, returned);
on_return!(exit_open, Call { op: op::OPEN, path: 0, flags: Some(1) }, returned);
on_return!(exit_stat_at, Call { op: op::STAT, path: 1, flags: None }, returned);
on_return!(exit_access, Call { op: op::ACCESS, path: 0, flags: None }, returned);
on_return!(exit_access_at, Call { op: op::ACCESS, path: 1, flags: None }, returned);

/// A call on a path: which of its arguments is what.
struct Call {
    op: u32,
    path: usize,
    flags: Option<usize>,
}

const FIXED: usize = size_of::<File>();
/// How much of a path's end is looked at.
const TAIL: usize = 16;

#[inline(always)]
fn returned(call: Call, entry: &InFlight, syscall: Syscall) {
    let Some(watch) = filter::lookup(filter::current_tgid()) else { return };
    if call.op != op::OPEN && syscall.ret >= 0 {
        return;
    }
    let Some(scratch) = emit::scratch() else { return };
    let open_flags = call.flags.map_or(0, |n| entry.args[n] as u32);
    let pointer = entry.args[call.path];
    let (path_len, flags) = syscall::read_path::<FIXED>(scratch, pointer);
    let after_root = watch.flags & role::ROOTFS != 0;
    let unreadable = flags & flag::UNREADABLE != 0;
    let failed = syscall.ret < 0;
    let wanted = match read_tail(scratch, path_len) {
        // The linker looks for each library in many places: only engines are missed.
        Some(tail) if failed && has_so(&tail) => names_an_engine(&tail),
        Some(tail) => after_root || failed || marks_a_phase(&tail),
        None => true,
    };
    if !wanted && !unreadable {
        return;
    }
    let record = File {
        header: NO_HEADER,
        syscall,
        flags: open_flags,
        role: watch.flags,
        path_len: path_len as u32,
        op: call.op,
    };
    emit::emit_text(scratch, record, path_len, flags);
}

/// The end of a path, in a place of its own, so that each look at it has a constant offset.
#[inline(always)]
fn read_tail(scratch: &Scratch, path_len: usize) -> Option<[u8; TAIL]> {
    let start = FIXED + (path_len & 0xff);
    let mut tail = [0u8; TAIL];
    let text = scratch.bytes.as_ptr();
    // SAFETY: FIXED >= TAIL, so the copy begins and ends within the scratch buffer.
    let copied = unsafe {
        aya_ebpf::helpers::generated::bpf_probe_read_kernel(
            tail.as_mut_ptr().cast(),
            TAIL as u32,
            text.add(start - TAIL).cast(),
        )
    };
    (copied == 0).then_some(tail)
}

/// config.json, exec.fifo, shared libraries and modules, by the end of their names.
#[inline(always)]
fn marks_a_phase(tail: &[u8; TAIL]) -> bool {
    let last8 =
        u64::from_ne_bytes([tail[8], tail[9], tail[10], tail[11], tail[12], tail[13], tail[14], tail[15]]);
    const CONFIG: u64 = u64::from_ne_bytes(*b"fig.json");
    const FIFO: u64 = u64::from_ne_bytes(*b"xec.fifo");
    if last8 == CONFIG || last8 == FIFO {
        return true;
    }
    if tail[11] == b'.' && tail[12] == b'w' && tail[13] == b'a' && tail[14] == b's' && tail[15] == b'm' {
        return true;
    }
    has_so(tail)
}

/// `.so` anywhere in the tail: `libx.so`, `libx.so.0`, `libx.so.0.1.0`.
#[inline(always)]
fn has_so(tail: &[u8; TAIL]) -> bool {
    // Returning at once keeps the number of paths linear for the verifier.
    for i in 0..TAIL - 2 {
        if tail[i] == b'.' && tail[i + 1] == b's' && tail[i + 2] == b'o' {
            return true;
        }
    }
    false
}

/// libwasmedge, libwasmtime, libwasmer, libiwasm, libwamr.
#[inline(always)]
fn names_an_engine(tail: &[u8; TAIL]) -> bool {
    for i in 0..TAIL - 2 {
        if tail[i] == b'w' && tail[i + 1] == b'a' && (tail[i + 2] == b's' || tail[i + 2] == b'm') {
            return true;
        }
    }
    false
}
