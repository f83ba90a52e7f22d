//! Large address-space reservations: how linear memories of Wasm engines begin.

use observer_ebpf::{
    control::role,
    wire::memory::{MIN_RESERVATION, Memory},
};

use super::{NO_HEADER, on_exit};
use crate::{
    budget, emit, filter,
    kernel::{Reader, current},
    syscall::{self, argument},
};

on_exit!(exit_mmap_btf, exit_mmap, (), returned);

/// Pages that can be neither read nor written nor executed.
const PROT_NONE: u64 = 0;
const ENOMEM: i64 = 12;

#[inline(always)]
fn returned(_: (), ret: i64) {
    let bytes = argument!(regs_arg1);
    if bytes < MIN_RESERVATION {
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
