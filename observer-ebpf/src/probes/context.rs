//! Which request a thread of a container has in hand: from when it has read the beginning of one until something is
//! sent on that socket. What of the request names its trace is found in user space.
//!
//! `sock_recv_length` comes when what was received is in the reader's memory already, and says whose socket it is: no
//! descriptor has to be looked up, and what reads files costs nothing.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user},
    macros::map,
    maps::{HashMap, LruHashMap},
};
use observer_ebpf::{
    Family,
    control::{BUDGET_NS, MAX_REQUESTS, role},
    wire::{
        context::{Done, MAX_HEAD, Read, Skipped},
        flag,
        packet::protocol,
    },
};

use super::{NO_HEADER, arg, raw_rungs};
use crate::{
    emit::{self, lose, now},
    filter,
    kernel::{Reader, offset},
    message::user_word,
    owner,
    sock::{AF_INET, AF_INET6},
    syscall::argument,
};

raw_rungs!(context_received_btf, context_received_raw, "sock_recv_length", received);
raw_rungs!(context_sent_btf, context_sent_raw, "sock_send_length", sent);
raw_rungs!(context_state_btf, context_state_raw, "inet_sock_set_state", set_state);

/// A request that is not answered yet.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    read_ns: u64,
    tgid: u32,
    tid: u32,
}

/// By the `struct sock` that it was read from. Entries go with the answer, or with the connection.
#[map]
static REQUESTS: HashMap<u64, Request> = HashMap::with_max_entries(16_384, 0);

/// What a process has read of late.
#[repr(C)]
#[derive(Clone, Copy)]
struct Taken {
    /// When the time began in which `requests` are counted.
    since_ns: u64,
    /// Requests that were not handed over and of which user space does not know.
    skipped: u64,
    requests: u32,
    pad: u32,
}

/// By process. What goes is that of the process that was silent longest: its budget begins anew.
#[map]
static TAKEN_REQUESTS: LruHashMap<u32, Taken> = LruHashMap::with_max_entries(4_096, 0);

/// No request is shorter: `GET / HTTP/1.1`, and two ends of lines.
const LEAST: i32 = 18;
const MSG_PEEK: u32 = 1 << 1;
const MSG_DONTWAIT: u32 = 1 << 6;

/// `sock_recv_length(sk, ret, flags)`, in the context of whoever receives.
#[inline(always)]
fn received(args: *const u64) {
    let (sock, ret, flags) = (arg(args, 0), arg(args, 1) as i32, arg(args, 2) as u32);
    if ret < LEAST || flags & MSG_PEEK != 0 || !is_watched() {
        return;
    }
    let Some(buffer) = buffer() else { return };
    if !begins_request(user_word(buffer) as u32) || !is_tcp(sock) {
        return;
    }
    let reader = owner::current();
    if reader.tgid == 0 {
        return lose(Family::Context as u16);
    }
    done(sock);
    if !take(reader.tgid) {
        return;
    }
    let request = Request { read_ns: now(), tgid: reader.tgid, tid: reader.tid };
    let record = Read {
        header: NO_HEADER,
        reader,
        read_ns: request.read_ns,
        waits: u32::from(flags & MSG_DONTWAIT == 0),
        len: 0,
    };
    hand_over(record, buffer, ret as u32);
    // Behind it, so that no end of it comes before it.
    if REQUESTS.insert(sock, request, 0).is_err() {
        lose(Family::Context as u16);
    }
}

#[inline(always)]
fn hand_over(mut record: Read, buffer: u64, received: u32) {
    const FIXED: usize = size_of::<Read>();
    let Some(scratch) = emit::scratch() else { return };
    let len = if (received as usize) < MAX_HEAD { received as usize } else { MAX_HEAD };
    // For the verifier: from 1 to `MAX_HEAD`, and nothing that the compiler could know.
    let mut len = (core::hint::black_box(len).wrapping_sub(1) & (MAX_HEAD - 1)) + 1;
    let to = scratch.bytes[FIXED..FIXED + MAX_HEAD].as_mut_ptr();
    // SAFETY: there is room for what `len` was bounded to; the helper checks the source.
    let copied = unsafe { bpf_probe_read_user(to.cast(), len as u32, buffer as *const _) };
    let flags = if copied == 0 { 0 } else { flag::UNREADABLE };
    if copied != 0 {
        len = 0;
    }
    record.len = len as u32;
    emit::emit_text(scratch, record, len, flags);
}

#[inline(always)]
fn is_watched() -> bool {
    filter::current(role::PAYLOAD).is_some_and(|watch| watch.flags & role::QUIET == 0)
}

#[inline(always)]
fn is_tcp(sock: u64) -> bool {
    let mut reader = Reader::new();
    let family: u16 = reader.at(sock, offset!(sock_family));
    // 8 bits up to Linux 5.5, 16 since: the lower ones are the same.
    let of_socket: u8 = reader.at(sock, offset!(sock_protocol));
    matches!(family, AF_INET | AF_INET6) && of_socket == protocol::TCP && !reader.failed()
}

/// The first bytes of a request, as a word of memory holds them.
#[inline(always)]
fn begins_request(first: u32) -> bool {
    const METHODS: [u32; 7] = [
        u32::from_ne_bytes(*b"GET "),
        u32::from_ne_bytes(*b"POST"),
        u32::from_ne_bytes(*b"PUT "),
        u32::from_ne_bytes(*b"HEAD"),
        u32::from_ne_bytes(*b"DELE"),
        u32::from_ne_bytes(*b"PATC"),
        u32::from_ne_bytes(*b"OPTI"),
    ];
    METHODS.contains(&first)
}

/// Where the first of what was received is, by the call that the thread is in. Of others, io_uring's among them, it is
/// not known.
#[inline(always)]
fn buffer() -> Option<u64> {
    /// `msghdr.msg_iov`, part of the interface to user space.
    const VECTOR: u64 = 16;
    let at = argument!(regs_arg1);
    match argument!(regs_syscall) as u32 {
        number::READ | number::RECVFROM => Some(at),
        number::READV => Some(user_word(at)),
        number::RECVMSG => Some(user_word(user_word(at.wrapping_add(VECTOR)))),
        _ => None,
    }
}

/// Whether one more request of a process is to be handed over.
#[inline(always)]
fn take(tgid: u32) -> bool {
    let now = now();
    let mut pointer = TAKEN_REQUESTS.get_ptr_mut(tgid);
    if pointer.is_none() {
        let fresh = Taken { since_ns: now, skipped: 0, requests: 0, pad: 0 };
        if TAKEN_REQUESTS.insert(tgid, fresh, 0).is_err() {
            lose(Family::Context as u16);
        }
        pointer = TAKEN_REQUESTS.get_ptr_mut(tgid);
    }
    let Some(pointer) = pointer else { return false };
    // SAFETY: map values outlive the program run; threads of a process count at once, as well as it has to be.
    let taken = unsafe { &mut *pointer };
    if now.wrapping_sub(taken.since_ns) >= BUDGET_NS {
        taken.since_ns = now;
        taken.requests = 0;
        tell_skipped(taken);
    }
    if taken.requests < MAX_REQUESTS {
        taken.requests += 1;
        return true;
    }
    taken.skipped += 1;
    if taken.requests == MAX_REQUESTS {
        // The first one is told at once: what a thread has in hand is not known from here on.
        taken.requests += 1;
        tell_skipped(taken);
    }
    false
}

#[inline(always)]
fn tell_skipped(taken: &mut Taken) {
    if taken.skipped == 0 {
        return;
    }
    let record = Skipped { header: NO_HEADER, reader: owner::current(), skipped: taken.skipped };
    taken.skipped = 0;
    emit::emit(record, false);
}

/// `sock_send_length(sk, ret, flags)`.
#[inline(always)]
fn sent(args: *const u64) {
    if arg(args, 1) as i32 > 0 && is_watched() {
        done(arg(args, 0));
    }
}

/// `inet_sock_set_state(sk, old, new)`, in whatever context: nothing here uses the scratch buffer.
#[inline(always)]
fn set_state(args: *const u64) {
    const TCP_FIN_WAIT1: u32 = 4;
    const TCP_CLOSE: u32 = 7;
    const TCP_LAST_ACK: u32 = 9;
    // A client that says no more may still wait for its answer: CLOSE_WAIT ends nothing.
    if matches!(arg(args, 2) as u32, TCP_FIN_WAIT1 | TCP_CLOSE | TCP_LAST_ACK) {
        done(arg(args, 0));
    }
}

#[inline(always)]
fn done(sock: u64) {
    // SAFETY: the value is only copied.
    let Some(request) = (unsafe { REQUESTS.get(sock) }).copied() else { return };
    let _ = REQUESTS.remove(sock);
    let Request { read_ns, tgid, tid } = request;
    let by = bpf_get_current_pid_tgid() as u32;
    emit::emit(Done { header: NO_HEADER, read_ns, tgid, tid, by, pad: 0 }, false);
}

/// Numbers of syscalls. Those of 32-bit programs mean calls that receive nothing.
#[cfg(bpf_target_arch = "x86_64")]
mod number {
    pub const READ: u32 = 0;
    pub const READV: u32 = 19;
    pub const RECVFROM: u32 = 45;
    pub const RECVMSG: u32 = 47;
}

#[cfg(bpf_target_arch = "aarch64")]
mod number {
    pub const READ: u32 = 63;
    pub const READV: u32 = 65;
    pub const RECVFROM: u32 = 207;
    pub const RECVMSG: u32 = 212;
}
