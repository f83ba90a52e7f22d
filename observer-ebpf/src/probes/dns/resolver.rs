//! Calls of the C library's `getaddrinfo` in containers that fail although nobody was asked: what a look-up that never
//! leaves its process looks like. Packets and `connect` say whether somebody was asked, so only what they do not explain
//! is reported. Returns are seen at the function's own RET instructions.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user, bpf_probe_read_user_str_bytes},
    macros::{map, uprobe},
    maps::LruHashMap,
    programs::ProbeContext,
};
use observer_ebpf::{
    Family,
    control::role,
    wire::{
        dns::{MAX_NAME, PORT, Unresolved},
        flag,
        packet::Address,
    },
};

use crate::{
    emit::{self, Scratch, now},
    filter,
    kernel::{Reader, current, offset},
    owner,
    probes::{net::asked_for, tls::registers},
};

const AF_UNIX: u16 = 1;

/// A call that a thread is in.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    began_ns: u64,
    /// Where the name is, and the hints, in the memory of the process.
    name: u64,
    hints: u64,
    /// The stack pointer: a call within the call is another one.
    depth: u64,
    /// Whom it could not reach, and why.
    server: Address,
    server_port: u16,
    pad: u16,
    errno: u32,
    /// 1: somebody was asked.
    has_asked: u64,
}

/// By thread (`pid_tgid`). What is not in it when the call returns is not told.
#[map]
static RESOLVING: LruHashMap<u64, Call> = LruHashMap::with_max_entries(8_192, 0);

/// Processes, with when they began, that have names looked up by another one of this node (nscd, systemd-resolved, sssd).
/// Some are told the next ones through memory that they share with it: that they send nothing means nothing.
#[map]
static SERVED: LruHashMap<[u64; 2], u32> = LruHashMap::with_max_entries(8_192, 0);

/// `getaddrinfo(node, service, hints, res)`.
#[uprobe]
pub fn resolve(ctx: ProbeContext) -> u32 {
    let Some(watch) = filter::current(role::PAYLOAD | role::ROOTFS) else { return 0 };
    if watch.flags & role::QUIET != 0 || filter::is_quiet(watch.init) {
        return 0;
    }
    let argument = |n: usize| ctx.arg::<u64>(n).unwrap_or(0);
    let call = Call {
        began_ns: now(),
        name: argument(0),
        hints: argument(2),
        depth: registers::stack(&ctx),
        server: [0; 16],
        server_port: 0,
        pad: 0,
        errno: 0,
        has_asked: 0,
    };
    let _ = RESOLVING.insert(bpf_get_current_pid_tgid(), call, 0);
    0
}

/// A RET of it.
#[uprobe]
pub fn resolved(ctx: ProbeContext) -> u32 {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is only copied.
    let Some(call) = (unsafe { RESOLVING.get(thread) }).copied() else { return 0 };
    if call.depth != registers::stack(&ctx) {
        return 0;
    }
    let _ = RESOLVING.remove(thread);
    let result = registers::returned(&ctx) as u32;
    if result == 0 || call.has_asked != 0 || call.name == 0 || SERVED.get_ptr(process()).is_some() {
        return 0;
    }
    emit::with_scratch(Family::Dns as u16, |scratch| tell(scratch, &call, result));
    0
}

#[inline(always)]
fn tell(scratch: &mut Scratch, call: &Call, result: u32) {
    const AT: usize = size_of::<Unresolved>();
    let record: &mut Unresolved = scratch.record();
    record.owner = owner::current();
    record.began_ns = call.began_ns;
    record.server = call.server;
    record.server_port = call.server_port;
    record.errno = call.errno;
    record.result = result;
    (record.ai_flags, record.ai_family, record.pad) = (0, 0, [0; 4]);
    let mut flags = 0;
    if call.hints != 0 {
        // SAFETY: the helper checks the address itself.
        match unsafe { bpf_probe_read_user(call.hints as *const [u32; 2]) } {
            Ok(hints) => (record.ai_flags, record.ai_family) = (hints[0], hints[1]),
            Err(_) => flags = flag::UNREADABLE,
        }
    }
    let owner = (record.owner.tgid, record.owner.tid);
    let room = &mut scratch.bytes[AT..AT + MAX_NAME];
    // SAFETY: the helper checks the address itself.
    let len = match unsafe { bpf_probe_read_user_str_bytes(call.name as *const u8, room) } {
        Ok(name) => name.len(),
        Err(_) => 0,
    };
    if len == MAX_NAME - 1 {
        flags |= flag::TRUNCATED;
    }
    let record: &mut Unresolved = scratch.record();
    record.name_len = len as u16;
    emit::emit_packet::<Unresolved>(scratch, owner, len, flags);
}

/// To be called where the current task sends something to port 53: the look-up that it is in asks somebody.
#[inline(always)]
pub fn asks() {
    let mut reader = Reader::new();
    let task = current();
    let (tgid, tid): (u32, u32) = (reader.tgid(task), reader.at(task, offset!(task_pid)));
    if let Some(call) = RESOLVING.get_ptr_mut(u64::from(tgid) << 32 | u64::from(tid)) {
        // SAFETY: map values outlive the program run; the entry is this thread's own.
        unsafe { (*call).has_asked = 1 };
    }
}

/// `connect` returned. Of interest is whom a look-up turns to, and in vain.
#[inline(always)]
pub fn connected(ret: i64) {
    const EINPROGRESS: i64 = -115;
    let Some(pointer) = RESOLVING.get_ptr_mut(bpf_get_current_pid_tgid()) else { return };
    // SAFETY: as above.
    let call = unsafe { &mut *pointer };
    let asked = asked_for();
    let succeeded = ret == 0 || ret == EINPROGRESS;
    if asked.family == AF_UNIX && succeeded {
        call.has_asked = 1;
        let _ = SERVED.insert(process(), 1, 0);
    }
    if asked.is_known == 0 {
        return;
    }
    let remote = asked.remote;
    if remote.port != PORT && succeeded {
        // Directories of hosts (LDAP) are asked elsewhere.
        call.has_asked = 1;
    } else if remote.port == PORT && !succeeded {
        (call.server, call.server_port, call.errno) = (remote.address, remote.port, (-ret) as u32);
    }
}

#[inline(always)]
fn process() -> [u64; 2] {
    let mut reader = Reader::new();
    let task = current();
    [u64::from(reader.tgid(task)), reader.process_start_ns(task)]
}
