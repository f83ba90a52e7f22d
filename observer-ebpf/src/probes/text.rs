//! What watched containers and components of the node write to their standard streams: the beginning of each write,
//! for as many writes of a process as its budget allows. It is read when the call returns: what was written is there.
//!
//! The hooks are those of `output` and `stdio`. Which lines are of interest is decided in user space.

use aya_ebpf::{helpers::generated::bpf_probe_read_user, macros::map, maps::LruHashMap};
use observer_ebpf::{
    Family,
    control::{BUDGET_NS, MAX_COMPONENT_TEXTS, MAX_TEXTS, Watch, role, shed},
    wire::{
        flag,
        text::{Ended, MAX_BUFFERS, MAX_COMPONENT_PIECE, MAX_PIECE, Piece, Skipped},
    },
};

use super::NO_HEADER;
use crate::{
    emit::{self, lose, now},
    files, filter,
    kernel::Reader,
    owner,
    shed::is_shed,
    syscall::argument,
};

/// Non-zero: text is read. Set before the programs are loaded, so that the verifier takes out what is not wanted.
#[unsafe(no_mangle)]
static TEXT: u32 = 0;

/// What a process has written of late.
#[repr(C)]
#[derive(Clone, Copy)]
struct Written {
    /// When the time began in which `writes` are counted.
    since_ns: u64,
    /// Writes that were not handed over and of which user space does not know.
    skipped: u64,
    writes: u32,
    /// Something that was handed over ended in the middle of a line: 1.
    was_open: u32,
}

/// By process. Entries go when it ends; if there is no room, that of the process that was silent longest.
#[map]
static TEXTS: LruHashMap<u32, Written> = LruHashMap::with_max_entries(16_384, 0);

#[inline(always)]
pub fn is_read() -> bool {
    // SAFETY: a static of this program. Volatile: the loader rewrites it after compilation.
    unsafe { core::ptr::read_volatile(&raw const TEXT) != 0 }
}

/// The roles of components that write no more than text.
#[inline(always)]
pub fn components() -> u32 {
    if is_read() { role::ENGINE | role::SHIM | role::CALLER | role::SPEAKER } else { 0 }
}

/// One buffer of a write.
struct Buffer {
    at: u64,
    len: u64,
    /// Bytes of the write behind it.
    behind: u64,
}

/// `write(fd, buffer, ..)` returned. `is_stream`: to a stream of the caller's container.
#[inline(always)]
pub fn written(watch: &Watch, fd: u32, ret: i64, is_stream: bool) {
    if is_text(watch, fd, ret, is_stream) && take(watch) {
        let buffer = Buffer { at: argument!(regs_arg1), len: ret as u64, behind: 0 };
        hand_over(watch, fd, &buffer);
    }
}

/// `writev(fd, vector, count)` or one of its kin returned.
#[inline(always)]
pub fn gathered(watch: &Watch, fd: u32, ret: i64, is_stream: bool) {
    if !is_text(watch, fd, ret, is_stream) || !take(watch) {
        return;
    }
    let (vector, count) = (argument!(regs_arg1), argument!(regs_arg2));
    let mut left = ret as u64;
    for n in 0..MAX_BUFFERS {
        if u64::from(n) >= count || left == 0 {
            return;
        }
        let mut entry = [0u64; 2];
        let from = vector.wrapping_add(u64::from(n) * size_of::<[u64; 2]>() as u64);
        // SAFETY: `entry` has room; the helper checks the address, and leaves zeros where it fails.
        let copied = unsafe {
            bpf_probe_read_user((&raw mut entry).cast(), size_of::<[u64; 2]>() as u32, from as *const _)
        };
        let len = if entry[1] < left { entry[1] } else { left };
        left -= len;
        if copied != 0 {
            // Nothing is at address 0: told as what could not be read.
            hand_over(watch, fd, &Buffer { at: 0, len: left, behind: 0 });
            return;
        }
        if len > 0 {
            let behind = if n + 1 == MAX_BUFFERS { left } else { 0 };
            hand_over(watch, fd, &Buffer { at: entry[0], len, behind });
        }
    }
}

/// Containers are known by the objects that they were given, whatever descriptor refers to them; components by their
/// descriptors.
#[inline(always)]
fn is_text(watch: &Watch, fd: u32, ret: i64, is_stream: bool) -> bool {
    if !is_read() || ret <= 0 || watch.flags & role::QUIET != 0 {
        return false;
    }
    (is_stream || watch.init == 0 && (fd == 1 || fd == 2)) && !is_shed(shed::TEXT)
}

/// Whether one more write of the current process is to be handed over.
#[inline(always)]
fn take(watch: &Watch) -> bool {
    let tgid = filter::current_tgid();
    let now = now();
    let mut pointer = TEXTS.get_ptr_mut(tgid);
    if pointer.is_none() {
        let fresh = Written { since_ns: now, skipped: 0, writes: 0, was_open: 0 };
        if TEXTS.insert(tgid, fresh, 0).is_err() {
            lose(Family::Text as u16);
        }
        pointer = TEXTS.get_ptr_mut(tgid);
    }
    let Some(pointer) = pointer else { return false };
    // SAFETY: map values outlive the program run; threads of a process count at once, as well as it has to be.
    let written = unsafe { &mut *pointer };
    if now.wrapping_sub(written.since_ns) >= BUDGET_NS {
        written.since_ns = now;
        written.writes = 0;
        tell_skipped(written);
    }
    let most = if watch.init == 0 { MAX_COMPONENT_TEXTS } else { MAX_TEXTS };
    if written.writes < most {
        written.writes += 1;
        return true;
    }
    written.skipped += 1;
    if written.writes == most {
        // The first one is told at once.
        written.writes += 1;
        tell_skipped(written);
    }
    false
}

#[inline(always)]
fn tell_skipped(written: &mut Written) {
    if written.skipped == 0 {
        return;
    }
    let record = Skipped { header: NO_HEADER, writer: owner::current(), skipped: written.skipped };
    written.skipped = 0;
    emit::emit(record, false);
}

#[inline(always)]
fn hand_over(watch: &Watch, fd: u32, buffer: &Buffer) {
    const FIXED: usize = size_of::<Piece>();
    let Some(scratch) = emit::scratch() else { return };
    let mut reader = Reader::new();
    let most = if watch.init == 0 { MAX_COMPONENT_PIECE } else { MAX_PIECE };
    let mut len = if buffer.len < most as u64 { buffer.len as usize } else { most };
    if len == 0 || len > MAX_COMPONENT_PIECE {
        return; // for the verifier
    }
    let omitted = buffer.len - len as u64 + buffer.behind;
    let to = scratch.bytes[FIXED..FIXED + MAX_COMPONENT_PIECE].as_mut_ptr();
    // SAFETY: there is room for what `len` was bounded to; the helper checks the source.
    let copied = unsafe { bpf_probe_read_user(to.cast(), len as u32, buffer.at as *const _) };
    let mut last = b'\n';
    if copied == 0 {
        last = scratch.bytes[FIXED + ((len - 1) & (MAX_COMPONENT_PIECE - 1))];
    } else {
        reader.fail();
        len = 0;
    }
    if last != b'\n'
        && omitted == 0
        && let Some(written) = TEXTS.get_ptr_mut(filter::current_tgid())
    {
        // SAFETY: as in `take`.
        unsafe { (*written).was_open = 1 };
    }
    let inode = files::inode_of(fd, &mut reader);
    let record = Piece {
        header: NO_HEADER,
        writer: owner::current(),
        ino: files::ino(inode, &mut reader),
        fd,
        len: len as u32,
        omitted: if omitted > u64::from(u32::MAX) { u32::MAX } else { omitted as u32 },
        pad: 0,
    };
    let flags = if reader.failed() { flag::UNREADABLE } else { 0 };
    emit::emit_text(scratch, record, len, flags);
}

/// The current process ends: what is left to be told of it.
#[inline(always)]
pub fn ended() {
    if !is_read() {
        return;
    }
    let tgid = filter::current_tgid();
    let Some(pointer) = TEXTS.get_ptr_mut(tgid) else { return };
    // SAFETY: map values outlive the program run.
    let written = unsafe { &mut *pointer };
    tell_skipped(written);
    if written.was_open != 0 {
        emit::emit(Ended { header: NO_HEADER, writer: owner::current() }, false);
    }
    let _ = TEXTS.remove(tgid);
}
