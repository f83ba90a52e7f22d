//! Which process a socket sends for. Known only from what happens in the process's own context: a packet that comes
//! in, or one that TCP sends again, is handled in an interrupt of whatever runs just then.

use aya_ebpf::{macros::map, maps::LruHashMap};
use observer_ebpf::wire::packet::{Owner, Packet, direction, protocol, tcp};

use crate::{
    filter,
    kernel::{self, Reader, offset},
};

/// By the socket's cookie. A hint: what is not in it is not known.
#[map]
static OWNERS: LruHashMap<u64, Owner> = LruHashMap::with_max_entries(16_384, 0);

pub const UNKNOWN: Owner = Owner {
    tgid: 0,
    tid: 0,
    init: 0,
    role: 0,
    start_ns: 0,
    cgroup: observer_ebpf::wire::cgroup::Ids { memory: 0, unified: 0 },
    comm: [0; observer_ebpf::control::COMM_LEN],
};

/// The owner of a packet's socket, learned from the packet where it is sent by the owner itself: a datagram, and
/// the first packet of `connect`. That one may be sent again by a timer, but then the owner is known.
#[inline(always)]
pub fn of(packet: &Packet, owner: &mut Owner) {
    let opens = packet.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
    let is_sent = packet.direction == direction::OUT;
    let is_datagram = packet.protocol == protocol::UDP;
    *owner = known(packet.cookie);
    if is_sent && (is_datagram || (opens && owner.tgid == 0)) {
        learn(packet.cookie, owner);
    }
}

/// The owner of a socket, as it was last seen.
#[inline(always)]
pub fn known(cookie: u64) -> Owner {
    // SAFETY: the value is copied; a writer may be at it, of the same socket.
    unsafe { OWNERS.get(cookie) }.copied().unwrap_or(UNKNOWN)
}

#[inline(always)]
fn learn(cookie: u64, owner: &mut Owner) {
    *owner = current();
    if owner.tgid != 0 {
        let _ = OWNERS.insert(cookie, &*owner, 0);
    }
}

/// The current process, for a socket of which it asks something.
#[inline(always)]
pub fn current() -> Owner {
    let mut owner = UNKNOWN;
    write_current(&mut owner);
    owner
}

/// The same, where it is to be: on the stack there may be no room for it.
#[inline(always)]
pub fn write_current(owner: &mut Owner) {
    let task = kernel::current();
    let mut reader = Reader::new();
    owner.tgid = reader.tgid(task);
    owner.tid = reader.at(task, offset!(task_pid));
    (owner.init, owner.role) = (0, 0);
    owner.start_ns = reader.process_start_ns(task);
    owner.cgroup = reader.cgroup(task);
    owner.comm = reader.process_comm(task);
    if let Some(watch) = filter::lookup(owner.tgid) {
        (owner.role, owner.init) = (watch.flags, watch.init);
    }
    if reader.failed() {
        *owner = UNKNOWN;
    }
}
