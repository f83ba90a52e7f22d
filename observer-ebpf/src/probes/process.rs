//! Fork, exec and its failure, exit, rename.

use aya_ebpf::helpers::{
    bpf_probe_read_kernel_str_bytes,
    generated::{bpf_probe_read_kernel_str, bpf_probe_read_user},
};
use observer_ebpf::{
    control::{COMM_LEN, Watch, role},
    wire::{
        Syscall, flag,
        process::{Exec, ExecFailed, Exit, Fork, OomVictim, Rename},
    },
};

use super::{NO_HEADER, arg, fault, on_return, raw_rungs, stdio, text};
use crate::{
    emit::{self, Delivery},
    filter,
    kernel::{Reader, current, offset},
    syscall::{self, argument},
};

raw_rungs!(fork_btf, fork_raw, "sched_process_fork", fork);
raw_rungs!(exec_btf, exec_raw, "sched_process_exec", exec);
raw_rungs!(exit_btf, exit_raw, "sched_process_exit", exit);
raw_rungs!(rename_btf, rename_raw, "task_rename", rename);
raw_rungs!(oom_task_btf, oom_task_raw, "mark_victim", oom_task);
raw_rungs!(oom_pid_btf, oom_pid_raw, "mark_victim", oom_pid);
on_return!(exit_execve, 0, exec_failed);
on_return!(exit_execveat, 1, exec_failed);

const MAX_PATH: usize = 256;
const MAX_ARGV: usize = 768;
const MAX_ENVIRON: usize = 4096;

/// `sched_process_fork(parent, child)`, in the parent.
#[inline(always)]
fn fork(args: *const u64) {
    let Some(parent) = filter::lookup(filter::current_tgid()) else { return };
    let child = arg(args, 1);
    let mut reader = Reader::new();
    let tid: u32 = reader.at(child, offset!(task_pid));
    let tgid = reader.tgid(child);
    if tid != tgid {
        return; // a thread
    }
    let Some(watch) = filter::inherited(parent) else { return };
    filter::watch_new(tgid, &watch);
    if watch.flags & role::PAYLOAD != 0 || watch.flags == role::READER {
        return;
    }
    let record = Fork {
        header: NO_HEADER,
        child: tgid,
        role: watch.flags,
        start_ns: reader.start_ns(child),
        cgroup: reader.cgroup(child),
    };
    emit::emit(record, reader.failed());
}

/// `sched_process_exec(task, old_pid, bprm)`, in the new program.
#[inline(always)]
fn exec(args: *const u64) {
    let task = arg(args, 0);
    let mut reader = Reader::new();
    let comm = reader.comm(task);
    let tgid = filter::current_tgid();
    let named = filter::role_of_name(&comm);
    let before = filter::lookup(tgid).map(|watch| *watch);
    if named == 0 && before.is_none() {
        return;
    }
    let before = before.unwrap_or_default();
    if named == 0 && before.flags == role::READER {
        return;
    }
    let flags = role_after_exec(named, before.flags) | before.flags & role::READER;
    if flags & role::PAYLOAD != 0 && before.flags & role::PAYLOAD != 0 && before.init != tgid {
        stdio::note_32_bit(tgid, task); // something the payload runs
        return;
    }
    let init = if flags & role::PAYLOAD != 0 && before.init == 0 { tgid } else { before.init };
    let filename: u64 = reader.at(arg(args, 2), offset!(bprm_filename));
    let flags = if named & role::SHIM != 0 { flags | self_runtime(filename) } else { flags };
    filter::watch(tgid, &Watch { flags, init, outputs: 0, pad: 0 });
    if init == tgid {
        // What it makes of them once it runs is not what it was given.
        if before.flags & role::PAYLOAD == 0 {
            stdio::register(init, flags);
        }
        stdio::note_32_bit(tgid, task);
    }
    syscall::renamed(tgid, arg(args, 1) as u32);
    // The bundle of a new runtime is read at once; one that executes itself again has the same.
    let is_new_runtime = flags & role::RUNTIME != 0 && before.flags & role::RUNTIME == 0;
    let by_unknown = is_new_runtime && before.flags & (role::SHIM | role::HELPER) == 0;
    let flags = if by_unknown && stdio::expect() { flags | role::EXPECTS } else { flags };
    let delivery = if is_new_runtime { Delivery::AtOnce } else { Delivery::WithOthers };
    emit_exec(filename, task, flags, comm, reader, delivery);
}

/// Shims of Wasm engines execute no runtime: they are one. `task->comm` is too short to tell them, so the
/// file name is searched for what follows `containerd-shim-`.
#[inline(always)]
fn self_runtime(filename: u64) -> u32 {
    const MARK: [u8; 5] = *b"shim-";
    let Some(scratch) = emit::scratch() else { return 0 };
    let name = &mut scratch.bytes[..MAX_PATH];
    // SAFETY: the helper checks the address itself.
    if unsafe { bpf_probe_read_kernel_str_bytes(filename as *const u8, name) }.is_err() {
        return 0;
    }
    for at in 0..MAX_PATH - 2 * MARK.len() {
        let found = name[at] == MARK[0]
            && name[at + 1] == MARK[1]
            && name[at + 2] == MARK[2]
            && name[at + 3] == MARK[3]
            && name[at + 4] == MARK[4];
        if found {
            let (first, second) = (name[at + 5], name[at + 6]);
            let wasm = first == b'w' && second == b'a' || first == b's' && second == b'p';
            return if wasm { role::RUNTIME } else { 0 };
        }
    }
    0
}

/// A name decides, except that a runtime that has changed its root now runs its payload, whatever its name.
#[inline(always)]
fn role_after_exec(named: u32, before: u32) -> u32 {
    if before & (role::ROOTFS | role::PAYLOAD) != 0 {
        return role::PAYLOAD;
    }
    if named != 0 {
        return named;
    }
    before
}

#[inline(always)]
fn emit_exec(
    filename: u64,
    task: u64,
    flags: u32,
    comm: [u8; COMM_LEN],
    mut reader: Reader,
    delivery: Delivery,
) {
    const FIXED: usize = size_of::<Exec>();
    let Some(scratch) = emit::scratch() else { return };
    let mm: u64 = reader.at(task, offset!(task_mm));
    let text = scratch.bytes.as_mut_ptr();

    // SAFETY: FIXED + MAX_PATH is within the scratch buffer; the helper checks the source.
    let copied =
        unsafe { bpf_probe_read_kernel_str(text.add(FIXED).cast(), MAX_PATH as u32, filename as *const _) };
    if copied <= 0 {
        reader.fail();
    }
    let filename_len = if copied > 0 { (copied as usize - 1) & (MAX_PATH - 1) } else { 0 };

    // Arguments are captured for these only, and reduced in user space.
    let mut argv_len = 0;
    if flags & (role::ENGINE | role::SHIM | role::RUNTIME | role::SPEAKER) != 0 {
        let start: u64 = reader.at(mm, offset!(mm_arg_start));
        let end: u64 = reader.at(mm, offset!(mm_arg_end));
        argv_len =
            copy_user(text, FIXED + filename_len, start, end.wrapping_sub(start), MAX_ARGV, &mut reader);
    }

    // A CNI plugin is told what to do in its environment, in no particular order.
    let mut environ_len = 0;
    if flags & role::HELPER != 0 {
        let start: u64 = reader.at(mm, offset!(mm_env_start));
        let end: u64 = reader.at(mm, offset!(mm_env_end));
        let len = end.wrapping_sub(start);
        environ_len = copy_user(text, FIXED + filename_len + argv_len, start, len, MAX_ENVIRON, &mut reader);
    }

    let record = Exec {
        header: NO_HEADER,
        ppid: reader.parent_tgid(task),
        role: flags,
        start_ns: reader.start_ns(task),
        cgroup: reader.cgroup(task),
        major_faults: reader.major_faults(task),
        read_bytes: reader.read_bytes(task),
        comm,
        filename_len: filename_len as u16,
        argv_len: argv_len as u16,
        environ_len: environ_len as u16,
        pad: 0,
    };
    let unreadable = if reader.failed() { flag::UNREADABLE } else { 0 };
    emit::deliver_text(scratch, record, filename_len + argv_len + environ_len, unreadable, delivery);
}

/// Copies up to `max` bytes of user memory to `text + at`; gives how many.
#[inline(always)]
fn copy_user(text: *mut u8, at: usize, start: u64, len: u64, max: usize, reader: &mut Reader) -> usize {
    let len = if len > max as u64 { max } else { len as usize };
    if len == 0 || at > size_of::<Exec>() + MAX_PATH + MAX_ARGV {
        return 0;
    }
    // SAFETY: `at` and `len` were bounded above so that the copy ends within the scratch buffer.
    let result = unsafe { bpf_probe_read_user(text.add(at).cast(), len as u32, start as *const _) };
    if result != 0 {
        reader.fail();
        return 0;
    }
    len
}

/// A failed exec's name is read at exit: the caller's page is certainly there by now.
#[inline(always)]
fn exec_failed(is_execveat: usize, syscall: Syscall) {
    if syscall.ret >= 0 {
        return;
    }
    let Some(watch) = filter::lookup(filter::current_tgid()) else { return };
    let Some(scratch) = emit::scratch() else { return };
    const FIXED: usize = size_of::<ExecFailed>();
    let pointer = if is_execveat == 1 { argument!(regs_arg1) } else { argument!(regs_arg0) };
    let (path_len, flags) = syscall::read_path::<FIXED>(scratch, pointer);
    let record = ExecFailed { header: NO_HEADER, syscall, role: watch.flags, path_len: path_len as u32 };
    emit::emit_text(scratch, record, path_len, flags);
}

/// `sched_process_exit(task, ..)`, in every thread; the process has ended when none is live.
#[inline(always)]
fn exit(args: *const u64) {
    syscall::abandon();
    let tgid = filter::current_tgid();
    let Some(watch) = filter::lookup(tgid) else { return };
    let Watch { flags, init, .. } = *watch;
    let task = arg(args, 0);
    let mut reader = Reader::new();
    let signal: u64 = reader.at(task, offset!(task_signal));
    let live: i32 = reader.at(signal, offset!(signal_live));
    if live > 0 {
        return;
    }
    text::ended();
    filter::forget(tgid);
    if flags == role::READER {
        return;
    }
    if init == tgid {
        stdio::close(init, flags);
        fault::container_ended(tgid, flags);
    } else if flags & role::RUNTIME != 0 {
        stdio::expect_no_more();
    }
    if flags & role::PAYLOAD != 0 && init != tgid {
        return;
    }
    let record = Exit {
        header: NO_HEADER,
        role: flags,
        exit_code: reader.at(task, offset!(task_exit_code)),
        start_ns: reader.start_ns(task),
        cgroup: reader.cgroup(task),
        major_faults: reader.major_faults(task),
        read_bytes: reader.read_bytes(task),
    };
    emit::emit(record, reader.failed());
}

/// `task_rename(task, comm)`: how a Wasm payload begins in crun (`prctl(PR_SET_NAME)`).
#[inline(always)]
fn rename(args: *const u64) {
    let Some(watch) = filter::current(role::RUNTIME) else { return };
    if watch.init == filter::current_tgid() {
        stdio::register(watch.init, watch.flags);
    }
    // exec renames, too, and reports itself.
    if arg(args, 0) != current() {
        return;
    }
    let mut reader = Reader::new();
    let record = Rename { header: NO_HEADER, role: watch.flags, pad: 0, comm: reader.at(arg(args, 1), 0) };
    emit::emit(record, reader.failed());
}

/// `mark_victim(task, ..)`, as newer kernels have it.
#[inline(always)]
fn oom_task(args: *const u64) {
    let mut reader = Reader::new();
    let victim = reader.tgid(arg(args, 0));
    oom(victim, reader.failed());
}

/// `mark_victim(pid)`, as older kernels have it.
#[inline(always)]
fn oom_pid(args: *const u64) {
    oom(arg(args, 0) as u32, false);
}

#[inline(always)]
fn oom(victim: u32, unreadable: bool) {
    let Some(watch) = filter::lookup(victim) else { return };
    emit::emit(OomVictim { header: NO_HEADER, victim, role: watch.flags }, unreadable);
}
