//! Writes to standard output and error, of runtimes and payloads; and failed writes of runtimes.

use observer_ebpf::{
    control::{Watch, role},
    wire::{
        output::{Output, op},
        storage::op as storage_op,
    },
};

use super::{NO_HEADER, on_exit, stdio, storage, text};
use crate::{
    agg::By,
    emit, filter,
    kernel::{Reader, current},
    syscall::{self, argument},
};

on_exit!(exit_write_btf, exit_write, op::WRITE, to_first);
on_exit!(exit_writev_btf, exit_writev, op::WRITEV, to_first);
on_exit!(exit_sendfile_btf, exit_sendfile, op::SENDFILE, to_first);
on_exit!(exit_splice_btf, exit_splice, op::SPLICE, spliced);

/// The descriptor written to is the call's first argument.
#[inline(always)]
fn to_first(op: u32, ret: i64) {
    let of_storage = match op {
        op::WRITE => storage_op::WRITE,
        op::WRITEV => storage_op::WRITEV,
        _ => storage_op::SENDFILE,
    };
    storage::to_first(of_storage, ret);
    returned(op, || argument!(regs_arg0) as u32, ret);
}

#[inline(always)]
fn spliced(op: u32, ret: i64) {
    storage::to_third(storage_op::SPLICE, ret);
    if stdio::follows() {
        stdio::taken(|| argument!(regs_arg0) as u32, ret, By::Pages);
    }
    returned(op, || argument!(regs_arg2) as u32, ret);
}

/// Most writes of a node are none of a container's: what those cost comes first. Where containers are followed, any
/// of theirs counts; where only starts are, most go to other descriptors and succeed.
#[inline(always)]
fn returned(op: u32, output: impl Fn() -> u32, ret: i64) {
    if !stdio::follows() && !is_standard(output()) && ret >= 0 {
        return;
    }
    let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD | text::components()) else { return };
    let fd = output();
    let mut is_stream = false;
    if stdio::follows() {
        let by = if op == op::SENDFILE || op == op::SPLICE { By::Pages } else { By::Bytes };
        is_stream = stdio::wrote(watch, fd, ret, by);
    }
    // What a runtime failed to write elsewhere says why its start failed.
    let is_failure_of_runtime = ret < 0 && watch.flags & (role::RUNTIME | role::ROOTFS) == role::RUNTIME;
    let is_start = watch.flags & (role::RUNTIME | role::PAYLOAD) != 0;
    if is_start && (is_standard(fd) || is_failure_of_runtime) {
        report(watch, op, fd, ret);
    }
    // Last, as it has the most ways through it, and the verifier goes through all of them for each way before it.
    if op == op::WRITE {
        text::written(watch, fd, ret, is_stream);
    } else if op == op::WRITEV {
        text::gathered(watch, fd, ret, is_stream);
    }
}

#[inline(always)]
fn is_standard(fd: u32) -> bool {
    fd == 1 || fd == 2
}

#[inline(always)]
fn report(watch: &mut Watch, op: u32, fd: u32, ret: i64) {
    let tgid = filter::current_tgid();
    let role = watch.flags;
    let init = watch.init;
    if !filter::take_output(watch, tgid) {
        return;
    }
    let task = current();
    let mut reader = Reader::new();
    let record = Output {
        header: NO_HEADER,
        syscall: syscall::ended(ret),
        fd,
        op,
        role,
        init,
        major_faults: reader.major_faults(task),
        read_bytes: reader.read_bytes(task),
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed());
}
