//! Which bytes that pass a TLS connection begin a message that may be a webhook call's, and how much of it is handed
//! over. Only the first bytes are compared here; messages are understood in user space. What passes a connection of
//! HTTP/2 is handed over as it is: where its messages begin, only who has read all before can tell.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user},
    macros::map,
    maps::{HashMap, LruHashMap},
};
use observer_ebpf::{
    Family,
    wire::{
        flag,
        tls::{MAX_MESSAGE, MAX_PIECE, Piece, Socket, library, part, side},
    },
};

use crate::{
    emit, files, filter, frames,
    kernel::{Reader, current},
};

/// Processes whose calls are of interest, with bits of [`side`]. User space fills it in, and removes what has ended.
#[map]
static TLS_ASKED: HashMap<u32, u32> = HashMap::with_max_entries(1_024, 0);

/// A connection of a library, by its address in a process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ConnectionKey {
    pub tgid: u64,
    pub conn: u64,
}

/// How far the messages of a connection are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Connection {
    pub socket: Socket,
    /// Bytes of the current message that are still to be handed over.
    left: u32,
    /// Which way the current message goes.
    written: u32,
    /// Which way an answer will go: [`WRITTEN`], [`READ`], or 0 where no request was seen.
    awaits: u32,
    /// A single byte was read that may begin a request: 1.
    begun: u32,
    /// It is of HTTP/2.
    pub http2: frames::Http2,
}

const FRESH: Connection =
    Connection { socket: UNKNOWN, left: 0, written: 0, awaits: 0, begun: 0, http2: frames::NONE };
pub const UNKNOWN: Socket =
    Socket { cookie: 0, local: [0; 16], remote: [0; 16], local_port: 0, remote_port: 0, pad: 0 };

const WRITTEN: u32 = 1;
const READ: u32 = 2;

/// What goes is the connection that was silent longest: of its current message no more is seen, and the next message
/// begins anew.
#[map]
static TLS_CONNECTIONS: LruHashMap<ConnectionKey, Connection> = LruHashMap::with_max_entries(16_384, 0);

/// One call of a library, done.
pub struct Passed {
    pub conn: u64,
    /// What the connection is made over.
    pub below: u64,
    /// In the memory of the process.
    pub buffer: u64,
    pub len: u64,
    pub entered_ns: u64,
    pub written: bool,
    pub library: u32,
}

/// Bits of [`side`] of the current process, 0 where it is not of interest.
#[inline(always)]
pub fn asked() -> u32 {
    // SAFETY: the value is only copied.
    unsafe { TLS_ASKED.get(filter::current_tgid()) }.copied().unwrap_or(0)
}

/// Notes which socket a connection has.
#[inline(always)]
pub fn bind(key: &ConnectionKey, socket: &Socket) {
    match TLS_CONNECTIONS.get_ptr_mut(key) {
        // SAFETY: map values outlive the program run; concurrent writers are of the same connection.
        Some(known) => unsafe { (*known).socket = *socket },
        None => {
            let _ = TLS_CONNECTIONS.insert(key, Connection { socket: *socket, ..FRESH }, 0);
        }
    }
}

/// Bytes have passed: hands over what of them may belong to a call.
#[inline(always)]
pub fn passed(asked: u32, passed: &Passed) {
    let key = ConnectionKey { tgid: u64::from(filter::current_tgid()), conn: passed.conn };
    let known = TLS_CONNECTIONS.get_ptr_mut(&key);
    // SAFETY: as above.
    let known = known.map(|pointer| unsafe { &*pointer });
    let way = if passed.written { WRITTEN } else { READ };
    let wanted = if passed.written { side::CLIENT } else { side::SERVER };
    let begins = first_bytes(passed);
    let is_http2 = known.is_some_and(|known| known.http2.is_one());
    if !is_request(begins, passed.written) && frames::are_to_be_followed(asked, wanted, begins, is_http2) {
        let Some(connection) = entry(&key) else { return };
        return frames::passed(&key, connection, begins, passed);
    }
    let begun = known.is_some_and(|known| known.begun != 0) && !passed.written;
    let part = if begun && begins & FOUR == OST && asked & wanted != 0 {
        part::REQUEST_REST
    } else if is_request(begins, passed.written) {
        if asked & wanted != 0 { part::REQUEST } else { 0 }
    } else {
        match &known {
            Some(known) if begins & SEVEN == RESPONSE && known.awaits == way => part::RESPONSE,
            Some(known) if known.left > 0 && known.written == way => part::MORE,
            _ => 0,
        }
    };
    if part == 0 {
        if passed.len == 1 && !passed.written && asked & wanted != 0 {
            begin(&key, passed);
        }
        return;
    }
    let Some(connection) = entry(&key) else { return };
    if passed.library == library::GO {
        socket_below(passed.below, &mut connection.socket);
    }
    connection.written = way;
    if part != part::MORE {
        connection.left = MAX_MESSAGE;
        connection.http2 = frames::NONE;
    }
    connection.begun = 0;
    if part == part::REQUEST || part == part::REQUEST_REST {
        connection.awaits = if passed.written { READ } else { WRITTEN };
    }
    let left = connection.left;
    let take = if passed.len < u64::from(left) { passed.len as u32 } else { left };
    connection.left = left - take;
    hand_over(passed, part, &connection.socket, take);
}

/// A single byte was read: it may be the first of a request.
#[inline(always)]
fn begin(key: &ConnectionKey, passed: &Passed) {
    let mut byte = 0u8;
    // SAFETY: `byte` has room; the helper checks the address, and leaves a zero where it fails.
    unsafe { bpf_probe_read_user((&raw mut byte).cast(), 1, passed.buffer as *const _) };
    if byte == b'P'
        && let Some(connection) = entry(key)
    {
        connection.begun = 1;
    }
}

/// The connection, begun if it is not known yet.
#[inline(always)]
fn entry(key: &ConnectionKey) -> Option<&'static mut Connection> {
    let mut pointer = TLS_CONNECTIONS.get_ptr_mut(key);
    if pointer.is_none() {
        let _ = TLS_CONNECTIONS.insert(key, FRESH, 0);
        pointer = TLS_CONNECTIONS.get_ptr_mut(key);
    }
    // SAFETY: map values outlive the program run; concurrent writers are of the same connection.
    pointer.map(|pointer| unsafe { &mut *pointer })
}

/// Of Go: `tls.Conn` is made over a `*net.TCPConn`, which begins with a `*net.netFD`, whose third word is the
/// descriptor. If it is made over something else, what is found is hardly a TCP socket.
#[inline(always)]
pub fn socket_below(below: u64, socket: &mut Socket) {
    let descriptor = user_word(user_word(below).wrapping_add(16));
    if descriptor <= u64::from(u32::MAX) {
        files::tcp_socket(descriptor as u32, socket);
    }
}

/// 0 where it cannot be read.
#[inline(always)]
pub fn user_word(address: u64) -> u64 {
    let mut word = 0u64;
    // SAFETY: `word` has room; the helper checks the address itself, and leaves a zero where it fails.
    unsafe { bpf_probe_read_user((&raw mut word).cast(), size_of::<u64>() as u32, address as *const _) };
    word
}

/// The first bytes of messages, as a word of memory holds them.
const POST: u64 = u64::from_ne_bytes(*b"POST \0\0\0");
const FIVE: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
const OST: u64 = u64::from_ne_bytes(*b"OST \0\0\0\0");
const FOUR: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
const CONNECT: u64 = u64::from_ne_bytes(*b"CONNECT ");
const RESPONSE: u64 = u64::from_ne_bytes(*b"HTTP/1.\0");
const SEVEN: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);

/// Tunnels are of interest where they are asked for: what is inside is a connection of the same process.
#[inline(always)]
fn is_request(begins: u64, written: bool) -> bool {
    begins & FIVE == POST || written && begins == CONNECT
}

/// 0 where there are too few.
#[inline(always)]
fn first_bytes(passed: &Passed) -> u64 {
    if passed.len < size_of::<u64>() as u64 { 0 } else { user_word(passed.buffer) }
}

/// In at most two records.
#[inline(always)]
fn hand_over(passed: &Passed, part: u32, socket: &Socket, take: u32) {
    let first = if take < MAX_PIECE as u32 { take } else { MAX_PIECE as u32 };
    let rest = take - first;
    let omitted = passed.len - u64::from(take);
    let omitted = if omitted > u64::from(u32::MAX) { u32::MAX } else { omitted as u32 };
    let of_first = if rest == 0 { omitted } else { 0 };
    piece(passed, part, socket, Bytes { at: 0, len: first, omitted: of_first });
    if rest > 0 {
        piece(passed, part::MORE, socket, Bytes { at: first, len: rest, omitted });
    }
}

/// Which of the bytes that passed.
struct Bytes {
    at: u32,
    len: u32,
    /// Bytes behind them that are not handed over.
    omitted: u32,
}

/// Programs at user probes can be preempted by others on their CPU: the scratch buffer of the CPU is not for them.
#[inline(always)]
fn piece(passed: &Passed, part: u32, socket: &Socket, which: Bytes) {
    const FIXED: usize = size_of::<Piece>();
    let thread = bpf_get_current_pid_tgid();
    emit::with_scratch(Family::Tls as u16, |scratch| {
        let mut reader = Reader::new();
        let mut len = which.len as usize;
        if len > MAX_PIECE {
            len = MAX_PIECE;
        }
        let to = scratch.bytes[FIXED..FIXED + MAX_PIECE].as_mut_ptr();
        let from = passed.buffer.wrapping_add(u64::from(which.at));
        // SAFETY: there is room for what `len` was bounded to; the helper checks the source.
        let copied = unsafe { bpf_probe_read_user(to.cast(), len as u32, from as *const _) };
        if copied != 0 {
            reader.fail();
            len = 0;
        }
        let task = current();
        let record = scratch.record::<Piece>();
        record.entered_ns = passed.entered_ns;
        record.start_ns = reader.process_start_ns(task);
        record.conn = passed.conn;
        record.below = passed.below;
        record.socket = *socket;
        record.part = part;
        record.written = u32::from(passed.written);
        record.library = passed.library;
        record.omitted = which.omitted;
        record.len = len as u32;
        record.pad = 0;
        record.comm = reader.comm(task);
        let flags = if reader.failed() { flag::UNREADABLE } else { 0 };
        emit::emit_packet::<Piece>(scratch, ((thread >> 32) as u32, thread as u32), len, flags);
    });
}
