//! Packets of the node's sockets, as programs at the root of the control groups see them: addresses, ports, where
//! the payload lies. For any family; what is of interest is for the family to say, by ports, before more is read.
//!
//! These programs decide over packets: each returns [`PASS`], on every path.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_socket_cookie, generated::bpf_skb_load_bytes},
    programs::SkBuffContext,
};
use observer_ebpf::wire::packet::{Address, Packet, direction, protocol};

use crate::emit::Scratch;

/// The only thing that a program of ours says about a packet.
pub const PASS: i32 = 1;

/// Headers between IPv6's own and the transport's that are gone through.
const MAX_EXTENSIONS: usize = 6;

/// Ports of the packet's socket, without looking at the packet: local, and the one it is connected to or 0.
#[inline(always)]
pub fn socket_ports(ctx: &SkBuffContext) -> (u16, u16) {
    let skb = ctx.skb.skb;
    // SAFETY: members of the context, read one by one: the verifier wants no two at once.
    let (local, peer) = unsafe {
        (
            core::ptr::read_volatile(&raw const (*skb).local_port),
            core::ptr::read_volatile(&raw const (*skb).remote_port),
        )
    };
    // The one in the host's order, the other a 32-bit word in the network's.
    (local as u16, u32::from_be(peer) as u16)
}

/// Where the headers of a packet end, and what they say.
pub struct Headers {
    version: u8,
    pub protocol: u8,
    /// Where the transport header begins.
    at: u32,
    pub source_port: u16,
    pub destination_port: u16,
}

/// The headers of a TCP or UDP packet; nothing for fragments but the first.
#[inline(always)]
pub fn headers(ctx: &SkBuffContext) -> Option<Headers> {
    let first: [u8; 10] = load(ctx, 0)?;
    let version = first[0] >> 4;
    let (protocol, at) = match version {
        4 => {
            let offset = u16::from_be_bytes([first[6], first[7]]) & 0x1fff;
            if offset != 0 {
                return None;
            }
            (first[9], u32::from(first[0] & 0xf) * 4)
        }
        6 => extensions(ctx, first[6])?,
        _ => return None,
    };
    if protocol != protocol::TCP && protocol != protocol::UDP {
        return None;
    }
    let ports: [u8; 4] = load(ctx, at)?;
    Some(Headers {
        version,
        protocol,
        at,
        source_port: u16::from_be_bytes([ports[0], ports[1]]),
        destination_port: u16::from_be_bytes([ports[2], ports[3]]),
    })
}

/// Past the extension headers of IPv6: the transport's protocol, and where it begins.
#[inline(always)]
fn extensions(ctx: &SkBuffContext, next: u8) -> Option<(u8, u32)> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    let (mut next, mut at) = (next, 40);
    for _ in 0..MAX_EXTENSIONS {
        if next == protocol::TCP || next == protocol::UDP {
            return Some((next, at));
        }
        let header: [u8; 4] = load(ctx, at)?;
        at += match next {
            HOP_BY_HOP | ROUTING | DESTINATION => (u32::from(header[1]) + 1) * 8,
            AUTHENTICATION => (u32::from(header[1]) + 2) * 4,
            FRAGMENT if u16::from_be_bytes([header[2], header[3]]) & 0xfff8 == 0 => 8,
            _ => return None,
        };
        next = header[0];
    }
    None
}

/// What the family is told of a packet, in place; gives where its payload begins.
#[inline(always)]
pub fn describe(ctx: &SkBuffContext, headers: &Headers, direction: u8, packet: &mut Packet) -> Option<u32> {
    *packet = Packet::default();
    packet.direction = direction;
    packet.protocol = headers.protocol;
    let payload = if headers.protocol == protocol::TCP {
        let tcp: [u8; 16] = load(ctx, headers.at)?;
        packet.sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        packet.tcp_flags = tcp[13];
        headers.at + u32::from(tcp[12] >> 4) * 4
    } else {
        headers.at + 8
    };
    packet.payload_len = ctx.len().saturating_sub(payload);
    let is_sent = direction == direction::OUT;
    let (source, destination) = if is_sent {
        (&mut packet.local, &mut packet.remote)
    } else {
        (&mut packet.remote, &mut packet.local)
    };
    addresses(ctx, headers.version, source, destination)?;
    let ports = (headers.source_port, headers.destination_port);
    (packet.local_port, packet.remote_port) = if is_sent { ports } else { (ports.1, ports.0) };
    packet.peer_port = socket_ports(ctx).1;
    if packet.peer_port != 0 {
        peer(ctx, headers.version, &mut packet.peer);
    }
    // SAFETY: the helper takes the context and nothing else.
    packet.cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    Some(payload)
}

/// Which byte the sender of a TCP packet expects next.
#[inline(always)]
pub fn acknowledged(ctx: &SkBuffContext, headers: &Headers) -> u32 {
    load(ctx, headers.at + 8).map_or(0, u32::from_be_bytes)
}

#[inline(always)]
fn addresses(
    ctx: &SkBuffContext,
    version: u8,
    source: &mut Address,
    destination: &mut Address,
) -> Option<()> {
    if version == 4 {
        *source = mapped(load(ctx, 12)?);
        *destination = mapped(load(ctx, 16)?);
    } else {
        *source = load(ctx, 8)?;
        *destination = load(ctx, 24)?;
    }
    Some(())
}

/// An IPv4 address in IPv6's notation.
#[inline(always)]
pub fn mapped(address: [u8; 4]) -> Address {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Whom the packet's socket is connected to.
#[inline(always)]
fn peer(ctx: &SkBuffContext, version: u8, address: &mut Address) {
    let skb = ctx.skb.skb;
    // SAFETY: members of the context, read one by one, in the network's order.
    unsafe {
        if version == 4 {
            *address = mapped(core::ptr::read_volatile(&raw const (*skb).remote_ip4).to_ne_bytes());
        } else {
            for n in 0..4 {
                let word = core::ptr::read_volatile(&raw const (*skb).remote_ip6[n]);
                address[4 * n..4 * n + 4].copy_from_slice(&word.to_ne_bytes());
            }
        }
    }
}

#[inline(always)]
fn load<T>(ctx: &SkBuffContext, at: u32) -> Option<T> {
    ctx.load(at as usize).ok()
}

/// Copies at most `MAX` bytes of the payload into the scratch buffer behind a fixed part of `AT` bytes; gives how
/// many. `MAX` is a power of two.
#[inline(always)]
pub fn copy<const AT: usize, const MAX: usize>(
    ctx: &SkBuffContext,
    scratch: &mut Scratch,
    payload: u32,
    len: u32,
) -> usize {
    if len == 0 {
        return 0;
    }
    let len = if len as usize > MAX { MAX } else { len as usize };
    // The mask gives the verifier bounds that survive on every kernel: from 1 to `MAX`.
    let len = ((len - 1) & (MAX - 1)) + 1;
    let to = scratch.bytes[AT..AT + MAX].as_mut_ptr();
    // SAFETY: there is room for `MAX` bytes; the verifier checks it again.
    let result = unsafe { bpf_skb_load_bytes(ctx.as_ptr(), payload, to.cast(), len as u32) };
    if result == 0 { len } else { 0 }
}
