//! listen of payloads, and accept of a runtime that waits to be started (youki).

use observer_ebpf::{
    control::role,
    wire::{
        Syscall,
        socket::{Socket, op},
    },
};

use super::{NO_HEADER, on_return};
use crate::{
    emit, filter,
    kernel::{Reader, current},
    syscall::argument,
};

on_return!(exit_listen, op::LISTEN, returned);
on_return!(exit_accept, op::ACCEPT, returned);
on_return!(exit_accept4, op::ACCEPT, returned);

#[inline(always)]
fn returned(op: u32, syscall: Syscall) {
    let tgid = filter::current_tgid();
    let Some(watch) = filter::lookup(tgid) else { return };
    let (role, init) = (watch.flags, watch.init);
    let of_payload = role & role::PAYLOAD != 0;
    if (op == op::ACCEPT && of_payload) || role & role::QUIET != 0 || filter::is_quiet(init) {
        return;
    }
    let task = current();
    let mut reader = Reader::new();
    let record = Socket {
        header: NO_HEADER,
        syscall,
        fd: argument!(regs_arg0) as u32,
        op,
        role,
        init,
        major_faults: reader.major_faults(task),
        read_bytes: reader.read_bytes(task),
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed());
}
