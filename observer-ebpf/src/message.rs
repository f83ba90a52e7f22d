//! Which bytes that pass a TLS connection begin a message that may be a webhook call's, and how much of it is handed
//! over. Only the first bytes are compared here; messages are understood in user space.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user},
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use observer_ebpf::{
    Family,
    wire::tls::{MAX_MESSAGE, MAX_PIECE, Piece, part, side},
};

use crate::{
    emit, filter,
    kernel::{Reader, current},
    probes::NO_HEADER,
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
struct Connection {
    /// Of its socket; 0: not known.
    cookie: u64,
    /// Bytes of the current message that are still to be handed over.
    left: u32,
    /// Which way the current message goes.
    written: u32,
    /// Which way an answer will go: [`WRITTEN`], [`READ`], or 0 where no request was seen.
    awaits: u32,
    pad: u32,
}

const WRITTEN: u32 = 1;
const READ: u32 = 2;

/// What goes is the connection that was silent longest: of its current message no more is seen, and the next message
/// begins anew.
#[map]
static TLS_CONNECTIONS: LruHashMap<ConnectionKey, Connection> = LruHashMap::with_max_entries(16_384, 0);

/// A record under construction, by thread. Programs at user probes can be preempted by others on their CPU, so that
/// the scratch buffer of the CPU is not for them.
#[repr(C, align(8))]
struct Draft {
    bytes: [u8; size_of::<Piece>() + MAX_PIECE],
}

#[map]
static TLS_DRAFTS: HashMap<u64, Draft> = HashMap::with_max_entries(512, 0);

/// What a draft begins as: nothing of an older one.
#[map]
static TLS_BLANK: Array<Draft> = Array::with_max_entries(1, 0);

/// One call of a library, done.
pub struct Passed {
    pub conn: u64,
    pub below: u64,
    pub cookie: u64,
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
pub fn bind(key: &ConnectionKey, cookie: u64) {
    match TLS_CONNECTIONS.get_ptr_mut(key) {
        // SAFETY: map values outlive the program run; concurrent writers only ever set whole words.
        Some(known) => unsafe { (*known).cookie = cookie },
        None => {
            let fresh = Connection { cookie, left: 0, written: 0, awaits: 0, pad: 0 };
            let _ = TLS_CONNECTIONS.insert(key, fresh, 0);
        }
    }
}

/// Bytes have passed: hands over what of them may belong to a call.
#[inline(always)]
pub fn passed(asked: u32, passed: &Passed) {
    let key = ConnectionKey { tgid: u64::from(filter::current_tgid()), conn: passed.conn };
    let known = TLS_CONNECTIONS.get_ptr_mut(&key);
    // SAFETY: as above.
    let known = known.map(|pointer| unsafe { &mut *pointer });
    let way = if passed.written { WRITTEN } else { READ };
    let wanted = if passed.written { side::CLIENT } else { side::SERVER };
    let begins = first_bytes(passed);
    let part = if is_request(begins, passed.written) {
        if asked & wanted != 0 { part::REQUEST } else { 0 }
    } else if begins == HTTP2 {
        if asked & wanted != 0 { part::HTTP2 } else { 0 }
    } else {
        match &known {
            Some(known) if begins & SEVEN == RESPONSE && known.awaits == way => part::RESPONSE,
            Some(known) if known.left > 0 && known.written == way => part::MORE,
            _ => 0,
        }
    };
    if part == 0 {
        return;
    }
    let mut next = known.as_deref().copied().unwrap_or(Connection { cookie: 0, left: 0, written: 0, awaits: 0, pad: 0 });
    if passed.cookie != 0 {
        next.cookie = passed.cookie;
    }
    next.written = way;
    if part != part::MORE {
        next.left = if part == part::HTTP2 { 0 } else { MAX_MESSAGE };
    }
    if part == part::REQUEST {
        next.awaits = if passed.written { READ } else { WRITTEN };
    }
    let left = next.left;
    next.left = if passed.len < u64::from(left) { left - passed.len as u32 } else { 0 };
    match known {
        Some(known) => *known = next,
        None => {
            let _ = TLS_CONNECTIONS.insert(key, next, 0);
        }
    }
    let take = if passed.len < u64::from(left) { passed.len as u32 } else { left };
    hand_over(passed, part, next.cookie, take);
}

/// The first bytes of messages, as a word of memory holds them.
const POST: u64 = u64::from_ne_bytes(*b"POST \0\0\0");
const FIVE: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
const CONNECT: u64 = u64::from_ne_bytes(*b"CONNECT ");
const RESPONSE: u64 = u64::from_ne_bytes(*b"HTTP/1.\0");
const SEVEN: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
const HTTP2: u64 = u64::from_ne_bytes(*b"PRI * HT");

/// Tunnels are of interest where they are asked for: what is inside is a connection of the same process.
#[inline(always)]
fn is_request(begins: u64, written: bool) -> bool {
    begins & FIVE == POST || written && begins == CONNECT
}

/// 0 where there are too few.
#[inline(always)]
fn first_bytes(passed: &Passed) -> u64 {
    let mut word = 0u64;
    if passed.len >= size_of::<u64>() as u64 {
        // SAFETY: `word` has room; the helper checks the address, and leaves a zero where it fails.
        unsafe { bpf_probe_read_user((&raw mut word).cast(), size_of::<u64>() as u32, passed.buffer as *const _) };
    }
    word
}

/// In at most two records.
#[inline(always)]
fn hand_over(passed: &Passed, part: u32, cookie: u64, take: u32) {
    let thread = bpf_get_current_pid_tgid();
    let Some(blank) = TLS_BLANK.get(0) else { return };
    if TLS_DRAFTS.insert(thread, blank, 0).is_err() {
        emit::lose(Family::Tls as u16);
        return;
    }
    if let Some(draft) = TLS_DRAFTS.get_ptr_mut(thread) {
        // SAFETY: the entry is this thread's own.
        let draft = unsafe { &mut *draft };
        let first = if take < MAX_PIECE as u32 { take } else { MAX_PIECE as u32 };
        let rest = take - first;
        let omitted = if passed.len > u64::from(take) { passed.len - u64::from(take) } else { 0 };
        let (of_first, of_rest) = if rest == 0 { (omitted, 0) } else { (0, omitted) };
        piece(draft, passed, part, cookie, Bytes { at: 0, len: first, omitted: of_first });
        if rest > 0 {
            piece(draft, passed, part::MORE, cookie, Bytes { at: first, len: rest, omitted: of_rest });
        }
    }
    let _ = TLS_DRAFTS.remove(thread);
}

/// Which of the bytes that passed.
struct Bytes {
    at: u32,
    len: u32,
    /// Bytes behind them that are not handed over.
    omitted: u64,
}

#[inline(always)]
fn piece(draft: &mut Draft, passed: &Passed, part: u32, cookie: u64, which: Bytes) {
    const FIXED: usize = size_of::<Piece>();
    let mut reader = Reader::new();
    let task = current();
    let mut len = which.len as usize;
    if len > MAX_PIECE {
        len = MAX_PIECE;
    }
    // SAFETY: the draft has room for what `len` was bounded to; the helper checks the source.
    let copied = unsafe {
        bpf_probe_read_user(
            draft.bytes.as_mut_ptr().add(FIXED).cast(),
            len as u32,
            passed.buffer.wrapping_add(u64::from(which.at)) as *const _,
        )
    };
    if copied != 0 {
        reader.fail();
        len = 0;
    }
    let record = Piece {
        header: NO_HEADER,
        entered_ns: passed.entered_ns,
        start_ns: reader.process_start_ns(task),
        conn: passed.conn,
        below: passed.below,
        cookie,
        part,
        written: u32::from(passed.written),
        library: passed.library,
        omitted: if which.omitted > u64::from(u32::MAX) { u32::MAX } else { which.omitted as u32 },
        comm: reader.comm(task),
    };
    emit::emit_from(&mut draft.bytes, record, len, reader.failed());
}
