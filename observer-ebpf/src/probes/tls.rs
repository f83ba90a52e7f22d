//! Calls of TLS libraries: OpenSSL's `SSL_read`, `SSL_write` and their `_ex` kin, Go's `crypto/tls.(*Conn).Read` and
//! `Write`. Returns are seen at the functions' own RET instructions: the stack of what is watched stays as it is.
//!
//! What is written is there when the function is entered, what is read only when it returns. A call is known again by
//! who made it and how deep in its stack: TLS runs inside TLS, one function inside itself.

use aya_ebpf::{
    EbpfContext,
    helpers::bpf_get_current_pid_tgid,
    macros::{map, uprobe},
    maps::HashMap,
    programs::ProbeContext,
};
use observer_ebpf::{
    Family,
    wire::{
        packet::Packet,
        tls::{Socket, library},
    },
};

use crate::{
    emit::{self, now},
    filter,
    kernel::{Reader, current, offset},
    message::{self, ConnectionKey, Passed, user_word},
};

/// A call under way.
#[repr(C)]
#[derive(Clone, Copy)]
struct CallKey {
    tgid: u64,
    /// The thread; the goroutine, which changes threads.
    caller: u64,
    /// The stack pointer; of a goroutine, whose stack moves, its distance from the stack's end.
    depth: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    conn: u64,
    below: u64,
    /// Where the bytes are; on the stack of a goroutine its distance from the stack's end.
    buffer: u64,
    /// How many are asked for.
    len: u64,
    /// Where OpenSSL's `_ex` functions say how many they were.
    count_at: u64,
    entered_ns: u64,
    written: u32,
    is_on_stack: u32,
}

/// Entries go when the call returns; those of processes that end meanwhile are removed by user space.
#[map]
static TLS_CALLS: HashMap<CallKey, Call> = HashMap::with_max_entries(16_384, 0);

/// Connections that threads (`pid_tgid`) are writing to: what they send meanwhile is sent on that connection's
/// socket. Entries go as those above.
#[map]
static TLS_WRITING: HashMap<u64, u64> = HashMap::with_max_entries(16_384, 0);

/// To be called by a program that sees a packet with payload leave, in the context of the task that sends it: if that
/// task is in a TLS library just now, the packet's socket is that of the library's connection. A look-up in an empty
/// map where no library is attached to.
#[inline(always)]
pub fn bind(packet: &Packet) {
    let mut reader = Reader::new();
    let task = current();
    let (tgid, tid): (u32, u32) = (reader.tgid(task), reader.at(task, offset!(task_pid)));
    let thread = u64::from(tgid) << 32 | u64::from(tid);
    // SAFETY: the value is only copied.
    let Some(conn) = (unsafe { TLS_WRITING.get(thread) }).copied() else { return };
    let socket = Socket {
        cookie: packet.cookie,
        local: packet.local,
        remote: packet.remote,
        local_port: packet.local_port,
        remote_port: packet.remote_port,
        pad: 0,
    };
    message::bind(&ConnectionKey { tgid: u64::from(tgid), conn }, &socket);
}

fn keep(key: &CallKey, call: &Call) {
    if TLS_CALLS.insert(key, call, 0).is_err() {
        emit::lose(Family::Tls as u16);
    }
}

/// `SSL_read(ssl, buffer, num)`.
#[uprobe]
pub fn openssl_read(ctx: ProbeContext) -> u32 {
    openssl_enter(&ctx, false, false)
}

/// `SSL_read_ex(ssl, buffer, num, &read)`.
#[uprobe]
pub fn openssl_read_ex(ctx: ProbeContext) -> u32 {
    openssl_enter(&ctx, false, true)
}

/// `SSL_write(ssl, buffer, num)`.
#[uprobe]
pub fn openssl_write(ctx: ProbeContext) -> u32 {
    openssl_enter(&ctx, true, false)
}

/// `SSL_write_ex(ssl, buffer, num, &written)`.
#[uprobe]
pub fn openssl_write_ex(ctx: ProbeContext) -> u32 {
    openssl_enter(&ctx, true, true)
}

#[inline(always)]
fn openssl_enter(ctx: &ProbeContext, written: bool, counts: bool) -> u32 {
    if message::asked() == 0 {
        return 0;
    }
    let argument = |n: usize| ctx.arg::<u64>(n).unwrap_or(0);
    let call = Call {
        conn: argument(0),
        below: 0,
        buffer: argument(1),
        len: 0,
        count_at: if counts { argument(3) } else { 0 },
        entered_ns: now(),
        written: u32::from(written),
        is_on_stack: 0,
    };
    keep(&thread_key(ctx), &call);
    if written && TLS_WRITING.insert(bpf_get_current_pid_tgid(), call.conn, 0).is_err() {
        emit::lose(Family::Tls as u16);
    }
    0
}

/// A RET of any of OpenSSL's functions.
#[uprobe]
pub fn openssl_returned(ctx: ProbeContext) -> u32 {
    let asked = message::asked();
    if asked == 0 {
        return 0;
    }
    let key = thread_key(&ctx);
    // SAFETY: the value is only copied.
    let Some(call) = (unsafe { TLS_CALLS.get(key) }).copied() else { return 0 };
    let _ = TLS_CALLS.remove(key);
    if call.written != 0 {
        let _ = TLS_WRITING.remove(bpf_get_current_pid_tgid());
    }
    let returned = registers::returned(&ctx) as u32 as i32;
    if returned <= 0 {
        return 0;
    }
    let mut len = returned as u64;
    if call.count_at != 0 {
        len = user_word(call.count_at);
    }
    pass(asked, &call, call.buffer, len, library::OPENSSL);
    0
}

#[inline(always)]
fn thread_key(ctx: &ProbeContext) -> CallKey {
    let thread = bpf_get_current_pid_tgid();
    CallKey { tgid: thread >> 32, caller: thread, depth: registers::stack(ctx) }
}

/// `(*Conn).Write(b []byte)`: all that is of interest is there on entry, and the kernel knows the socket.
#[uprobe]
pub fn go_write(ctx: ProbeContext) -> u32 {
    let asked = message::asked();
    if asked == 0 {
        return 0;
    }
    let call = go_call(&ctx, true);
    pass(asked, &call, registers::go_argument(&ctx, 1), call.len, library::GO);
    0
}

/// `(*Conn).Read(b []byte)`.
#[uprobe]
pub fn go_read(ctx: ProbeContext) -> u32 {
    if message::asked() == 0 {
        return 0;
    }
    keep(&goroutine_key(&ctx), &go_call(&ctx, false));
    0
}

/// A RET of `(*Conn).Read`.
#[uprobe]
pub fn go_returned(ctx: ProbeContext) -> u32 {
    let asked = message::asked();
    if asked == 0 {
        return 0;
    }
    let key = goroutine_key(&ctx);
    // SAFETY: the value is only copied.
    let Some(call) = (unsafe { TLS_CALLS.get(key) }).copied() else { return 0 };
    let _ = TLS_CALLS.remove(key);
    let returned = registers::returned(&ctx) as i64;
    if returned <= 0 || returned as u64 > call.len {
        return 0;
    }
    let moved = if call.is_on_stack != 0 { stack_end(&ctx).wrapping_sub(call.buffer) } else { call.buffer };
    pass(asked, &call, moved, returned as u64, library::GO);
    0
}

/// `g.stack.hi`: the second word of a goroutine, since Go has register arguments and before.
#[inline(always)]
fn stack_end(ctx: &ProbeContext) -> u64 {
    user_word(registers::goroutine(ctx).wrapping_add(8))
}

#[inline(always)]
fn goroutine_key(ctx: &ProbeContext) -> CallKey {
    CallKey {
        tgid: u64::from(filter::current_tgid()),
        caller: registers::goroutine(ctx),
        depth: stack_end(ctx).wrapping_sub(registers::stack(ctx)),
    }
}

/// `tls.Conn` begins with the interface that it is made over.
#[inline(always)]
fn go_call(ctx: &ProbeContext, written: bool) -> Call {
    let conn = registers::go_argument(ctx, 0);
    let buffer = registers::go_argument(ctx, 1);
    let (low, end) = (user_word(registers::goroutine(ctx)), stack_end(ctx));
    let is_on_stack = buffer >= low && buffer < end;
    Call {
        conn,
        below: user_word(conn.wrapping_add(8)),
        buffer: if is_on_stack { end.wrapping_sub(buffer) } else { buffer },
        len: registers::go_argument(ctx, 2),
        count_at: 0,
        entered_ns: now(),
        written: u32::from(written),
        is_on_stack: u32::from(is_on_stack),
    }
}

#[inline(always)]
fn pass(asked: u32, call: &Call, buffer: u64, len: u64, library: u32) {
    let passed = Passed {
        conn: call.conn,
        below: call.below,
        buffer,
        len,
        entered_ns: call.entered_ns,
        written: call.written != 0,
        library,
    };
    message::passed(asked, &passed);
}

/// Where calls keep what: the C convention through [`ProbeContext::arg`], Go's own (since 1.17) here.
#[cfg(bpf_target_arch = "x86_64")]
pub mod registers {
    use super::{EbpfContext, ProbeContext};
    use aya_ebpf::bindings::pt_regs;

    #[inline(always)]
    fn all(ctx: &ProbeContext) -> &pt_regs {
        // SAFETY: the context of a user probe is its registers.
        unsafe { &*ctx.as_ptr().cast() }
    }

    pub fn go_argument(ctx: &ProbeContext, n: usize) -> u64 {
        match n {
            0 => all(ctx).rax,
            1 => all(ctx).rbx,
            _ => all(ctx).rcx,
        }
    }

    pub fn goroutine(ctx: &ProbeContext) -> u64 {
        all(ctx).r14
    }

    pub fn returned(ctx: &ProbeContext) -> u64 {
        all(ctx).rax
    }

    pub fn stack(ctx: &ProbeContext) -> u64 {
        all(ctx).rsp
    }
}

#[cfg(bpf_target_arch = "aarch64")]
pub mod registers {
    use super::{EbpfContext, ProbeContext};
    use aya_ebpf::bindings::pt_regs;

    #[inline(always)]
    fn all(ctx: &ProbeContext) -> &pt_regs {
        // SAFETY: the context of a user probe is its registers.
        unsafe { &*ctx.as_ptr().cast() }
    }

    pub fn go_argument(ctx: &ProbeContext, n: usize) -> u64 {
        match n {
            0 => all(ctx).regs[0],
            1 => all(ctx).regs[1],
            _ => all(ctx).regs[2],
        }
    }

    pub fn goroutine(ctx: &ProbeContext) -> u64 {
        all(ctx).regs[28]
    }

    pub fn returned(ctx: &ProbeContext) -> u64 {
        all(ctx).regs[0]
    }

    pub fn stack(ctx: &ProbeContext) -> u64 {
        all(ctx).sp
    }
}
