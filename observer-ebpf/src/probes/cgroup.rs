//! Control groups: made, and entered by a process.

use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use observer_ebpf::{
    control::role,
    wire::{
        cgroup::{Attach, Mkdir},
        flag,
    },
};

use super::{NO_HEADER, arg, raw_rungs};
use crate::{
    emit::{self, Scratch},
    filter,
    kernel::{Reader, offset},
};

raw_rungs!(cgroup_mkdir_btf, cgroup_mkdir_raw, "cgroup_mkdir", mkdir);
raw_rungs!(cgroup_attach_btf, cgroup_attach_raw, "cgroup_attach_task", attach);

const PATH: usize = 256;

/// `cgroup_mkdir(cgrp, path)`, in the process that makes it.
#[inline(always)]
fn mkdir(args: *const u64) {
    if filter::current(role::RUNTIME | role::SHIM | role::ENGINE | role::HELPER).is_none() {
        return;
    }
    let Some(scratch) = emit::scratch() else { return };
    let (path_len, mut flags) = read_path::<{ size_of::<Mkdir>() }>(scratch, arg(args, 1));
    let mut reader = Reader::new();
    let record = Mkdir {
        header: NO_HEADER,
        id: reader.cgroup_id(arg(args, 0)),
        hierarchy: hierarchy(&mut reader, arg(args, 0)),
        path_len: path_len as u32,
    };
    if reader.failed() {
        flags |= flag::UNREADABLE;
    }
    emit::emit_text(scratch, record, path_len, flags);
}

/// `cgroup_attach_task(dst_cgrp, path, task, threadgroup)`, in the process that writes `cgroup.procs`.
#[inline(always)]
fn attach(args: *const u64) {
    let Some(watch) = filter::current(role::RUNTIME | role::SHIM | role::ENGINE | role::HELPER) else {
        return;
    };
    let Some(scratch) = emit::scratch() else { return };
    let (path_len, mut flags) = read_path::<{ size_of::<Attach>() }>(scratch, arg(args, 1));
    let mut reader = Reader::new();
    let record = Attach {
        header: NO_HEADER,
        id: reader.cgroup_id(arg(args, 0)),
        hierarchy: hierarchy(&mut reader, arg(args, 0)),
        target: reader.tgid(arg(args, 2)),
        role: watch.flags,
        path_len: path_len as u32,
    };
    if reader.failed() {
        flags |= flag::UNREADABLE;
    }
    emit::emit_text(scratch, record, path_len, flags);
}

/// The hierarchy's id (1 is the unified one), as in /proc/PID/cgroup.
#[inline(always)]
fn hierarchy(reader: &mut Reader, cgroup: u64) -> u32 {
    let root: u64 = reader.at(cgroup, offset!(cgroup_root));
    reader.at(root, offset!(cgroup_root_hierarchy_id))
}

#[inline(always)]
fn read_path<const AT: usize>(scratch: &mut Scratch, pointer: u64) -> (usize, u16) {
    // SAFETY: the helper checks the address itself.
    match unsafe { bpf_probe_read_kernel_str_bytes(pointer as *const u8, &mut scratch.bytes[AT..AT + PATH]) }
    {
        Ok(path) if path.len() == PATH - 1 => (path.len(), flag::TRUNCATED),
        Ok(path) => (path.len(), 0),
        Err(_) => (0, flag::UNREADABLE),
    }
}
