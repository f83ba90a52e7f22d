//! Queries that a rule of this node drops before they are let out of their socket. No program of packets sees them; whoever
//! sends one is told that it may not.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use observer_ebpf::{
    Family,
    control::shed,
    wire::{
        dns::{MAX_MESSAGE, Message, PORT, SocketError},
        flag,
        packet::{direction, protocol},
    },
};

use super::resolver;
use crate::{
    drops::Ends,
    emit::{self, Scratch},
    kernel::{Reader, offset},
    owner,
    shed::is_shed,
    sock,
};

const EPERM: u32 = 1;
const UDP_HEADER: u32 = 8;

/// Non-zero: look-ups are told. Set before the programs are loaded, so that the verifier takes it out otherwise.
#[unsafe(no_mangle)]
static DNS: u32 = 0;

/// A rule drops this packet, in whatever context.
#[inline(always)]
pub fn dropped(skb: u64, ends: &Ends) {
    // SAFETY: a static of this program. Volatile: the loader rewrites it after compilation.
    let is_told = unsafe { core::ptr::read_volatile(&raw const DNS) != 0 };
    if !is_told || ends.destination_port != PORT || ends.protocol != protocol::UDP {
        return;
    }
    let mut reader = Reader::new();
    let device: u64 = reader.at(skb, offset!(skb_device));
    let socket: u64 = reader.at(skb, offset!(skb_sock));
    // It gets a device when it is let out, and has one when it comes in; from then on it was seen.
    if device != 0 || socket == 0 || reader.failed() {
        return;
    }
    resolver::asks();
    if !is_shed(shed::DNS) {
        emit::with_scratch(Family::Dns as u16, |scratch| tell(scratch, skb, socket, ends));
    }
}

/// As a message that was sent, and what its sender was told.
#[inline(always)]
fn tell(scratch: &mut Scratch, skb: u64, socket: u64, ends: &Ends) {
    const AT: usize = size_of::<Message>();
    let mut reader = Reader::new();
    let numbered: u64 = reader.at(socket, offset!(sock_cookie));
    // A socket gets its number when somebody asks for it. Addresses of the kernel are no such numbers.
    let cookie = if numbered == 0 { socket } else { numbered };
    let peer_port = sock::remote_port(socket, &mut reader);
    let said = u16::from_be(reader.at(ends.transport, 4));
    let len = u32::from(said).saturating_sub(UDP_HEADER);
    // What is in pages of their own is not looked for.
    let is_apart = reader.at::<u32>(skb, offset!(skb_data_len)) != 0;
    let from = ends.transport.wrapping_add(u64::from(UDP_HEADER));
    let copied = if is_apart { 0 } else { copy::<AT>(scratch, from, len) };
    // In place: Linux 6.1 counts what is put together on the stack first, and has no room for it.
    let message: &mut Message = scratch.record();
    owner::write_current(&mut message.owner);
    let by = (message.owner.tgid, message.owner.tid);
    let packet = &mut message.packet;
    packet.cookie = cookie;
    packet.local = ends.source;
    packet.remote = ends.destination;
    packet.peer = if peer_port == 0 { [0; 16] } else { sock::remote_of(socket, &mut reader) };
    (packet.local_port, packet.remote_port, packet.peer_port) =
        (ends.source_port, ends.destination_port, peer_port);
    (packet.protocol, packet.direction) = (ends.protocol, direction::OUT);
    (packet.payload_len, packet.sequence, packet.tcp_flags, packet.pad) = (len, 0, 0, [0; 7]);
    (message.copied, message.pad) = (copied as u32, 0);
    let flags = if copied == 0 || reader.failed() {
        flag::UNREADABLE
    } else if (copied as u32) < len {
        flag::TRUNCATED
    } else {
        0
    };
    emit::emit_packet::<Message>(scratch, by, copied, flags);
    let error: &mut SocketError = scratch.record();
    error.cookie = cookie;
    (error.local, error.local_port) = (ends.source, ends.source_port);
    (error.remote, error.remote_port) = (ends.destination, ends.destination_port);
    error.errno = EPERM;
    owner::write_current(&mut error.owner);
    emit::emit_packet::<SocketError>(scratch, by, 0, 0);
}

#[inline(always)]
fn copy<const AT: usize>(scratch: &mut Scratch, from: u64, len: u32) -> usize {
    if len == 0 {
        return 0;
    }
    let len = if len as usize > MAX_MESSAGE { MAX_MESSAGE } else { len as usize };
    // As for packets: bounds that survive on every kernel, from 1 to the most.
    let len = ((len - 1) & (MAX_MESSAGE - 1)) + 1;
    let to = scratch.bytes[AT..AT + MAX_MESSAGE].as_mut_ptr();
    // SAFETY: there is room for `MAX_MESSAGE` bytes; the verifier checks it again.
    let result = unsafe { bpf_probe_read_kernel(to.cast(), len as u32, from as *const _) };
    if result == 0 { len } else { 0 }
}
