//! What the processes do that answer webhook calls: on a CPU, waiting for one, kept from it, or none of these.
//!
//! A process is in one of these states by what its threads are doing. When it goes from one to another at time T, T is
//! added to the sum of the state that it enters, negative, and to that of the one that it leaves: so sums need no lock,
//! whichever CPUs threads come and go on at once.

use core::arch::asm;

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};
use observer_ebpf::{
    Family,
    control::NO_OFFSET,
    wire::{
        cpu::{Mark, OF_CLIENT, TELLS_THROTTLED, doing},
        packet::Packet,
        webhook::Endpoint,
    },
};

use crate::{
    emit::{self, Scratch, now},
    kernel::{Reader, offset},
};

/// Non-zero: there are servers. Set by user space.
#[map]
static SERVERS_KNOWN: Array<u32> = Array::with_max_entries(1, 0);

/// By process id. User space makes entries; they go when the process ends.
#[map]
static SERVERS: HashMap<u32, Server> = HashMap::with_max_entries(1_024, 0);

/// Which process has answered at an address and port. Written by user space.
#[map]
static SERVED_AT: HashMap<Endpoint, u32> = HashMap::with_max_entries(1_024, 0);

/// What each thread of a server is doing, as far as was seen: values of [`doing`]. Entries go when the thread ends.
#[map]
static SERVER_THREADS: HashMap<u32, u32> = HashMap::with_max_entries(16_384, 0);

/// `TASK_DEAD`.
const DEAD: u32 = 0x80;

/// Threads by what they are doing: 16 bits each, at 16 times the number of the state; sums of times by state.
#[repr(C)]
#[derive(Clone, Copy)]
struct Server {
    threads: u64,
    spent_ns: [u64; doing::COUNT],
}

#[inline(always)]
fn doing_of(threads: u64) -> usize {
    let some = |state: usize| threads >> (16 * state) & 0xffff != 0;
    if some(doing::ON_CPU) {
        doing::ON_CPU
    } else if some(doing::RUNNABLE) {
        doing::RUNNABLE
    } else if some(doing::THROTTLED) {
        doing::THROTTLED
    } else {
        doing::BLOCKED
    }
}

/// One thread in a state. Those that are blocked are not counted.
#[inline(always)]
fn one(state: u32) -> u64 {
    if state == doing::BLOCKED as u32 { 0 } else { 1 << (16 * (state & 3)) }
}

#[inline(always)]
fn any() -> bool {
    SERVERS_KNOWN.get(0).copied().unwrap_or(0) != 0
}

/// Whether a task's control group has used up its limit. Since Linux 6.18 a task says so itself; before, nobody knows.
#[inline(always)]
pub fn is_throttled(task: u64) -> bool {
    if offset!(task_throttled) == NO_OFFSET {
        return false;
    }
    let mut reader = Reader::new();
    // A boolean: one byte.
    reader.at::<u8>(task, offset!(task_throttled)) != 0
}

#[inline(always)]
fn ready(task: u64) -> u32 {
    (if is_throttled(task) { doing::THROTTLED } else { doing::RUNNABLE }) as u32
}

/// A task may run. One that has a CPU already, or was said to be ready, stays what it is.
#[inline(always)]
pub fn woken(task: u64) {
    if !any() {
        return;
    }
    let Some((server, thread, _)) = server_of(task) else { return };
    if doing_now(thread) == doing::BLOCKED as u32 {
        turns(server, thread, ready(task));
    }
}

#[inline(always)]
pub fn switched(prev: u64, next: u64, stays: bool, state: u32) {
    if !any() {
        return;
    }
    if let Some((server, thread, tgid)) = server_of(prev) {
        turns(server, thread, if stays { ready(prev) } else { doing::BLOCKED as u32 });
        if state & DEAD != 0 && thread == tgid {
            let _ = SERVERS.remove(&tgid);
        }
    }
    if state & DEAD != 0 {
        // Whether or not its process is still watched: the first thread may end before others do.
        let thread: u32 = Reader::new().at(prev, offset!(task_pid));
        let _ = SERVER_THREADS.remove(&thread);
    }
    if let Some((server, thread, _)) = server_of(next) {
        turns(server, thread, doing::ON_CPU as u32);
    }
}

/// The server that a task is a thread of, its own number, and the process's.
#[inline(always)]
fn server_of(task: u64) -> Option<(*mut Server, u32, u32)> {
    let mut reader = Reader::new();
    let tgid = reader.tgid(task);
    let server = SERVERS.get_ptr_mut(&tgid)?;
    let thread = reader.at(task, offset!(task_pid));
    (!reader.failed()).then_some((server, thread, tgid))
}

#[inline(always)]
fn doing_now(thread: u32) -> u32 {
    // SAFETY: a word, copied; a thread's own changes come one after the other.
    unsafe { SERVER_THREADS.get(&thread) }.copied().unwrap_or(doing::BLOCKED as u32)
}

#[inline(always)]
fn turns(server: *mut Server, thread: u32, to: u32) {
    let from = doing_now(thread);
    if from == to {
        return;
    }
    if SERVER_THREADS.insert(&thread, &to, 0).is_err() {
        return emit::lose(Family::Cpu as u16);
    }
    let change = one(to).wrapping_sub(one(from));
    let now = now();
    // SAFETY: map values outlive the program run; all of it is added to atomically.
    unsafe {
        let before = add(&raw mut (*server).threads, change);
        let (left, entered) = (doing_of(before), doing_of(before.wrapping_add(change)));
        if left != entered {
            // Below `COUNT` by the mask, which the verifier follows.
            let spent = (&raw mut (*server).spent_ns).cast::<u64>();
            add(spent.add(left & 3), now);
            add(spent.add(entered & 3), now.wrapping_neg());
        }
    }
}

/// A side speaks, or the client ends the connection, at a socket of a server.
#[inline(always)]
pub fn mark(scratch: &mut Scratch, packet: &Packet, at_ns: u64, what: u32, of_client: bool) {
    if !any() {
        return;
    }
    let at = Endpoint { address: packet.local, port: packet.local_port, pad: [0; 3] };
    // SAFETY: a word, copied.
    let Some(tgid) = unsafe { SERVED_AT.get(&at) }.copied() else { return };
    let Some(server) = SERVERS.get_ptr(&tgid) else { return };
    // SAFETY: map values outlive the program run. Threads may come and go meanwhile: what is between two of these
    // reads is nanoseconds.
    let Server { threads, mut spent_ns } = unsafe { *server };
    // What it is doing now it has done until now.
    let doing = doing_of(threads) & 3;
    spent_ns[doing] = spent_ns[doing].wrapping_add(at_ns);
    let record = scratch.record::<Mark>();
    record.cookie = packet.cookie;
    record.at_ns = at_ns;
    record.spent_ns = spent_ns;
    record.what = what;
    let tells = if offset!(task_throttled) == NO_OFFSET { 0 } else { TELLS_THROTTLED };
    record.flags = tells | if of_client { OF_CLIENT } else { 0 };
    emit::emit_packet::<Mark>(scratch, (tgid, tgid), 0, 0);
}

/// Gives what it was before. The compiler has that instruction (Linux 5.12) only for programs that may use all others of
/// its generation, too.
#[inline(always)]
unsafe fn add(sum: *mut u64, mut amount: u64) -> u64 {
    // SAFETY: left to the caller.
    unsafe {
        asm!("{amount} = atomic_fetch_add((u64 *)({sum} + 0), {amount})", sum = in(reg) sum, amount = inout(reg) amount);
    }
    amount
}
