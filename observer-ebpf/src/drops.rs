//! Packets that this node drops on their way to or from whom watched processes connect to, by the kernel's reason.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::map,
    maps::{Array, LruHashMap},
};
use observer_ebpf::{
    Family,
    wire::{
        dns, flag,
        net::{Dropped, MAX_DROPS, MAX_REASONS, TELL_DROPS_NS, reason},
        packet::{Address, protocol},
    },
};

use crate::{
    emit,
    kernel::{Reader, offset},
    probes::{arg, dns::withheld},
    sock::Endpoint,
};

/// Whom watched processes have connected to lately, and, as port 0, from where: drops of other packets are nobody's
/// concern. A hint.
#[map]
static REMOTES: LruHashMap<Endpoint, u32> = LruHashMap::with_max_entries(8192, 0);

/// Reasons for drops that are of interest, by number: one of [`reason`]. User space fills it in, as numbers differ between
/// kernels.
#[map]
static REASONS: Array<u32> = Array::with_max_entries(MAX_REASONS, 0);

#[repr(C)]
#[derive(Clone, Copy)]
struct DropKey {
    remote: Endpoint,
    reason: u32,
    netns: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Drops {
    /// When the time began in which `told` are counted.
    since_ns: u64,
    count: u32,
    told: u32,
}

/// Drops of a kind, to tell of so many of them only. A hint.
#[map]
static DROPS: LruHashMap<DropKey, Drops> = LruHashMap::with_max_entries(4096, 0);

/// A watched process connects to this, from there: what is dropped of it is of interest from now on, also where the node
/// has sent it elsewhere. The port that it comes from is not chosen yet.
#[inline(always)]
pub fn follow(remote: Endpoint, from: Address) {
    let _ = REMOTES.insert(remote, 1, u64::from(BPF_ANY));
    let _ = REMOTES.insert(Endpoint { address: from, port: 0, pad: 0 }, 1, u64::from(BPF_ANY));
}

/// `kfree_skb(skb, location, reason, ..)`: a packet is dropped.
#[inline(always)]
pub fn dropped(args: *const u64) {
    let number = arg(args, 2) as u32;
    let wanted = REASONS.get(number).copied().unwrap_or(0);
    if wanted == 0 {
        return;
    }
    let skb = arg(args, 0);
    let mut reader = Reader::new();
    let Some(ends) = headers(skb, &mut reader) else { return };
    if wanted == reason::OF_A_RULE {
        withheld::dropped(skb, &ends);
    }
    let Some(remote) = followed(&ends) else { return };
    let netns = netns(skb, &mut reader);
    let count = count(&DropKey { remote, reason: number, netns });
    if count == 0 {
        return;
    }
    emit::with_scratch(Family::Net as u16, |scratch| {
        let packet = scratch.record::<Dropped>();
        (packet.source, packet.source_port) = (ends.source, ends.source_port);
        (packet.destination, packet.destination_port) = (ends.destination, ends.destination_port);
        (packet.protocol, packet.pad) = (ends.protocol, [0; 7]);
        (packet.reason, packet.netns, packet.count) = (number, netns, count);
        let flags = if reader.failed() { flag::UNREADABLE } else { 0 };
        emit::emit_packet::<Dropped>(scratch, (0, 0), 0, flags);
    });
}

/// The end of a packet's way that a watched process has connected to, or that serves names.
#[inline(always)]
fn followed(packet: &Ends) -> Option<Endpoint> {
    let mut end = Endpoint { address: packet.destination, port: packet.destination_port, pad: 0 };
    // SAFETY: only asked whether it is there.
    if end.port == dns::PORT || unsafe { REMOTES.get(end) }.is_some() {
        return Some(end);
    }
    end = Endpoint { address: packet.source, port: packet.source_port, pad: 0 };
    // SAFETY: as above.
    if end.port == dns::PORT || unsafe { REMOTES.get(end) }.is_some() {
        return Some(end);
    }
    end.port = 0;
    // SAFETY: as above.
    let is_followed = packet.protocol == protocol::TCP && unsafe { REMOTES.get(end) }.is_some();
    is_followed.then_some(end)
}

/// Where the packet was: of the device that it came by or was to leave by, else of its socket.
#[inline(always)]
fn netns(skb: u64, reader: &mut Reader) -> u32 {
    let device: u64 = reader.at(skb, offset!(skb_device));
    let sock: u64 = reader.at(skb, offset!(skb_sock));
    let net: u64 = if device != 0 {
        reader.at(device, offset!(device_net))
    } else if sock != 0 {
        reader.at(sock, offset!(sock_net))
    } else {
        return 0;
    };
    reader.at(net, offset!(net_inum))
}

/// Counts a drop; 0 if enough of its kind were told of a moment ago.
#[inline(always)]
fn count(key: &DropKey) -> u32 {
    let now = emit::now();
    if let Some(pointer) = DROPS.get_ptr_mut(key) {
        // SAFETY: as above; CPUs that count at once may count one for two.
        let drops = unsafe { &mut *pointer };
        drops.count += 1;
        if now.wrapping_sub(drops.since_ns) >= TELL_DROPS_NS {
            (drops.since_ns, drops.told) = (now, 0);
        }
        drops.told += 1;
        return if drops.told > MAX_DROPS { 0 } else { drops.count };
    }
    let _ = DROPS.insert(key, Drops { since_ns: now, count: 1, told: 1 }, 0);
    1
}

/// What the headers of a packet say.
#[derive(Clone, Copy)]
pub struct Ends {
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
    /// Where the transport header is.
    pub transport: u64,
}

/// Those of a TCP or UDP packet; of IPv6 without extensions.
#[inline(always)]
fn headers(skb: u64, reader: &mut Reader) -> Option<Ends> {
    let head: u64 = reader.at(skb, offset!(skb_head));
    let network: u16 = reader.at(skb, offset!(skb_network_header));
    let at = head.wrapping_add(u64::from(network));
    let first: u8 = reader.at(at, 0);
    // Words: of bytes each would take one of the stack's, which Linux 6.1 has no room for.
    let (source, destination): ([u64; 2], [u64; 2]);
    let (protocol, len): (u8, u32) = match first >> 4 {
        4 => {
            (source, destination) = (mapped_words(reader.at(at, 12)), mapped_words(reader.at(at, 16)));
            (reader.at(at, 9), u32::from(first & 0xf) * 4)
        }
        6 => {
            (source, destination) = (reader.at(at, 8), reader.at(at, 24));
            (reader.at(at, 6), 40)
        }
        _ => return None,
    };
    let is_known = protocol == protocol::TCP || protocol == protocol::UDP;
    let transport = at.wrapping_add(u64::from(len));
    let source_port = u16::from_be(reader.at(transport, 0));
    let destination_port = u16::from_be(reader.at(transport, 2));
    if !is_known || reader.failed() {
        return None;
    }
    let [source, destination] = [source, destination].map(address);
    Some(Ends { source, destination, source_port, destination_port, protocol, transport })
}

/// An address of IPv4 as one of IPv6, `::ffff:a.b.c.d`; this target is little-endian.
#[inline(always)]
fn mapped_words(address: u32) -> [u64; 2] {
    [0, u64::from(address) << 32 | 0xffff_0000]
}

#[inline(always)]
fn address(words: [u64; 2]) -> Address {
    // SAFETY: both are 16 bytes without padding, and any bytes are an address.
    unsafe { core::mem::transmute(words) }
}
