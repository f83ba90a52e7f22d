//! What passes connections of HTTP/2, handed over as it is. A connection is known by what its client says first, or,
//! where it is older than the observer, by headers that begin what its client passes at once.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user},
    macros::map,
    maps::LruHashMap,
};
use observer_ebpf::{
    Family,
    wire::{
        flag,
        tls::{Frames, MAX_FRAMES, MAX_PIECE, library, side},
    },
};

use crate::{
    emit,
    kernel::{Reader, current},
    message::{self, Connection, ConnectionKey, Passed},
};

/// Connections that carry other things than calls. User space fills it in. What goes is the one asked for longest ago:
/// it is looked at again.
#[map]
static TLS_LEFT: LruHashMap<ConnectionKey, u32> = LruHashMap::with_max_entries(4_096, 0);

/// How far a connection is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Http2 {
    /// One of those below; 0: it is none.
    state: u32,
    /// Which way the client speaks: it is written.
    client_writes: u32,
    /// Bytes that were written, and read.
    written: u32,
    read: u32,
}

pub const NONE: Http2 = Http2 { state: 0, client_writes: 0, written: 0, read: 0 };
const FROM_BEGINNING: u32 = 1;
const LATE: u32 = 2;

impl Http2 {
    #[inline(always)]
    pub fn is_one(&self) -> bool {
        self.state != 0
    }
}

/// What a client says first, as a word of memory holds it.
const PREFACE: u64 = u64::from_ne_bytes(*b"PRI * HT");
/// The header of a frame of headers: its length has two bytes at most, its kind, its flags, of which its end is set, and
/// its stream, which is below 2^31.
const MASK: u64 = u64::from_ne_bytes([0xff, 0, 0, 0xff, 0xd6, 0x80, 0, 0]);
const HEADERS: u64 = u64::from_ne_bytes([0, 0, 0, 1, 0x04, 0, 0, 0]);

/// Whether what passed is of HTTP/2. `begins`: its first bytes.
#[inline(always)]
pub fn are_to_be_followed(asked: u32, wanted: u32, begins: u64, is_known: bool) -> bool {
    // Of a process that is both, headers do not say which way its client speaks.
    let is_either = asked & (side::CLIENT | side::SERVER) != side::CLIENT | side::SERVER;
    is_known || (asked & wanted != 0 && (begins == PREFACE || (is_either && begins & MASK == HEADERS)))
}

/// Hands over what passed.
#[inline(always)]
pub fn passed(key: &ConnectionKey, connection: &mut Connection, begins: u64, passed: &Passed) {
    if begins == PREFACE {
        connection.http2 = Http2 { state: FROM_BEGINNING, ..NONE };
        let _ = TLS_LEFT.remove(key);
    // SAFETY: the value is not looked at.
    } else if unsafe { TLS_LEFT.get(key) }.is_some() {
        return;
    }
    let http2 = &mut connection.http2;
    if http2.state == 0 {
        http2.state = LATE;
    }
    if begins == PREFACE || (http2.state == LATE && http2.written | http2.read == 0) {
        http2.client_writes = u32::from(passed.written);
    }
    let at = if passed.written { http2.written } else { http2.read };
    let then = at.wrapping_add(passed.len as u32);
    if passed.written {
        http2.written = then;
    } else {
        http2.read = then;
    }
    if passed.library == library::GO {
        message::socket_below(passed.below, &mut connection.socket);
    }
    let whole = if passed.len < MAX_FRAMES as u64 { passed.len as u32 } else { MAX_FRAMES as u32 };
    for n in 0..(MAX_FRAMES / MAX_PIECE) as u32 {
        let done = n * MAX_PIECE as u32;
        if done >= whole {
            break;
        }
        let rest = whole - done;
        let len = if rest < MAX_PIECE as u32 { rest } else { MAX_PIECE as u32 };
        let is_last = rest <= MAX_PIECE as u32;
        let omitted = if is_last { (passed.len - u64::from(whole)) as u32 } else { 0 };
        stretch(passed, connection, &Stretch { at, done, len, omitted });
    }
}

struct Stretch {
    /// Bytes that passed before what is passed now.
    at: u32,
    /// Of that, what was handed over already.
    done: u32,
    len: u32,
    omitted: u32,
}

/// As for pieces: programs at user probes can be preempted.
#[inline(always)]
fn stretch(passed: &Passed, connection: &Connection, which: &Stretch) {
    const FIXED: usize = size_of::<Frames>();
    let thread = bpf_get_current_pid_tgid();
    emit::with_scratch(Family::Tls as u16, |scratch| {
        let mut reader = Reader::new();
        let mut len = which.len as usize;
        if len > MAX_PIECE {
            len = MAX_PIECE;
        }
        let to = scratch.bytes[FIXED..FIXED + MAX_PIECE].as_mut_ptr();
        let from = passed.buffer.wrapping_add(u64::from(which.done));
        // SAFETY: there is room for what `len` was bounded to; the helper checks the source.
        let copied = unsafe { bpf_probe_read_user(to.cast(), len as u32, from as *const _) };
        if copied != 0 {
            reader.fail();
            len = 0;
        }
        let task = current();
        let record = scratch.record::<Frames>();
        record.entered_ns = passed.entered_ns;
        record.start_ns = reader.process_start_ns(task);
        record.conn = passed.conn;
        record.below = passed.below;
        record.socket = connection.socket;
        record.at = which.at.wrapping_add(which.done);
        record.written = u32::from(passed.written);
        record.of_client = u32::from(connection.http2.client_writes == record.written);
        record.is_fresh = u32::from(connection.http2.state == FROM_BEGINNING);
        record.begins = u32::from(which.done == 0);
        record.library = passed.library;
        record.omitted = which.omitted;
        record.len = len as u32;
        record.comm = reader.comm(task);
        let flags = if reader.failed() { flag::UNREADABLE } else { 0 };
        emit::emit_packet::<Frames>(scratch, ((thread >> 32) as u32, thread as u32), len, flags);
    });
}
