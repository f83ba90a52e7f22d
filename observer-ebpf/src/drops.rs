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
        net::{Dropped, MAX_REASONS, TELL_DROPS_NS},
        packet::protocol,
    },
};

use crate::{
    emit,
    kernel::{Reader, offset},
    packet::mapped,
    probes::arg,
    sock::Endpoint,
};

/// Whom watched processes have connected to lately: drops of other packets are nobody's concern. A hint.
#[map]
static REMOTES: LruHashMap<Endpoint, u32> = LruHashMap::with_max_entries(8192, 0);

/// Reasons for drops that are of interest, by number: filled in by user space, as numbers differ between kernels.
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
    told_ns: u64,
    count: u32,
    pad: u32,
}

/// Drops that were told of, to tell of more of their kind seldom. A hint.
#[map]
static DROPS: LruHashMap<DropKey, Drops> = LruHashMap::with_max_entries(4096, 0);

/// A watched process connects to this: what is dropped of it is of interest from now on.
#[inline(always)]
pub fn follow(remote: Endpoint) {
    let _ = REMOTES.insert(remote, 1, u64::from(BPF_ANY));
}

/// `kfree_skb(skb, location, reason, ..)`: a packet is dropped.
#[inline(always)]
pub fn dropped(args: *const u64) {
    let reason = arg(args, 2) as u32;
    if REASONS.get(reason).is_none_or(|wanted| *wanted == 0) {
        return;
    }
    let skb = arg(args, 0);
    emit::with_scratch(Family::Net as u16, |scratch| {
        let mut reader = Reader::new();
        let packet = scratch.record::<Dropped>();
        let Some(remote) = headers(skb, &mut reader, packet).and_then(|()| followed(packet)) else { return };
        packet.reason = reason;
        packet.netns = netns(skb, &mut reader);
        packet.count = count(&DropKey { remote, reason, netns: packet.netns });
        if packet.count != 0 {
            emit::emit_packet::<Dropped>(
                scratch,
                (0, 0),
                0,
                if reader.failed() { flag::UNREADABLE } else { 0 },
            );
        }
    });
}

/// The end of a packet's way that a watched process has connected to, or that serves names.
#[inline(always)]
fn followed(packet: &Dropped) -> Option<Endpoint> {
    let mut end = Endpoint { address: packet.destination, port: packet.destination_port, pad: 0 };
    // SAFETY: only asked whether it is there.
    if end.port == dns::PORT || unsafe { REMOTES.get(end) }.is_some() {
        return Some(end);
    }
    end = Endpoint { address: packet.source, port: packet.source_port, pad: 0 };
    // SAFETY: as above.
    let is_followed = end.port == dns::PORT || unsafe { REMOTES.get(end) }.is_some();
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

/// Counts a drop; 0 if one of its kind was told of a moment ago.
#[inline(always)]
fn count(key: &DropKey) -> u32 {
    let now = emit::now();
    if let Some(pointer) = DROPS.get_ptr_mut(key) {
        // SAFETY: as above; CPUs that count at once may count one for two.
        let drops = unsafe { &mut *pointer };
        drops.count += 1;
        if now - drops.told_ns < TELL_DROPS_NS {
            return 0;
        }
        drops.told_ns = now;
        return drops.count;
    }
    let _ = DROPS.insert(key, Drops { told_ns: now, count: 1, pad: 0 }, 0);
    1
}

/// Addresses and ports of a TCP or UDP packet; of IPv6 without extensions.
#[inline(always)]
fn headers(skb: u64, reader: &mut Reader, packet: &mut Dropped) -> Option<()> {
    let head: u64 = reader.at(skb, offset!(skb_head));
    let network: u16 = reader.at(skb, offset!(skb_network_header));
    let at = head.wrapping_add(u64::from(network));
    let first: u8 = reader.at(at, 0);
    let ports = match first >> 4 {
        4 => {
            packet.protocol = reader.at(at, 9);
            packet.source = mapped(reader.at(at, 12));
            packet.destination = mapped(reader.at(at, 16));
            u32::from(first & 0xf) * 4
        }
        6 => {
            packet.protocol = reader.at(at, 6);
            packet.source = reader.at(at, 8);
            packet.destination = reader.at(at, 24);
            40
        }
        _ => return None,
    };
    packet.pad = [0; 7];
    packet.source_port = u16::from_be(reader.at(at, ports));
    packet.destination_port = u16::from_be(reader.at(at, ports + 2));
    let is_known = packet.protocol == protocol::TCP || packet.protocol == protocol::UDP;
    (is_known && !reader.failed()).then_some(())
}
