//! TLS handshakes on connections that watched processes open: whether they came to an end, and by which alert they
//! failed. Records are followed from header to header, by their lengths; read of them are an alert's two bytes.
//!
//! What TLS 1.3 hides is told by order. The client says nothing encrypted before it has the whole of the server's part
//! of the handshake, so what the server says after that is no part of it any more: it accepts the client's part by
//! speaking on, or refuses it by an alert.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_socket_cookie, generated::bpf_skb_load_bytes},
    macros::{cgroup_skb, map},
    maps::HashMap,
    programs::SkBuffContext,
};
use observer_ebpf::{
    Family,
    control::role,
    wire::{
        net::{Handshake, handshake as outcome},
        packet::{Address, Owner, Packet, direction, protocol, tcp},
    },
};

use crate::{
    emit::{self, Scratch, Slot, now},
    filter,
    kernel::{self, Reader, offset},
    owner,
    packet::{self, PASS},
};

const FAMILY: u16 = Family::Net as u16;
/// TLS records gone through in one packet.
const MAX_RECORDS: usize = 16;
/// With all options of IP and TCP a packet that opens a connection is no longer than this.
const LONGEST_OPENING: u32 = 120;
/// A server that refuses does so when it has read what it refuses. One that says goodbye later than this had nothing
/// to say.
const REFUSED_WITHIN_NS: u64 = 2_000_000_000;

/// What has passed.
mod seen {
    pub const CLIENT_SPOKE: u32 = 1 << 0;
    pub const SERVER_SPOKE: u32 = 1 << 1;
    /// ChangeCipherSpec: up to TLS 1.2 what follows is encrypted.
    pub const CLIENT_CHANGED: u32 = 1 << 2;
    pub const SERVER_CHANGED: u32 = 1 << 3;
    pub const CLIENT_FINISHED: u32 = 1 << 4;
    pub const SERVER_FINISHED: u32 = 1 << 5;
    /// Records of TLS 1.3 that say nothing of what they are; the client's after the server's.
    pub const SERVER_HID: u32 = 1 << 6;
    pub const CLIENT_HID: u32 = 1 << 7;
    /// Nothing more is to be learned of it.
    pub const OVER: u32 = 1 << 8;
    /// It has come to the outcome that is noted.
    pub const DECIDED: u32 = 1 << 9;
}

/// A connection whose handshake is not over.
#[repr(C)]
#[derive(Clone, Copy)]
struct Followed {
    owner: Owner,
    local: Address,
    remote: Address,
    began_ns: u64,
    /// When the client first said something that is hidden.
    hid_ns: u64,
    local_port: u16,
    remote_port: u16,
    /// Bits of [`seen`].
    flags: u32,
    /// Where the next record of each side begins: the client's, the server's.
    next: [u32; 2],
    outcome: u32,
    /// Level, description, and whether it was the client's: of an alert.
    alert: u32,
}

/// By the socket's cookie. Entries go when the handshake is over, or the connection closed.
#[map]
static HANDSHAKES: HashMap<u64, Followed> = HashMap::with_max_entries(16_384, 0);

#[cgroup_skb]
pub fn net_in(ctx: SkBuffContext) -> i32 {
    look(&ctx, direction::IN);
    PASS
}

#[cgroup_skb]
pub fn net_out(ctx: SkBuffContext) -> i32 {
    look(&ctx, direction::OUT);
    PASS
}

#[inline(always)]
fn look(ctx: &SkBuffContext, direction: u8) {
    // SAFETY: the helper takes the context and nothing else.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    // Nearly all packets of a node end here.
    if HANDSHAKES.get_ptr(cookie).is_none() {
        let may_open = direction == direction::OUT && ctx.len() <= LONGEST_OPENING;
        if !may_open || !is_watched() {
            return;
        }
    }
    let Some(headers) = packet::headers(ctx) else { return };
    if headers.protocol != protocol::TCP {
        return;
    }
    emit::with_slot(FAMILY, |slot| {
        let packet = packet_in(&mut slot.beside);
        let Some(payload) = packet::describe(ctx, &headers, direction, packet) else { return };
        // From here on the verifier shall forget by which of the many ways through the headers this was reached.
        follow(ctx, core::hint::black_box(slot), payload);
    });
}

/// The process is read from its task: not every kernel lends programs of packets the helper that names it.
#[inline(always)]
fn is_watched() -> bool {
    let tgid = Reader::new().tgid(kernel::current());
    filter::lookup(tgid).is_some_and(|watch| watch.flags & (role::PAYLOAD | role::ENGINE | role::CALLER) != 0)
}

#[inline(always)]
fn packet_in<const WORDS: usize>(room: &mut [u64; WORDS]) -> &mut Packet {
    const { assert!(size_of::<Packet>() <= 8 * WORDS && align_of::<Packet>() <= 8) };
    // SAFETY: large enough and aligned, and any bytes are one.
    unsafe { &mut *room.as_mut_ptr().cast() }
}

#[inline(always)]
fn follow(ctx: &SkBuffContext, slot: &mut Slot, payload: u32) {
    let (scratch, packet) = (&mut slot.scratch, packet_in(&mut slot.beside));
    let of_client = packet.direction == direction::OUT;
    if of_client && packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST) == tcp::SYN {
        return begin(packet);
    }
    let Some(pointer) = HANDSHAKES.get_ptr_mut(packet.cookie) else { return };
    // SAFETY: a map value; both directions of one connection may be at it at once, and set whole words.
    let followed = unsafe { &mut *pointer };
    if packet.payload_len != 0 {
        records(ctx, packet, payload, followed);
    }
    if is(followed, seen::DECIDED) {
        tell(scratch, packet.cookie, followed);
    }
    // A client that leaves without a word has its reasons, and what it is answered then is a goodbye.
    let leaves = packet.tcp_flags & (tcp::FIN | tcp::RST) != 0;
    if leaves || is(followed, seen::OVER) {
        let _ = HANDSHAKES.remove(packet.cookie);
    }
}

/// A watched process opens a connection. Sent again by a timer this may be anybody's context: then it is known by now.
#[inline(always)]
fn begin(packet: &Packet) {
    if HANDSHAKES.get_ptr(packet.cookie).is_some() || !is_watched() {
        return;
    }
    let followed = Followed {
        owner: owner::current(),
        local: packet.local,
        remote: packet.peer,
        began_ns: now(),
        hid_ns: 0,
        local_port: packet.local_port,
        remote_port: packet.peer_port,
        flags: 0,
        next: [packet.sequence.wrapping_add(1), 0],
        outcome: 0,
        alert: 0,
    };
    if followed.owner.tgid != 0 && HANDSHAKES.insert(packet.cookie, followed, 0).is_err() {
        emit::lose(FAMILY);
    }
}

/// A connection is closed.
#[inline(always)]
pub(super) fn ended(sock: u64) {
    let cookie: u64 = Reader::new().at(sock, offset!(sock_cookie));
    let _ = HANDSHAKES.remove(cookie);
}

#[inline(always)]
fn is(followed: &Followed, bit: u32) -> bool {
    // SAFETY: a member of a map value. The verifier shall not follow it: it would go through the records of a packet
    // once for each combination.
    unsafe { core::ptr::read_volatile(&raw const followed.flags) & bit != 0 }
}

#[inline(always)]
fn set(followed: &mut Followed, bits: u32) {
    let flags = &raw mut followed.flags;
    // SAFETY: as above.
    unsafe { core::ptr::write_volatile(flags, core::ptr::read_volatile(flags) | bits) };
}

/// Follows the records of a packet from header to header.
#[inline(always)]
fn records(ctx: &SkBuffContext, packet: &Packet, payload: u32, followed: &mut Followed) {
    let of_client = packet.direction == direction::OUT;
    let (side, spoke) = if of_client { (0, seen::CLIENT_SPOKE) } else { (1, seen::SERVER_SPOKE) };
    let (begin, end) = (packet.sequence, packet.sequence.wrapping_add(packet.payload_len));
    if !of_client && !is(followed, spoke) {
        followed.next[1] = begin;
    }
    set(followed, spoke);
    let mut next = followed.next[side];
    // Packets that come out of order are not put together.
    if begin.wrapping_sub(next) as i32 > 0 {
        return set(followed, seen::OVER);
    }
    for n in 0..MAX_RECORDS {
        if end.wrapping_sub(next) as i32 <= 0 || is(followed, seen::OVER) {
            break;
        }
        let offset = next.wrapping_sub(begin);
        let mut header = [0_u8; 7];
        // A header that lies in two packets is not put together; nor are more records than these gone through.
        if n == MAX_RECORDS - 1 || offset > 0xffff || !load(ctx, payload.wrapping_add(offset), &mut header, 5)
        {
            return set(followed, seen::OVER);
        }
        let len = u16::from_be_bytes([header[3], header[4]]);
        if !is_record(&header, len) {
            return set(followed, seen::OVER);
        }
        if len == 2 {
            let _ = load(ctx, payload.wrapping_add(offset), &mut header, 7);
        }
        record(followed, &header, len, of_client);
        next = next.wrapping_add(u32::from(len) + 5);
    }
    followed.next[side] = next;
}

/// Whether these bytes are the header of a TLS record.
#[inline(always)]
fn is_record(header: &[u8; 7], len: u16) -> bool {
    const LARGEST: u16 = (1 << 14) + 2048;
    header[0] >= 20 && header[0] <= 23 && header[1] == 3 && header[2] <= 4 && len != 0 && len <= LARGEST
}

#[inline(always)]
fn load(ctx: &SkBuffContext, at: u32, to: &mut [u8; 7], len: u32) -> bool {
    // SAFETY: there is room for what is asked for.
    unsafe { bpf_skb_load_bytes(ctx.as_ptr(), at, to.as_mut_ptr().cast(), len) == 0 }
}

/// A record begins; `header` has the two bytes behind it if those are all.
#[inline(always)]
fn record(followed: &mut Followed, header: &[u8; 7], len: u16, of_client: bool) {
    const CHANGE: u8 = 20;
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    let (changed, finished) = if of_client {
        (seen::CLIENT_CHANGED, seen::CLIENT_FINISHED)
    } else {
        (seen::SERVER_CHANGED, seen::SERVER_FINISHED)
    };
    match header[0] {
        CHANGE => set(followed, changed),
        ALERT if len == 2 => alert(followed, header[5], header[6], of_client),
        // Encrypted, up to TLS 1.2: only a goodbye comes that early.
        ALERT => set(followed, seen::OVER),
        HANDSHAKE => {
            // `Finished` with its encryption. In TLS 1.3 a second try of hellos comes after a change, too: those are longer.
            const LONGEST_FINISHED: u16 = 96;
            if is(followed, changed) && len <= LONGEST_FINISHED {
                set(followed, finished);
            }
            if is(followed, seen::CLIENT_FINISHED) && is(followed, seen::SERVER_FINISHED) {
                decide(followed, outcome::DONE, 0);
            }
        }
        _ => hidden(followed, len, of_client),
    }
}

/// An alert that can be read. Warnings end nothing, and who says goodbye or was called off has not failed.
#[inline(always)]
fn alert(followed: &mut Followed, level: u8, description: u8, of_client: bool) {
    const FATAL: u8 = 2;
    const CLOSE_NOTIFY: u8 = 0;
    const USER_CANCELED: u8 = 90;
    if description == CLOSE_NOTIFY || description == USER_CANCELED {
        set(followed, seen::OVER);
    } else if level == FATAL {
        let said = u32::from(level) | u32::from(description) << 8 | u32::from(of_client) << 16;
        decide(followed, outcome::ALERT, said);
    }
}

/// A record of TLS 1.3 that does not say what it is.
#[inline(always)]
fn hidden(followed: &mut Followed, len: u16, of_client: bool) {
    /// An alert: two bytes, their kind, and what authenticates them.
    const HIDDEN_ALERT: u16 = 19;
    if of_client {
        // What is said before the server has answered is sent ahead.
        if !is(followed, seen::SERVER_HID) {
            return;
        }
        if len != HIDDEN_ALERT {
            if !is(followed, seen::CLIENT_HID) {
                followed.hid_ns = now();
            }
            set(followed, seen::CLIENT_HID);
        } else if is(followed, seen::CLIENT_HID) {
            // Its part was done: a goodbye.
            set(followed, seen::OVER);
        } else {
            decide(followed, outcome::HIDDEN_ALERT, 1 << 16);
        }
    } else if !is(followed, seen::CLIENT_HID) {
        set(followed, seen::SERVER_HID);
    } else if len != HIDDEN_ALERT {
        decide(followed, outcome::DONE, 0);
    } else if now().wrapping_sub(followed.hid_ns) < REFUSED_WITHIN_NS {
        decide(followed, outcome::HIDDEN_ALERT, 0);
    } else {
        set(followed, seen::OVER);
    }
}

#[inline(always)]
fn decide(followed: &mut Followed, outcome: u32, alert: u32) {
    (followed.outcome, followed.alert) = (outcome, alert);
    set(followed, seen::DECIDED | seen::OVER);
}

#[inline(always)]
fn tell(scratch: &mut Scratch, cookie: u64, followed: &Followed) {
    let record = scratch.record::<Handshake>();
    record.owner = followed.owner;
    record.local = followed.local;
    record.remote = followed.remote;
    record.cookie = cookie;
    record.began_ns = followed.began_ns;
    record.local_port = followed.local_port;
    record.remote_port = followed.remote_port;
    record.outcome = followed.outcome;
    let [level, description, of_client, _] = followed.alert.to_le_bytes();
    (record.level, record.description, record.of_client) = (level, description, of_client);
    record.pad = [0; 5];
    emit::emit_packet::<Handshake>(scratch, (followed.owner.tgid, followed.owner.tid), 0, 0);
}
