//! What passes: TLS by the lengths of its records, or HTTP/1 by its first bytes. Nothing is decrypted.

use aya_ebpf::{EbpfContext, helpers::generated::bpf_skb_load_bytes, programs::SkBuffContext};
use observer_ebpf::wire::webhook::{Connection, RECORDS_TOLD, flow, known, what};

use super::step::{Step, also, flow_of, is, set, speak};

/// TLS records gone through in one packet; what is beyond them is followed again from the next packet on.
const MAX_RECORDS: usize = 32;
/// Records by which a client may end its part of a handshake.
const MAX_HANDSHAKE_RECORDS: u32 = 6;

/// A packet's payload: its first byte's number, the one after its last, where it lies, how much of it is new.
pub(super) struct Stretch {
    pub begin: u32,
    pub end: u32,
    pub at: u32,
    pub new: u32,
}

/// Whether this is TLS, or HTTP/1 without encryption, or neither.
#[inline(always)]
pub(super) fn recognise(ctx: &SkBuffContext, stream: &Stretch, connection: &mut Connection, step: &Step) {
    let mut first = [0_u8; 5];
    if !load(ctx, stream.at, &mut first) {
        return;
    }
    if record_len(&first).is_some() {
        set(connection, known::TLS, 0);
    } else {
        let is_answer = first == *b"HTTP/";
        let is_method = first[..3].iter().all(|byte| byte.is_ascii_uppercase());
        if (step.of_client && is_method) || (!step.of_client && is_answer) {
            set(connection, known::PLAIN, 0);
        }
    }
}

/// What these bytes say comes behind them, if they are the header of a TLS record.
#[inline(always)]
fn record_len(header: &[u8; 5]) -> Option<u16> {
    const LARGEST: u16 = (1 << 14) + 256;
    let len = u16::from_be_bytes([header[3], header[4]]);
    let is_one =
        header[0] >= 20 && header[0] <= 23 && header[1] == 3 && header[2] <= 4 && len != 0 && len <= LARGEST;
    is_one.then_some(len)
}

#[inline(always)]
fn load(ctx: &SkBuffContext, at: u32, to: &mut [u8; 5]) -> bool {
    // SAFETY: there is room for what is asked for.
    unsafe { bpf_skb_load_bytes(ctx.as_ptr(), at, to.as_mut_ptr().cast(), 5) == 0 }
}

/// Follows the TLS records of a packet from header to header.
#[inline(always)]
pub(super) fn records(ctx: &SkBuffContext, stream: &Stretch, connection: &mut Connection, step: &Step) {
    let flow = flow_of(connection, step.of_client);
    if flow.flags & flow::IN_STEP == 0 {
        // A packet that begins with a header: from here on.
        flow.next_record = stream.begin;
        flow.flags |= flow::IN_STEP;
        flow.flags &= !flow::OF_APPLICATION;
    }
    let mut next = flow.next_record;
    if next.wrapping_sub(stream.begin) as i32 > 0 && flow.flags & flow::OF_APPLICATION != 0 {
        speak(connection, step, 0);
    }
    let mut in_step = true;
    for n in 0..MAX_RECORDS {
        let offset = next.wrapping_sub(stream.begin);
        if stream.end.wrapping_sub(next) as i32 <= 0 {
            break;
        }
        let mut header = [0_u8; 5];
        // A header that lies in two packets is not put together; nor are more records than these gone through.
        if n == MAX_RECORDS - 1
            || offset as i32 > 0xffff
            || !load(ctx, stream.at.wrapping_add(offset), &mut header)
        {
            in_step = false;
            break;
        }
        let Some(len) = record_len(&header) else {
            in_step = false;
            break;
        };
        record(ctx, stream.at.wrapping_add(offset), header[0], len, connection, step);
        next = next.wrapping_add(u32::from(len) + 5);
    }
    let flow = flow_of(connection, step.of_client);
    flow.next_record = next;
    if !in_step {
        flow.flags = flow.flags & !flow::IN_STEP | flow::GAP;
    }
}

/// A TLS record begins. Those of the handshake are told from those of the application.
#[inline(always)]
fn record(ctx: &SkBuffContext, at: u32, kind: u8, len: u16, connection: &mut Connection, step: &Step) {
    const CHANGE: u8 = 20;
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const APPLICATION: u8 = 23;
    /// An alert of TLS 1.3: two bytes, their kind, and what authenticates them.
    const HIDDEN_ALERT: u16 = 19;
    let requested = is(connection, known::REQUESTED);
    let of_client = step.of_client;
    flow_of(connection, of_client).flags &= !flow::OF_APPLICATION;
    if kind == ALERT || (kind == APPLICATION && len == HIDDEN_ALERT) {
        step.note(connection, if of_client { what::ALERT_CLIENT } else { what::ALERT_SERVER });
    } else if kind != APPLICATION {
        if !requested {
            if kind == HANDSHAKE && of_client && !is(connection, known::HANDSHAKE) {
                hello(ctx, at, connection, step);
            }
            set(connection, known::HANDSHAKE, 0);
            if kind == CHANGE {
                set(connection, if of_client { known::CLIENT_CHANGED } else { known::SERVER_CHANGED }, 0);
            }
            connection.secured_ns = step.now;
        }
    } else if requested || !is(connection, known::HANDSHAKE) || !is_of_handshake(connection, step, len) {
        let flow = flow_of(connection, of_client);
        flow.flags |= flow::OF_APPLICATION;
        speak(connection, step, u32::from(len));
        let flow = flow_of(connection, of_client);
        let told = flow.records as usize;
        if told < RECORDS_TOLD {
            flow.record_ns[told] = step.now;
            flow.record_len[told] = len;
        }
        flow.records += 1;
    }
}

/// The handshake's first message: what it says is for user space to read.
#[inline(always)]
fn hello(ctx: &SkBuffContext, at: u32, connection: &mut Connection, step: &Step) {
    const CLIENT_HELLO: u8 = 1;
    let mut message = [0_u8; 5];
    if load(ctx, at.wrapping_add(5), &mut message) && message[0] == CLIENT_HELLO {
        connection.hello_ns = step.now;
        step.note(connection, what::HELLO | also::HELLO);
    }
}

/// Before the first request, TLS 1.3 hides what it is that passes: the server's part of the handshake, then the
/// client's, of which the last record is `Finished`, then tickets of the server.
#[inline(always)]
fn is_of_handshake(connection: &mut Connection, step: &Step, len: u16) -> bool {
    /// `Finished`: a hash of 32 or 48 bytes, 4 in front of it, its kind, and what authenticates it.
    const FINISHED: [u16; 2] = [53, 69];
    if !step.of_client {
        if !is(connection, known::SECURED) {
            set(connection, known::ENCRYPTED_HANDSHAKE, 0);
            connection.secured_ns = step.now;
        } else {
            connection.ticket_len = u32::from(len);
        }
        return true;
    }
    if !is(connection, known::ENCRYPTED_HANDSHAKE) || is(connection, known::SECURED) {
        set(connection, known::SECURED, 0);
        return false;
    }
    connection.handshake_records += 1;
    connection.secured_ns = step.now;
    if len == FINISHED[0] || len == FINISHED[1] {
        set(connection, known::SECURED, 0);
    } else if connection.handshake_records >= MAX_HANDSHAKE_RECORDS {
        set(connection, known::SECURED | known::UNSURE, 0);
    }
    true
}
