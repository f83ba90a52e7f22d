//! New namespaces: clone, clone3, unshare, setns.

use aya_ebpf::helpers::bpf_probe_read_user;
use observer_ebpf::{
    control::role,
    wire::{
        Syscall,
        namespace::{Namespace, op},
    },
};

use super::{NO_HEADER, on_return};
use crate::{emit, filter, syscall::argument};

on_return!(exit_clone, op::CLONE, returned);
on_return!(exit_clone3, op::CLONE3, returned);
on_return!(exit_unshare, op::UNSHARE, returned);
on_return!(exit_setns, op::SETNS, returned);
on_return!(exit_sethostname, op::SETHOSTNAME, returned);

/// Every CLONE_NEW* flag: time, mount, cgroup, uts, ipc, user, pid, net.
const NEW_NAMESPACES: u64 = 0x7E02_0080;

#[inline(always)]
fn returned(op: u32, syscall: Syscall) {
    let Some(watch) = filter::lookup(filter::current_tgid()) else { return };
    let mut unreadable = false;
    let flags = match op {
        op::CLONE | op::UNSHARE => argument!(regs_arg0),
        op::SETNS => argument!(regs_arg1),
        // `struct clone_args` begins with its flags.
        op::CLONE3 => {
            let arguments = argument!(regs_arg0) as *const u64;
            // SAFETY: the helper checks the address itself.
            let flags = unsafe { bpf_probe_read_user(arguments) };
            unreadable = flags.is_err();
            flags.unwrap_or(0)
        }
        _ => 0,
    };
    let makes_one = op == op::SETNS || op == op::SETHOSTNAME || flags & NEW_NAMESPACES != 0;
    // A child returns from clone, too; the parent speaks for both. Engines clone and enter all the time.
    let is_child = (op == op::CLONE || op == op::CLONE3) && syscall.ret == 0;
    if is_child || (!makes_one && syscall.ret >= 0 && !unreadable) {
        return;
    }
    if watch.flags & role::RUNTIME == 0 && op == op::SETNS {
        return;
    }
    emit::emit(Namespace { header: NO_HEADER, syscall, flags, op, role: watch.flags }, unreadable);
}
