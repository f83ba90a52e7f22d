//! Large address-space reservations: how linear memories of Wasm engines begin.

use observer_ebpf::{
    control::role,
    wire::memory::{MIN_RESERVATION, Memory},
};

use super::{NO_HEADER, on_exit};
use crate::{
    budget, emit, filter,
    kernel::{Reader, current},
    linear,
    syscall::{self, argument},
};

on_exit!(exit_mmap_btf, exit_mmap, (), returned);
on_exit!(exit_mprotect_btf, exit_mprotect, (), protected);

/// Pages that can be neither read nor written nor executed.
const PROT_NONE: u64 = 0;
const PROT_READ: u64 = 1;
const MAP_FIXED: u64 = 0x10;
const ENOMEM: i64 = 12;

#[inline(always)]
fn returned(_: (), ret: i64) {
    let bytes = argument!(regs_arg1);
    if bytes < MIN_RESERVATION {
        // WasmEdge maps over what it has reserved.
        if ret >= 0 && argument!(regs_arg3) & MAP_FIXED != 0 {
            opened(ret as u64, bytes);
        }
        return;
    }
    let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD) else { return };
    let (role, init) = (watch.flags, watch.init);
    let prot = argument!(regs_arg2);
    if role & role::PAYLOAD != 0 {
        let reserved = prot == PROT_NONE && ret >= 0;
        if !reserved && ret != -ENOMEM || role & role::QUIET != 0 || filter::is_quiet(init) {
            return;
        }
    }
    if prot == PROT_NONE && ret >= 0 {
        linear::reserved(ret as u64, bytes);
    }
    if role & (role::PAYLOAD | role::ROOTFS) != 0 && !budget::reservation(init) {
        return;
    }
    let task = current();
    let mut reader = Reader::new();
    let record = Memory {
        header: NO_HEADER,
        syscall: syscall::ended(ret),
        hint: argument!(regs_arg0),
        bytes,
        start_ns: reader.process_start_ns(task),
        prot: prot as u32,
        flags: argument!(regs_arg3) as u32,
        role,
        init,
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed());
}

/// `mprotect(start, len, prot)`: how the others grow.
#[inline(always)]
fn protected(_: (), ret: i64) {
    if ret == 0 {
        opened(argument!(regs_arg0), argument!(regs_arg1));
    }
}

/// A call whose third argument is what may be done with these addresses has made them accessible.
#[inline(always)]
fn opened(from: u64, bytes: u64) {
    let may_be_read = argument!(regs_arg2) & PROT_READ != 0;
    if may_be_read && filter::current(role::RUNTIME | role::PAYLOAD).is_some() {
        linear::opened(from, bytes);
    }
}
