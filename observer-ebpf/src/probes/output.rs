//! Writes to standard output and error, of runtimes and payloads; and failed writes of runtimes.

use observer_ebpf::{
    control::role,
    wire::{
        Syscall,
        output::{Output, op},
    },
};

use super::{NO_HEADER, on_return};
use crate::{
    emit, filter,
    kernel::{Reader, current},
    syscall::InFlight,
};

on_return!(exit_write, op::WRITE, returned);
on_return!(exit_writev, op::WRITEV, returned);
on_return!(exit_sendfile, op::SENDFILE, returned);
on_return!(exit_splice, op::SPLICE, returned);

#[inline(always)]
fn returned(op: u32, entry: &InFlight, syscall: Syscall) {
    let tgid = filter::current_tgid();
    let Some(watch) = filter::lookup(tgid) else { return };
    // splice(fd_in, off_in, fd_out, ..); the others have the output first.
    let fd = if op == op::SPLICE { entry.args[2] } else { entry.args[0] } as u32;
    let role = watch.flags;
    let runtime_failed = role & role::RUNTIME != 0 && role & role::ROOTFS == 0 && syscall.ret < 0;
    if fd != 1 && fd != 2 && !runtime_failed {
        return;
    }
    let init = watch.init;
    if !filter::take_output(watch, tgid) {
        return;
    }
    let task = current();
    let mut reader = Reader::new();
    let record = Output {
        header: NO_HEADER,
        syscall,
        fd,
        op,
        role,
        init,
        major_faults: reader.major_faults(task),
        read_bytes: reader.read_bytes(task),
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed);
}
