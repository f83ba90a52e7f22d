//! Messages between this node's sockets and port 53, and errors that such sockets are told. A server's side of it
//! is not reported: whoever asked is, if it is on this node.

pub mod resolver;
pub mod withheld;

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};
use observer_ebpf::{
    Family,
    control::shed,
    wire::{
        dns::{MAX_MESSAGE, Message, PORT, SocketError},
        flag,
        packet::direction,
    },
};

use super::{NO_HEADER, arg, raw_rungs};
use crate::{
    emit::{self, Scratch},
    kernel::{Reader, offset},
    owner,
    packet::{self, Headers, PASS},
    shed::is_shed,
    sock,
};

#[cgroup_skb(ingress)]
pub fn dns_ingress(ctx: SkBuffContext) -> i32 {
    seen(&ctx, direction::IN);
    PASS
}

#[cgroup_skb(egress)]
pub fn dns_egress(ctx: SkBuffContext) -> i32 {
    seen(&ctx, direction::OUT);
    PASS
}

#[inline(always)]
fn seen(ctx: &SkBuffContext, direction: u8) {
    let (_, peer) = packet::socket_ports(ctx);
    // Nearly all packets of a node end here.
    if peer != PORT && peer != 0 {
        return;
    }
    let Some(headers) = packet::headers(ctx) else { return };
    let is_sent = direction == direction::OUT;
    let remote = if is_sent { headers.destination_port } else { headers.source_port };
    // A service's port need not be that of who stands behind it.
    if remote != PORT && peer != PORT {
        return;
    }
    if is_sent {
        resolver::asks();
    }
    if is_shed(shed::DNS) {
        return;
    }
    emit::with_scratch(Family::Dns as u16, |scratch| tell(ctx, &headers, direction, scratch));
}

#[inline(always)]
fn tell(ctx: &SkBuffContext, headers: &Headers, direction: u8, scratch: &mut Scratch) {
    const AT: usize = size_of::<Message>();
    let message: &mut Message = scratch.record();
    let Some(payload) = packet::describe(ctx, headers, direction, &mut message.packet) else { return };
    owner::of(&message.packet, &mut message.owner);
    let len = message.packet.payload_len;
    if len == 0 {
        return;
    }
    let owner = (message.owner.tgid, message.owner.tid);
    let copied = packet::copy::<AT, MAX_MESSAGE>(ctx, scratch, payload, len);
    let message: &mut Message = scratch.record();
    (message.copied, message.pad) = (copied as u32, 0);
    let flags = if copied == 0 {
        flag::UNREADABLE
    } else if (copied as u32) < len {
        flag::TRUNCATED
    } else {
        0
    };
    emit::emit_packet::<Message>(scratch, owner, copied, flags);
}

raw_rungs!(dns_error_btf, dns_error_raw, "inet_sk_error_report", failed);

/// `inet_sk_error_report(sk)`, in whatever context the error arrives.
#[inline(always)]
fn failed(args: *const u64) {
    let socket = arg(args, 0);
    let mut reader = Reader::new();
    // Sockets that collect errors are told of one before it is set, and once more when it is.
    let errno: i32 = reader.at(socket, offset!(sock_error));
    if sock::remote_port(socket, &mut reader) != PORT || errno == 0 || is_shed(shed::DNS) {
        return;
    }
    let cookie: u64 = reader.at(socket, offset!(sock_cookie));
    let owner = owner::known(cookie);
    let record = SocketError {
        header: NO_HEADER,
        cookie,
        local: sock::local_of(socket, &mut reader),
        remote: sock::remote_of(socket, &mut reader),
        local_port: reader.at(socket, offset!(sock_local_port)),
        remote_port: PORT,
        errno: errno.unsigned_abs(),
        owner,
    };
    emit::emit_of(record, &owner, reader.failed());
}
