//! The mount family, the change of root, and the directories made on the way.

use observer_ebpf::{
    control::role,
    wire::mount::{Mount, op},
};

use super::{NO_HEADER, on_exit, stdio};
use crate::{
    emit, filter,
    syscall::{self, argument},
};

on_exit!(exit_mount_btf, exit_mount, op::MOUNT, returned);
on_exit!(exit_umount_btf, exit_umount, op::UMOUNT, returned);
on_exit!(exit_pivot_root_btf, exit_pivot_root, op::PIVOT_ROOT, returned);
on_exit!(exit_chroot_btf, exit_chroot, op::CHROOT, returned);
on_exit!(exit_open_tree_btf, exit_open_tree, op::OPEN_TREE, returned);
on_exit!(exit_move_mount_btf, exit_move_mount, op::MOVE_MOUNT, returned);
on_exit!(exit_fsopen_btf, exit_fsopen, op::FSOPEN, returned);
on_exit!(exit_fsconfig_btf, exit_fsconfig, op::FSCONFIG, returned);
on_exit!(exit_fsmount_btf, exit_fsmount, op::FSMOUNT, returned);
on_exit!(exit_mount_setattr_btf, exit_mount_setattr, op::MOUNT_SETATTR, returned);

#[inline(always)]
fn returned(op: u32, ret: i64) {
    let tgid = filter::current_tgid();
    // Engines mount to keep a network namespace, nothing else of theirs is of interest.
    let roles = if op == op::MOUNT {
        role::RUNTIME | role::ENGINE | role::SHIM | role::HELPER
    } else {
        role::RUNTIME
    };
    let Some(watch) = filter::current(roles) else { return };
    let changes_root = op == op::PIVOT_ROOT || op == op::CHROOT;
    if changes_root && ret == 0 && watch.flags & role::RUNTIME != 0 {
        watch.flags |= role::ROOTFS;
        watch.init = tgid;
    }
    let Some(scratch) = emit::scratch() else { return };
    const FIXED: usize = size_of::<Mount>();
    // An engine's mounts name the network namespace that they pin; a failed one names what is wrong.
    let wants_target = op == op::MOUNT && (watch.flags & role::RUNTIME == 0 || ret < 0);
    let (target_len, flags) =
        if wants_target { syscall::read_path::<FIXED>(scratch, argument!(regs_arg1)) } else { (0, 0) };
    let syscall = syscall::ended(ret);
    let record =
        Mount { header: NO_HEADER, syscall, op, role: watch.flags, target_len: target_len as u32, pad: 0 };
    emit::emit_text(scratch, record, target_len, flags);
    if changes_root && ret == 0 && watch.init == tgid {
        stdio::register(tgid, watch.flags);
    }
}
