//! What confines a process: seccomp, prctl, capset, user and group ids, resource limits.

use observer_ebpf::{
    control::role,
    wire::security::{Security, op, pr},
};

use super::{NO_HEADER, on_exit, storage};
use crate::{
    emit, filter,
    syscall::{self, argument},
};

on_exit!(exit_seccomp_btf, exit_seccomp, op::SECCOMP, returned);
on_exit!(exit_prctl_btf, exit_prctl, op::PRCTL, returned);
on_exit!(exit_capset_btf, exit_capset, op::CAPSET, returned);
on_exit!(exit_setresuid_btf, exit_setresuid, op::SETRESUID, returned);
on_exit!(exit_setresgid_btf, exit_setresgid, op::SETRESGID, returned);
on_exit!(exit_setgroups_btf, exit_setgroups, op::SETGROUPS, returned);
on_exit!(exit_keyctl_btf, exit_keyctl, op::KEYCTL, returned);
on_exit!(exit_prlimit_btf, exit_prlimit, (), limited);

#[inline(always)]
fn returned(op: u32, ret: i64) {
    if op == op::KEYCTL {
        storage::keyctl(ret);
    }
    let arg = argument!(regs_arg0);
    // A runtime asks for and drops each capability by a prctl of its own; only the calls that bracket them
    // are kept.
    let brackets = arg == pr::SET_KEEPCAPS || arg == pr::SET_SECCOMP || arg == pr::SET_NO_NEW_PRIVS;
    if op == op::PRCTL && !brackets {
        return;
    }
    let Some(watch) = filter::current(role::RUNTIME) else { return };
    tell(watch.flags, op, arg, ret);
}

/// Limits are asked for and set all the time, also by what runtimes are made of: only what cannot be set says something.
#[inline(always)]
fn limited(_: (), ret: i64) {
    if ret >= 0 || argument!(regs_arg2) == 0 {
        return;
    }
    if let Some(watch) = filter::current(role::RUNTIME) {
        tell(watch.flags, op::PRLIMIT, argument!(regs_arg1), ret);
    }
}

#[inline(always)]
fn tell(role: u32, op: u32, arg: u64, ret: i64) {
    let record = Security { header: NO_HEADER, syscall: syscall::ended(ret), arg, op, role };
    emit::emit(record, false);
}
