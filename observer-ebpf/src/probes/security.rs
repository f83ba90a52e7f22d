//! What confines a process: seccomp, prctl, capset, user and group ids.

use observer_ebpf::wire::{
    Syscall,
    security::{Security, op},
};

use super::{NO_HEADER, on_return};
use crate::{emit, filter, syscall::InFlight};

on_return!(exit_seccomp, op::SECCOMP, returned);
on_return!(exit_prctl, op::PRCTL, returned);
on_return!(exit_capset, op::CAPSET, returned);
on_return!(exit_setresuid, op::SETRESUID, returned);
on_return!(exit_setresgid, op::SETRESGID, returned);
on_return!(exit_setgroups, op::SETGROUPS, returned);
on_return!(exit_keyctl, op::KEYCTL, returned);

#[inline(always)]
fn returned(op: u32, entry: &InFlight, syscall: Syscall) {
    let Some(watch) = filter::lookup(filter::current_tgid()) else { return };
    let record = Security { header: NO_HEADER, syscall, arg: entry.args[0], op, role: watch.flags };
    emit::emit(record, false);
}
