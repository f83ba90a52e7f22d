//! Connections to endpoints that are watched, by their packets: when a side begins to speak, how much it said, how
//! the connection was made and how it ended.

mod records;
mod step;
mod table;

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};
use observer_ebpf::{
    Family,
    wire::{
        packet::{Packet, direction, protocol, tcp},
        webhook::{Connection, Head, MAX_HEAD, Moved, flow, head, known, what},
    },
};

use crate::{
    emit::{self, Scratch, Slot, now},
    kernel::{Reader, current},
    owner,
    packet::{self, PASS},
    probes::{cpu::served, tls},
};
use records::{Stretch, recognise, records};
use step::{Step, also, flow_of, is, speak};
use table::{WEBHOOK_CONNECTIONS, asked, connection, is_port};

const FAMILY: u16 = Family::Webhook as u16;
const PSH: u8 = 1 << 3;
/// Records of a run that are told for [`what::MORE`].
const MAX_MORE: u32 = 3;
/// What the server's time is marked at: between two of these a request is with it.
const MARKED: u32 = what::REQUEST | what::ANSWER | what::MORE | what::FIN_CLIENT | what::RST_CLIENT;

#[cgroup_skb]
pub fn webhook_in(ctx: SkBuffContext) -> i32 {
    look(&ctx, direction::IN);
    PASS
}

#[cgroup_skb]
pub fn webhook_out(ctx: SkBuffContext) -> i32 {
    look(&ctx, direction::OUT);
    PASS
}

#[inline(always)]
fn look(ctx: &SkBuffContext, direction: u8) {
    let Some(headers) = packet::headers(ctx) else { return };
    if headers.protocol != protocol::TCP {
        return;
    }
    let (_, peer_port) = packet::socket_ports(ctx);
    if !is_port(headers.source_port) && !is_port(headers.destination_port) && !is_port(peer_port) {
        return;
    }
    emit::with_slot(FAMILY, |slot| {
        let seen = Seen::within(&mut slot.beside);
        let Some(payload) = packet::describe(ctx, &headers, direction, &mut seen.packet) else { return };
        seen.payload = payload;
        seen.acknowledged = packet::acknowledged(ctx, &headers);
        seen.now = now();
        // From here on the verifier shall forget by which of the many ways through the headers this was reached.
        follow(ctx, core::hint::black_box(slot));
    });
}

/// A packet that is looked at, beside the record under construction.
#[repr(C)]
struct Seen {
    packet: Packet,
    now: u64,
    /// Where the payload begins.
    payload: u32,
    acknowledged: u32,
}

impl Seen {
    #[inline(always)]
    fn within<const WORDS: usize>(room: &mut [u64; WORDS]) -> &mut Seen {
        const { assert!(size_of::<Seen>() <= 8 * WORDS && align_of::<Seen>() <= 8) };
        // SAFETY: large enough and aligned, and any bytes are one.
        unsafe { &mut *room.as_mut_ptr().cast() }
    }
}

#[inline(always)]
fn follow(ctx: &SkBuffContext, slot: &mut Slot) {
    let (scratch, seen) = (&mut slot.scratch, Seen::within(&mut slot.beside));
    let packet = &seen.packet;
    let is_sent = packet.direction == direction::OUT;
    if is_sent && packet.payload_len != 0 {
        tls::bind(packet);
    }
    let opens = packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST) == tcp::SYN;
    if opens && !is_sent {
        return asked(packet, seen.now);
    }
    let Some(connection) = connection(packet, opens) else { return };
    let of_client = is_sent == is(connection, known::CLIENT);
    let step = Step { now: seen.now, of_client };
    if is_sent {
        connection.remote = packet.remote;
        connection.remote_port = packet.remote_port;
    }
    let flow = flow_of(connection, of_client);
    flow.seen_ns = step.now;
    flow.scratch = 0;
    if packet.tcp_flags & tcp::ACK != 0 {
        let other = flow_of(connection, !of_client);
        other.acknowledged = seen.acknowledged;
        other.flags |= flow::HEARD_OF;
    }
    if packet.tcp_flags & tcp::SYN != 0 {
        opening(packet, connection, &step);
    } else if packet.payload_len != 0 {
        passed(ctx, seen, connection, &step);
    }
    closing(packet, connection, &step);
    tell(ctx, scratch, seen, connection, &step);
}

#[inline(always)]
fn tell(ctx: &SkBuffContext, scratch: &mut Scratch, seen: &Seen, connection: &mut Connection, step: &Step) {
    let noted = step.noted(connection);
    let told = noted & !also::ALL;
    if told != 0 {
        tell_moved(scratch, &seen.packet, connection, told);
        if told & MARKED != 0 && !is(connection, known::CLIENT) {
            served::mark(scratch, &seen.packet, step.now, told, step.of_client);
        }
    }
    if noted & also::HELLO != 0 {
        tell_head(ctx, scratch, seen, head::HELLO);
    } else if noted & also::MESSAGE != 0 {
        tell_head(ctx, scratch, seen, if step.of_client { head::REQUEST } else { head::ANSWER });
    }
    let both = connection.request.flags & connection.answer.flags & flow::FIN;
    if told & (what::RST_CLIENT | what::RST_SERVER) != 0 || both != 0 {
        let _ = WEBHOOK_CONNECTIONS.remove(&seen.packet.cookie);
    }
}

#[inline(always)]
fn opening(packet: &Packet, connection: &mut Connection, step: &Step) {
    if step.of_client {
        if connection.syn_ns == 0 {
            connection.syn_ns = step.now;
        }
        connection.syns += 1;
        step.note(connection, what::SYN);
    } else if connection.established_ns == 0 {
        connection.established_ns = step.now;
        step.note(connection, what::ESTABLISHED);
    }
    let flow = flow_of(connection, step.of_client);
    flow.next = packet.sequence.wrapping_add(1);
    flow.next_record = flow.next;
    flow.flags |= flow::COUNTED;
}

#[inline(always)]
fn closing(packet: &Packet, connection: &mut Connection, step: &Step) {
    if packet.tcp_flags & tcp::RST != 0 {
        step.note(connection, if step.of_client { what::RST_CLIENT } else { what::RST_SERVER });
    } else if packet.tcp_flags & tcp::FIN != 0 {
        let flow = flow_of(connection, step.of_client);
        if flow.flags & flow::FIN == 0 {
            flow.flags |= flow::FIN;
            step.note(connection, if step.of_client { what::FIN_CLIENT } else { what::FIN_SERVER });
        }
    }
}

/// Payload: new bytes, or such as were sent before.
#[inline(always)]
fn passed(ctx: &SkBuffContext, seen: &Seen, connection: &mut Connection, step: &Step) {
    let packet = &seen.packet;
    let (begin, end) = (packet.sequence, packet.sequence.wrapping_add(packet.payload_len));
    let flow = flow_of(connection, step.of_client);
    let mut new_from = begin;
    if flow.flags & flow::COUNTED != 0 {
        let new = end.wrapping_sub(flow.next) as i32;
        if new <= 0 {
            flow.again += 1;
            // Told ever more seldom.
            if flow.again & (flow.again - 1) == 0 {
                step.note(connection, what::AGAIN);
            }
            return;
        }
        if begin.wrapping_sub(flow.next) as i32 > 0 {
            flow.flags = flow.flags & !flow::IN_STEP | flow::GAP;
        } else {
            new_from = flow.next;
        }
    }
    flow.flags |= flow::COUNTED;
    flow.next = end;
    let stream = Stretch { begin, end, at: seen.payload, new: end.wrapping_sub(new_from) };
    if !is(connection, known::TLS | known::PLAIN) {
        recognise(ctx, &stream, connection, step);
    }
    if is(connection, known::PLAIN) {
        speak(connection, step, stream.new);
    } else if is(connection, known::TLS) {
        records(ctx, &stream, connection, step);
    }
    let noted = step.noted(connection);
    if noted & (what::REQUEST | what::ANSWER) != 0 {
        if is(connection, known::PLAIN) {
            step.note(connection, also::MESSAGE);
        }
    } else if noted & also::SPOKE != 0 && packet.tcp_flags & PSH != 0 {
        let flow = flow_of(connection, step.of_client);
        if flow.told < MAX_MORE {
            flow.told += 1;
            step.note(connection, what::MORE);
        }
    }
}

#[inline(always)]
fn tell_moved(scratch: &mut Scratch, packet: &Packet, connection: &Connection, told: u32) {
    let record = scratch.record::<Moved>();
    record.cookie = packet.cookie;
    record.what = told;
    record.candidate = 0;
    if packet.direction == direction::OUT {
        record.candidate = Reader::new().tgid(current());
    }
    owner::of(packet, &mut record.owner);
    record.connection = *connection;
    let owner = (record.owner.tgid, record.owner.tid);
    emit::emit_packet::<Moved>(scratch, owner, 0, 0);
}

#[inline(always)]
fn tell_head(ctx: &SkBuffContext, scratch: &mut Scratch, seen: &Seen, of: u32) {
    let owner = owner::known(seen.packet.cookie);
    let payload_len = seen.packet.payload_len;
    let len = packet::copy::<{ size_of::<Head>() }, MAX_HEAD>(ctx, scratch, seen.payload, payload_len);
    let record = scratch.record::<Head>();
    record.cookie = seen.packet.cookie;
    record.of = of;
    record.len = len as u32;
    emit::emit_packet::<Head>(scratch, (owner.tgid, owner.tid), len, 0);
}
