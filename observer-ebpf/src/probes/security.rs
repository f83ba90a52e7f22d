//! What confines a process: seccomp, prctl, capset, user and group ids.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use observer_ebpf::{
    control::role,
    wire::{
        Syscall,
        security::{Security, op, pr},
    },
};

use super::{NO_HEADER, on_return};
use crate::{
    emit, filter,
    syscall::{self, InFlight},
};

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

/// Entry of prctl: a runtime asks for and drops each capability by a call of its own; only the calls that
/// bracket them are kept.
#[tracepoint]
pub fn enter_prctl(ctx: TracePointContext) -> u32 {
    // SAFETY: the first argument of sys_enter_prctl, `option`.
    let option = unsafe { ctx.read_at::<u64>(syscall::ENTER_ARGS) }.unwrap_or(0);
    if option == pr::SET_KEEPCAPS || option == pr::SET_SECCOMP || option == pr::SET_NO_NEW_PRIVS {
        syscall::keep(&ctx, role::RUNTIME);
    }
    0
}
