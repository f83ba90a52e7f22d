//! Operations on files that fail for want of room, or as the device failed or is read-only, of all processes; those that
//! are not permitted, of containers alone: others ask for what they may not have all day. A call that succeeds, or fails
//! otherwise, costs a comparison. What is alike is counted; one a second of it is told.
//!
//! Calls that other families hook are handed on by them: write and its kin, open, keyctl.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use observer_ebpf::{
    Family,
    control::shed,
    wire::{
        flag,
        storage::{Alike, Counted, EVERY_NS, Failed, MAX_ALIKE, MAX_KIND, op},
    },
};

use super::on_exit;
use crate::{
    emit::{self, Scratch, lose, now},
    files, filter,
    kernel::{self, Reader, offset},
    owner,
    shed::is_shed,
    syscall::{self, argument},
};

on_exit!(exit_pwrite_btf, exit_pwrite, op::PWRITE, to_first);
on_exit!(exit_copy_range_btf, exit_copy_range, op::COPY_RANGE, to_third);
on_exit!(exit_fallocate_btf, exit_fallocate, op::FALLOCATE, to_first);
on_exit!(exit_ftruncate_btf, exit_ftruncate, op::TRUNCATE, to_first);
on_exit!(exit_fsync_btf, exit_fsync, op::FSYNC, to_first);
on_exit!(exit_fdatasync_btf, exit_fdatasync, op::FDATASYNC, to_first);
on_exit!(exit_mkdir_btf, exit_mkdir, op::MKDIR, first_is_path);
on_exit!(exit_mkdirat_btf, exit_mkdirat, op::MKDIR, second_is_path);
on_exit!(exit_link_btf, exit_link, op::LINK, second_is_plain);
on_exit!(exit_linkat_btf, exit_linkat, op::LINK, fourth_is_path);
on_exit!(exit_rename_btf, exit_rename, op::RENAME, second_is_plain);
on_exit!(exit_renameat_btf, exit_renameat, op::RENAME, fourth_is_path);
on_exit!(exit_symlink_btf, exit_symlink, op::SYMLINK, second_is_plain);
on_exit!(exit_symlinkat_btf, exit_symlinkat, op::SYMLINK, third_is_path);
on_exit!(exit_inotify_btf, exit_inotify, op::INOTIFY, watched);
on_exit!(exit_add_key_btf, exit_add_key, op::ADD_KEY, key_added);

const EPERM: i64 = 1;
const EIO: i64 = 5;
const EACCES: i64 = 13;
const ENOSPC: i64 = 28;
const EROFS: i64 = 30;
const EDQUOT: i64 = 122;

const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;
const S_IFDIR: u16 = 0o040_000;

const AT_FDCWD: i32 = -100;

/// Non-zero: failures are counted. Set before the programs are loaded, so that the verifier takes out what is not
/// wanted of programs that other families share.
#[unsafe(no_mangle)]
static STORAGE: u32 = 0;

/// By what is alike. User space takes out what has not failed for a while.
#[map]
static FAILED: HashMap<Alike, Counted> = HashMap::with_max_entries(MAX_ALIKE, 0);

const FIXED: usize = size_of::<Failed>();

/// Whether a call failed with what is counted here. It wrote nothing, then.
#[inline(always)]
pub fn is_wanted(ret: i64) -> bool {
    // SAFETY: a static of this program. Volatile: the loader rewrites it after compilation.
    let counts = unsafe { core::ptr::read_volatile(&raw const STORAGE) != 0 };
    let lacks_room = ret == -ENOSPC || ret == -EDQUOT || ret == -EIO || ret == -EROFS;
    counts && (lacks_room || (is_denied(ret) && is_contained())) && !is_shed(shed::STORAGE)
}

#[inline(always)]
fn is_denied(ret: i64) -> bool {
    ret == -EACCES || ret == -EPERM
}

/// Whether the caller is in a container that is followed.
#[inline(always)]
fn is_contained() -> bool {
    filter::lookup(filter::current_tgid()).is_some_and(|watch| watch.init != 0)
}

/// A call returned that allocates room for its first argument, a descriptor, or writes it to its device.
#[inline(always)]
pub fn to_first(op: u32, ret: i64) {
    if is_wanted(ret) {
        let asked = match op {
            op::WRITE | op::PWRITE => argument!(regs_arg2),
            op::FALLOCATE | op::SENDFILE => argument!(regs_arg3),
            op::TRUNCATE => argument!(regs_arg1),
            _ => 0,
        };
        of_descriptor(op, argument!(regs_arg0) as u32, asked, ret);
    }
}

/// The same, of one that writes to its third argument.
#[inline(always)]
pub fn to_third(op: u32, ret: i64) {
    if is_wanted(ret) {
        of_descriptor(op, argument!(regs_arg2) as u32, 0, ret);
    }
}

/// An open, whose path is its second argument, or else its first.
#[inline(always)]
pub fn opened(second: bool, ret: i64) {
    if second { second_is_path(op::OPEN, ret) } else { first_is_path(op::OPEN, ret) }
}

#[inline(always)]
fn first_is_path(op: u32, ret: i64) {
    if is_wanted(ret) {
        of_path(op, AT_FDCWD, argument!(regs_arg0), ret);
    }
}

/// Without a descriptor before it.
#[inline(always)]
fn second_is_plain(op: u32, ret: i64) {
    if is_wanted(ret) {
        of_path(op, AT_FDCWD, argument!(regs_arg1), ret);
    }
}

#[inline(always)]
fn second_is_path(op: u32, ret: i64) {
    if is_wanted(ret) {
        of_path(op, argument!(regs_arg0) as i32, argument!(regs_arg1), ret);
    }
}

#[inline(always)]
fn third_is_path(op: u32, ret: i64) {
    if is_wanted(ret) {
        of_path(op, argument!(regs_arg1) as i32, argument!(regs_arg2), ret);
    }
}

#[inline(always)]
fn fourth_is_path(op: u32, ret: i64) {
    if is_wanted(ret) {
        of_path(op, argument!(regs_arg2) as i32, argument!(regs_arg3), ret);
    }
}

/// `inotify_add_watch(fd, path, mask)`: its room is not the disk's.
#[inline(always)]
fn watched(op: u32, ret: i64) {
    if is_wanted(ret) && ret == -ENOSPC {
        of_path(op, AT_FDCWD, argument!(regs_arg1), ret);
    }
}

/// `add_key(kind, ..)`.
#[inline(always)]
fn key_added(op: u32, ret: i64) {
    if is_wanted(ret) && ret == -EDQUOT {
        of_path(op, AT_FDCWD, argument!(regs_arg0), ret);
    }
}

/// Runtimes give each container a keyring of its own by it.
#[inline(always)]
pub fn keyctl(ret: i64) {
    if is_wanted(ret) && ret == -EDQUOT {
        let Some(scratch) = emit::scratch() else { return };
        hand_over(scratch, &Place::NONE, op::KEYCTL, ret, (0, 0));
    }
}

/// Where a call failed, as far as the kernel's own structures say it.
struct Place {
    device: u32,
    kind: [u8; MAX_KIND],
    fd: i32,
    asked: u64,
}

impl Place {
    const NONE: Place = Place { device: 0, kind: [0; MAX_KIND], fd: AT_FDCWD, asked: 0 };

    /// Of a superblock, 0 for none.
    #[inline(always)]
    fn of(sb: u64, fd: i32, asked: u64) -> Place {
        if sb == 0 {
            return Place { fd, asked, ..Place::NONE };
        }
        // What cannot be read is as good as not known.
        let mut reader = Reader::new();
        let kind: u64 = reader.at(sb, offset!(sb_kind));
        let name: u64 = reader.at(kind, offset!(sb_kind_name));
        Place { device: reader.at(sb, offset!(sb_device)), kind: reader.at(name, 0), fd, asked }
    }
}

#[inline(always)]
fn of_descriptor(op: u32, fd: u32, asked: u64, ret: i64) {
    let mut reader = Reader::new();
    let file = files::file_of(fd, &mut reader);
    if file == 0 {
        return;
    }
    let inode: u64 = reader.at(file, offset!(file_inode));
    let mode: u16 = reader.at(inode, offset!(inode_mode));
    // Devices (/dev/full is one), pipes and sockets are of no file system.
    if reader.failed() || (mode & S_IFMT != S_IFREG && mode & S_IFMT != S_IFDIR) {
        return;
    }
    let place = Place::of(reader.at(inode, offset!(inode_sb)), fd as i32, asked);
    let Some(scratch) = emit::scratch() else { return };
    let text = files::name_of::<FIXED>(scratch, file, &mut reader);
    hand_over(scratch, &place, op, ret, text);
}

#[inline(always)]
fn of_path(op: u32, from: i32, path: u64, ret: i64) {
    let Some(scratch) = emit::scratch() else { return };
    let text = syscall::read_path::<FIXED>(scratch, path);
    let is_relative = text.0 > 0 && scratch.bytes[FIXED] != b'/';
    let sb = if is_relative && op < op::ADD_KEY { base_of(from) } else { 0 };
    let place = Place::of(sb, from, 0);
    hand_over(scratch, &place, op, ret, text);
}

/// The superblock of the directory at which a relative path begins.
#[inline(always)]
fn base_of(from: i32) -> u64 {
    let mut reader = Reader::new();
    let dentry: u64 = if from == AT_FDCWD {
        let fs: u64 = reader.at(kernel::current(), offset!(task_fs));
        reader.at(fs, offset!(fs_working))
    } else {
        let file = files::file_of(from as u32, &mut reader);
        reader.at(file, offset!(file_dentry))
    };
    reader.at(dentry, offset!(dentry_sb))
}

/// Counts the failure, and tells it if none alike was told a moment ago.
#[inline(always)]
fn hand_over(scratch: &mut Scratch, place: &Place, op: u32, ret: i64, (len, flags): (usize, u16)) {
    let tgid = filter::current_tgid();
    let init = filter::lookup(tgid).map_or(0, |watch| watch.init);
    let who = if init == 0 { tgid } else { init };
    let alike = Alike { who, op: op as u16, errno: -ret as u16, device: place.device };
    let count = count(&alike);
    if count == 0 {
        return;
    }
    let record = scratch.record::<Failed>();
    record.caller = owner::current();
    record.count = count;
    record.asked = place.asked;
    record.errno = -ret as u32;
    record.op = op;
    record.device = place.device;
    record.fd = place.fd;
    record.kind = place.kind;
    record.who = who;
    record.parent = Reader::new().parent_tgid(kernel::current());
    record.text_len = len as u32;
    record.pad = 0;
    let unreadable = if record.caller.tgid == 0 { flag::UNREADABLE } else { 0 };
    emit::emit_packet::<Failed>(scratch, (tgid, bpf_get_current_pid_tgid() as u32), len, flags | unreadable);
}

/// How many alike are to be told now; 0: none.
#[inline(always)]
fn count(alike: &Alike) -> u64 {
    let time = now();
    let Some(counted) = FAILED.get_ptr_mut(alike) else {
        let first = Counted { count: 1, told: 1, told_ns: time, last_ns: time };
        if FAILED.insert(alike, &first, u64::from(BPF_NOEXIST)).is_err() {
            lose(Family::Storage as u16);
            return 0;
        }
        return 1;
    };
    // SAFETY: map values outlive the program run. Several CPUs count at once: what is added up is added atomically, and
    // which of them tells it does not matter.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*counted).count, 1);
        (*counted).last_ns = time;
        if time.wrapping_sub((*counted).told_ns) < EVERY_NS {
            return 0;
        }
        (*counted).told_ns = time;
        let count = (*counted).count;
        let since = count.wrapping_sub((*counted).told);
        (*counted).told = count;
        since
    }
}
