//! What a descriptor of the current task refers to, and what is in a pipe.

use aya_ebpf::helpers::{bpf_get_current_task_btf, bpf_probe_read_kernel_str_bytes};
use observer_ebpf::{
    control::NO_OFFSET,
    wire::{
        flag,
        packet::protocol,
        stdio::{Object, PipeState, state},
        tls::Socket,
    },
};

use crate::{
    emit::Scratch,
    kernel::{Reader, offset},
    packet::mapped,
};

const S_IFMT: u32 = 0o170_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFSOCK: u32 = 0o140_000;
/// Buffers of a pipe that are added up: all of one of 256 KiB.
const MAX_BUFFERS: u32 = 64;

/// The inode behind a descriptor of the current task, 0 for none.
#[inline(always)]
pub fn inode_of(fd: u32, reader: &mut Reader) -> u64 {
    let file = file_of(fd, reader);
    if file == 0 { 0 } else { reader.at(file, offset!(file_inode)) }
}

/// The open file behind a descriptor of the current task, 0 for none.
#[inline(always)]
pub fn file_of(fd: u32, reader: &mut Reader) -> u64 {
    // SAFETY: the current task is always valid.
    let task = unsafe { bpf_get_current_task_btf() } as *const u8;
    let files = pointer(task, offset!(task_files));
    if files.is_null() { 0 } else { file_in(pointer(files, offset!(files_fdt)) as u64, fd, reader) }
}

/// The last part of an open file's name, into the record's text at `AT`: its length and flags.
#[inline(always)]
pub fn name_of<const AT: usize>(scratch: &mut Scratch, file: u64, reader: &mut Reader) -> (usize, u16) {
    const NAME: usize = 256;
    let dentry: u64 = reader.at(file, offset!(file_dentry));
    let name: u64 = reader.at(dentry, offset!(dentry_name));
    let room = &mut scratch.bytes[AT..AT + NAME];
    // SAFETY: the helper checks the address itself.
    match unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, room) } {
        Ok(name) if !reader.failed() => (name.len(), 0),
        _ => (0, flag::UNREADABLE),
    }
}

/// Whether a descriptor of the current task is a socket of datagrams.
#[inline(always)]
pub fn is_udp(fd: u32) -> bool {
    let mut reader = Reader::new();
    let sock = sock_of(fd, &mut reader);
    let of_it: u16 = if sock == 0 { 0 } else { reader.at(sock, offset!(sock_protocol)) };
    of_it == u16::from(protocol::UDP)
}

/// The kernel's socket behind a descriptor of the current task, 0 for none.
#[inline(always)]
fn sock_of(fd: u32, reader: &mut Reader) -> u64 {
    let file = file_of(fd, reader);
    if file == 0 {
        return 0;
    }
    let inode: u64 = reader.at(file, offset!(file_inode));
    let mode: u16 = reader.at(inode, offset!(inode_mode));
    if u32::from(mode) & S_IFMT != S_IFSOCK {
        return 0;
    }
    let kernels: u64 = reader.at(file, offset!(file_private));
    reader.at(kernels, offset!(socket_sk))
}

/// The TCP socket behind a descriptor of the current task; what it is not is left alone.
#[inline(always)]
pub fn tcp_socket(fd: u32, socket: &mut Socket) {
    const AF_INET: u16 = 2;
    let mut reader = Reader::new();
    let sock = sock_of(fd, &mut reader);
    if sock == 0 {
        return;
    }
    let of_it: u16 = reader.at(sock, offset!(sock_protocol));
    if of_it != u16::from(protocol::TCP) || reader.failed() {
        return;
    }
    let family: u16 = reader.at(sock, offset!(sock_family));
    socket.cookie = reader.at(sock, offset!(sock_cookie));
    socket.local_port = reader.at(sock, offset!(sock_local_port));
    socket.remote_port = u16::from_be(reader.at(sock, offset!(sock_remote_port)));
    if family == AF_INET {
        socket.local = mapped(reader.at(sock, offset!(sock_local4)));
        socket.remote = mapped(reader.at(sock, offset!(sock_remote4)));
    } else {
        socket.local = reader.at(sock, offset!(sock_local6));
        socket.remote = reader.at(sock, offset!(sock_remote6));
    }
}

/// Read like any memory, without a call: the verifier knows the type, and the offset is a constant to it.
#[inline(always)]
fn pointer(base: *const u8, offset: u32) -> *const u8 {
    // SAFETY: the verifier refuses what is not within the structure.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<*const u8>()) }
}

#[inline(always)]
fn file_in(table: u64, fd: u32, reader: &mut Reader) -> u64 {
    let max_fds: u32 = reader.at(table, offset!(fdtable_max_fds));
    if fd >= max_fds {
        return 0;
    }
    let slots: u64 = reader.at(table, offset!(fdtable_fd));
    reader.at(slots, fd << 3)
}

#[inline(always)]
pub fn ino(inode: u64, reader: &mut Reader) -> u64 {
    if inode == 0 { 0 } else { reader.at(inode, offset!(inode_ino)) }
}

#[inline(always)]
pub fn is_pipe(inode: u64, reader: &mut Reader) -> bool {
    let mode: u16 = if inode == 0 { 0 } else { reader.at(inode, offset!(inode_mode)) };
    u32::from(mode) & S_IFMT == S_IFIFO
}

#[inline(always)]
pub fn object(inode: u64, reader: &mut Reader) -> Object {
    if inode == 0 {
        return Object::default();
    }
    let mode: u16 = reader.at(inode, offset!(inode_mode));
    Object { ino: ino(inode, reader), mode: u32::from(mode), rdev: reader.at(inode, offset!(inode_rdev)) }
}

/// The pipe `ino`, if that is what `inode` still is: memory of a pipe that is gone may be anything's by now.
#[inline(always)]
pub fn pipe(inode: u64, expected: u64, reader: &mut Reader) -> PipeState {
    let mut found = PipeState::default();
    if inode == 0 || !is_pipe(inode, reader) || ino(inode, reader) != expected {
        return found;
    }
    let pipe: u64 = reader.at(inode, offset!(inode_pipe));
    if pipe == 0 {
        return found;
    }
    found.state = state::ALIVE;
    let head: u32 = reader.at(pipe, offset!(pipe_head));
    let tail: u32 = reader.at(pipe, offset!(pipe_tail));
    let size: u32 = reader.at(pipe, offset!(pipe_ring_size));
    let room: u32 = reader.at(pipe, offset!(pipe_max_usage));
    found.readers = reader.at(pipe, offset!(pipe_readers));
    let buffers: u64 = reader.at(pipe, offset!(pipe_bufs));
    found.queued = queued(buffers, head, tail, size, reader);
    let first: u64 = reader.at(pipe, offset!(pipe_wr_wait));
    // An empty list is a head that points to itself.
    let nobody = pipe + u64::from(offset!(pipe_wr_wait));
    if head.wrapping_sub(tail) >= room && first != nobody {
        found.state |= state::WAITING;
    }
    if reader.failed() {
        found.state |= state::UNREADABLE;
    }
    found
}

/// The thread (`pid_tgid`) that waits longest for room in a pipe, 0 where none does. Who polls waits, too, but not for
/// itself alone: such an entry names no thread.
#[inline(always)]
pub fn waiter(inode: u64, expected: u64) -> u64 {
    const WQ_FLAG_EXCLUSIVE: u32 = 1;
    let mut reader = Reader::new();
    if inode == 0 || !is_pipe(inode, &mut reader) || ino(inode, &mut reader) != expected {
        return 0;
    }
    let pipe: u64 = reader.at(inode, offset!(inode_pipe));
    let first: u64 = reader.at(pipe, offset!(pipe_wr_wait));
    if pipe == 0 || first == pipe.wrapping_add(u64::from(offset!(pipe_wr_wait))) {
        return 0;
    }
    let entry = first.wrapping_sub(u64::from(offset!(waiter_entry)));
    let flags: u32 = reader.at(entry, offset!(waiter_flags));
    let task: u64 = reader.at(entry, offset!(waiter_task));
    let thread = u64::from(reader.tgid(task)) << 32 | u64::from(reader.at::<u32>(task, offset!(task_pid)));
    if reader.failed() || flags & WQ_FLAG_EXCLUSIVE == 0 || offset!(waiter_entry) == NO_OFFSET {
        0
    } else {
        thread
    }
}

/// Bytes in the buffers from `tail` to `head`. As for [`Reader`]: the fewer branches, the better.
#[inline(always)]
fn queued(buffers: u64, head: u32, tail: u32, size: u32, reader: &mut Reader) -> u32 {
    let mut sum: u32 = 0;
    for n in 0..MAX_BUFFERS {
        let at = tail.wrapping_add(n);
        if at == head {
            return sum;
        }
        let slot = u64::from(at & size.wrapping_sub(1)) * u64::from(offset!(pipe_buffer_size));
        let len: u32 = reader.at(buffers.wrapping_add(slot), offset!(pipe_buffer_len));
        sum = sum.wrapping_add(len);
    }
    reader.fail();
    sum
}
