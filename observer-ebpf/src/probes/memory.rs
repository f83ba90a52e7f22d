//! Large address-space reservations: how linear memories of Wasm engines begin.

use observer_ebpf::{
    control::role,
    wire::memory::{MIN_RESERVATION, Memory},
};

use super::{NO_HEADER, on_exit};
use crate::{
    emit, filter,
    syscall::{self, argument},
};

on_exit!(exit_mmap_btf, exit_mmap, (), returned);

#[inline(always)]
fn returned(_: (), ret: i64) {
    let bytes = argument!(regs_arg1);
    if bytes < MIN_RESERVATION {
        return;
    }
    let Some(watch) = filter::current(role::RUNTIME) else { return };
    let record = Memory {
        header: NO_HEADER,
        syscall: syscall::ended(ret),
        bytes,
        prot: argument!(regs_arg2) as u32,
        flags: argument!(regs_arg3) as u32,
        role: watch.flags,
        pad: 0,
    };
    emit::emit(record, false);
}
