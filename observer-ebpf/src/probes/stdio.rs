//! What followed containers write to their standard streams, and what is taken out of their pipes.
//!
//! A stream is the object behind descriptor 1 or 2 of a container's init, whatever process or descriptor of
//! the container writes to it later.
// long: every hook by which something gets into a pipe or out of it, and what user space asks of pipes.

use aya_ebpf::{
    macros::{fexit, map, raw_tracepoint},
    maps::Array,
    programs::{FExitContext, RawTracePointContext},
};
use observer_ebpf::{
    control::{END_OF_32_BIT, Watch, role, shed},
    wire::{
        stdio::{Closing, Object, Opened, PipeState, Reader as ReaderRecord, since},
        storage::op as storage_op,
    },
};

use super::{NO_HEADER, arg, on_exit, raw_rungs, storage, text};
use crate::{
    agg::{self, By, pipes_are_hooked},
    emit, files, filter,
    kernel::{Reader, offset},
    shed::is_shed,
    syscall::{argument, raw},
};

on_exit!(exit_read_btf, exit_read, (), read);
on_exit!(exit_readv_btf, exit_readv, (), read);
on_exit!(exit_pwritev2_btf, exit_pwritev2, (), written);
on_exit!(exit_tee_btf, exit_tee, (), teed);
on_exit!(exit_vmsplice_btf, exit_vmsplice, (), spliced);
raw_rungs!(io_uring_btf, io_uring_raw, "io_uring_create", uncounted);

const FMODE_READ: u32 = 1;
const EPIPE: i64 = -32;

/// Non-zero: containers are followed beyond their start. Set before the programs are loaded, so that the
/// verifier takes out what is not wanted.
#[unsafe(no_mangle)]
static FOLLOW: u32 = 0;

/// The answer of [`sample_pipe`].
#[map]
static SAMPLED: Array<PipeState> = Array::with_max_entries(1, 0);

/// The rest of it: the thread that waits for room.
#[map]
static SAMPLED_WAITER: Array<u64> = Array::with_max_entries(1, 0);

/// Whether containers are followed beyond their start.
#[inline(always)]
pub fn follows() -> bool {
    // SAFETY: a static of this program. Volatile: the loader rewrites it after compilation.
    unsafe { core::ptr::read_volatile(&raw const FOLLOW) != 0 }
}

/// Takes what the current task's descriptors 1 and 2 refer to for the streams of its container: it is init.
#[inline(always)]
pub fn register(init: u32, role: u32) {
    if !follows() {
        return;
    }
    let mut reader = Reader::new();
    let inodes = [files::inode_of(1, &mut reader), files::inode_of(2, &mut reader)];
    let objects = [files::object(inodes[0], &mut reader), files::object(inodes[1], &mut reader)];
    if agg::given(init).is_some_and(|given| same(&given, &objects)) {
        return;
    }
    agg::give(init, &objects, inodes);
    for n in 0..2 {
        opened(init, n as u32 + 1, since::START, role, objects[n], reader.failed());
    }
}

#[inline(always)]
fn same(one: &[Object; 2], other: &[Object; 2]) -> bool {
    one[0].ino == other[0].ino && one[1].ino == other[1].ino && one[0].mode == other[0].mode
}

#[inline(always)]
fn opened(init: u32, fd: u32, since: u32, role: u32, object: Object, unreadable: bool) {
    let mut reader = Reader::new();
    let pipe = agg::pipe(object.ino, &mut reader);
    let record = Opened { header: NO_HEADER, init, fd, since, role, object, pipe };
    emit::emit(record, unreadable);
}

/// A runtime was executed by something that is not known to read its containers' pipes: whoever reads those
/// that it has itself is to be found in time.
#[inline(always)]
pub fn expect() -> bool {
    if follows() {
        for fd in 1..=2 {
            let mut reader = Reader::new();
            agg::expect(files::inode_of(fd, &mut reader), &mut reader);
        }
    }
    follows()
}

/// A runtime ends.
#[inline(always)]
pub fn expect_no_more() {
    if follows() {
        for fd in 1..=2 {
            let mut reader = Reader::new();
            agg::expect_no_more(files::inode_of(fd, &mut reader), &mut reader);
        }
    }
}

/// A write of a watched process returned. Says whether it was to a stream of its container.
#[inline(always)]
pub fn wrote(watch: &Watch, fd: u32, ret: i64, by: By) -> bool {
    // Errors but EPIPE move nothing and say nothing.
    if watch.init == 0 || ret < 0 && ret != EPIPE || is_shed(shed::STDIO) {
        return false;
    }
    let mut reader = Reader::new();
    let inode = files::inode_of(fd, &mut reader);
    if by.is_counted_elsewhere() && files::is_pipe(inode, &mut reader) {
        return text::is_read() && agg::is_stream(watch.init, inode, &mut reader);
    }
    agg::wrote(watch.init, inode, (ret >= 0).then_some(ret as u64), &mut reader)
}

/// A write by a call that nothing else is interested in.
#[inline(always)]
fn written(_: (), ret: i64) {
    if storage::is_wanted(ret) {
        return storage::to_first(storage_op::PWRITEV, ret);
    }
    let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD | text::components()) else { return };
    let fd = argument!(regs_arg0) as u32;
    let is_stream = wrote(watch, fd, ret, By::Bytes);
    text::gathered(watch, fd, ret, is_stream);
}

#[inline(always)]
fn teed(_: (), ret: i64) {
    counted(|| argument!(regs_arg1) as u32, ret, By::Pages);
}

#[inline(always)]
fn spliced(_: (), ret: i64) {
    counted(|| argument!(regs_arg0) as u32, ret, By::Pages);
}

#[inline(always)]
fn counted(fd: impl Fn() -> u32, ret: i64, by: By) {
    if let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD) {
        wrote(watch, fd(), ret, by);
    }
}

#[inline(always)]
fn read(_: (), ret: i64) {
    taken(|| argument!(regs_arg0) as u32, ret, By::Bytes);
}

/// Something was taken out of a descriptor; if by a process that reads a followed pipe, it may be that.
#[inline(always)]
pub fn taken(fd: impl Fn() -> u32, ret: i64, by: By) {
    // conmon reads in a child of the one that was executed: that is a helper.
    let readers = role::READER | role::SHIM | role::HELPER;
    if ret <= 0 || filter::current(readers).is_none() || by.is_counted_elsewhere() || is_shed(shed::STDIO) {
        return;
    }
    let mut reader = Reader::new();
    let inode = files::inode_of(fd(), &mut reader);
    agg::took(filter::current_tgid(), inode, ret as u64, &mut reader);
}

/// A container's init ends, with its descriptors still open: hands over what was counted.
#[inline(always)]
pub fn close(init: u32, role: u32) {
    if !follows() {
        return;
    }
    let Some(given) = agg::given(init) else { return };
    for n in 0..2 {
        let mut reader = Reader::new();
        let object = given[n];
        let fd = n as u32 + 1;
        let inode = files::inode_of(fd, &mut reader);
        let written = agg::written(init, object.ino);
        let was_counted = written.is_some() || object.ino == 0;
        let record = Closing {
            header: NO_HEADER,
            init,
            fd,
            role: if was_counted { role } else { role | role::UNCOUNTED },
            pad: 0,
            object,
            written: written.unwrap_or(agg::NOTHING),
            pipe: agg::pipe(object.ino, &mut reader),
            now: files::object(inode, &mut reader),
        };
        emit::emit(record, reader.failed());
    }
    agg::forget(init, &given);
}

/// `io_uring_create(..)`: what is written through it is seen by no syscall.
#[inline(always)]
fn uncounted(_args: *const u64) {
    if !pipes_are_hooked()
        && let Some(watch) = filter::current(role::PAYLOAD | role::RUNTIME)
    {
        spoil(watch);
    }
}

/// The program that the current task executes is a 32-bit one: its calls pass the hooks by.
#[inline(always)]
pub fn note_32_bit(tgid: u32, task: u64) {
    if !follows() || pipes_are_hooked() {
        return;
    }
    let mut reader = Reader::new();
    let mm: u64 = reader.at(task, offset!(task_mm));
    let end: u64 = reader.at(mm, offset!(mm_task_size));
    if (reader.failed() || end <= END_OF_32_BIT)
        && let Some(watch) = filter::lookup(tgid)
    {
        spoil(watch);
    }
}

/// From now on the counts of this process's container are not the whole.
#[inline(always)]
fn spoil(watch: &mut Watch) {
    watch.flags |= role::UNCOUNTED;
    if let Some(init) = filter::lookup(watch.init) {
        init.flags |= role::UNCOUNTED;
    }
}

/// Run by user space: the state of the pipe with the inode number that is the first argument.
#[raw_tracepoint]
pub fn sample_pipe(ctx: RawTracePointContext) -> i32 {
    let mut reader = Reader::new();
    let ino = arg(raw(&ctx), 0);
    let state = agg::pipe(ino, &mut reader);
    let _ = SAMPLED.set(0, &state, 0);
    let _ = SAMPLED_WAITER.set(0, agg::waiter(ino), 0);
    0
}

/// `bpf_iter_task_file(meta, task, fd, file)`, run by user space over all open files of the node: finds who
/// holds the reading ends of followed pipes, and the streams of containers that were there before.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub fn open_files(ctx: *const u64) -> i32 {
    let (task, fd, file) = (arg(ctx, 1), arg(ctx, 2) as u32, arg(ctx, 3));
    if task == 0 || file == 0 {
        return 0;
    }
    let mut reader = Reader::new();
    let inode: u64 = reader.at(file, offset!(file_inode));
    if !reader.failed() {
        open_file(task, fd, file, inode, &mut reader);
    }
    0
}

#[inline(always)]
fn open_file(task: u64, fd: u32, file: u64, inode: u64, reader: &mut Reader) {
    let tgid = reader.tgid(task);
    if fd == 1 || fd == 2 {
        older(tgid, fd, inode, reader);
    }
    if !files::is_pipe(inode, reader) {
        return;
    }
    let mode: u32 = reader.at(file, offset!(file_mode));
    let ino = files::ino(inode, reader);
    if mode & FMODE_READ == 0 || !agg::read_by(tgid, inode, ino) {
        return;
    }
    filter::add_role(tgid, role::READER);
    let record = ReaderRecord {
        header: NO_HEADER,
        ino,
        reader: tgid,
        ppid: reader.parent_tgid(task),
        start_ns: reader.start_ns(task),
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed());
}

/// A descriptor of an init that was there before the observer.
#[inline(always)]
fn older(tgid: u32, fd: u32, inode: u64, reader: &mut Reader) {
    let Some(watch) = filter::lookup(tgid) else { return };
    if watch.flags & role::OLDER == 0 || watch.init != tgid {
        return;
    }
    let mut given = agg::given(tgid).unwrap_or_default();
    let object = files::object(inode, reader);
    let n = (fd - 1) as usize & 1;
    if given[n].ino == object.ino {
        return;
    }
    given[n] = object;
    let inodes = if n == 0 { [inode, 0] } else { [0, inode] };
    agg::give(tgid, &given, inodes);
    opened(tgid, fd, since::ATTACH, watch.flags, object, reader.failed());
}

/// `pipe_write(iocb, from)` and its younger names: counts whatever call it serves.
macro_rules! pipe_written {
    ($($program:ident)*) => {
        $(
            #[fexit]
            pub fn $program(ctx: FExitContext) -> i32 {
                pipe_was_written(raw(&ctx));
                0
            }
        )*
    };
}
pipe_written!(pipe_write anon_pipe_write fifo_pipe_write);

/// `pipe_read(iocb, to)` likewise.
macro_rules! pipe_read {
    ($($program:ident)*) => {
        $(
            #[fexit]
            pub fn $program(ctx: FExitContext) -> i32 {
                pipe_was_read(raw(&ctx));
                0
            }
        )*
    };
}
pipe_read!(pipe_read anon_pipe_read fifo_pipe_read);

#[inline(always)]
fn pipe_was_written(args: *const u64) {
    let ret = arg(args, 2) as i64;
    let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD) else { return };
    if watch.init == 0 || ret < 0 && ret != EPIPE || is_shed(shed::STDIO) {
        return;
    }
    let mut reader = Reader::new();
    let inode = inode_of_call(args, &mut reader);
    agg::wrote(watch.init, inode, (ret >= 0).then_some(ret as u64), &mut reader);
}

#[inline(always)]
fn pipe_was_read(args: *const u64) {
    let ret = arg(args, 2) as i64;
    if ret > 0 && !is_shed(shed::STDIO) {
        let mut reader = Reader::new();
        agg::took(filter::current_tgid(), inode_of_call(args, &mut reader), ret as u64, &mut reader);
    }
}

#[inline(always)]
fn inode_of_call(args: *const u64, reader: &mut Reader) -> u64 {
    let file: u64 = reader.at(arg(args, 0), offset!(kiocb_file));
    reader.at(file, offset!(file_inode))
}
