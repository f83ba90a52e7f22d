//! Which endpoints are watched, and the connections to them that are followed.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use observer_ebpf::wire::{
    packet::{Address, Packet, direction, tcp},
    webhook::{Connection, Endpoint, Flow, RECORDS_TOLD, known},
};

use super::FAMILY;
use crate::emit;

/// One bit a port: what is looked at first, of every packet of the node.
#[map]
static ENDPOINT_PORTS: Array<u64> = Array::with_max_entries(1 << 10, 0);

/// The endpoints, and which of the user's targets they belong to, from 1.
#[map]
static ENDPOINTS: HashMap<Endpoint, u32> = HashMap::with_max_entries(1_024, 0);

/// By the socket's cookie. Entries go when the connection ends; user space removes those whose end is not seen.
#[map]
pub(super) static WEBHOOK_CONNECTIONS: HashMap<u64, Connection> =
    HashMap::with_max_entries(16_384, BPF_F_NO_PREALLOC);

/// When clients asked servers of this node for connections, which have no socket of their own yet. A hint: what is
/// not in it has no age.
#[map]
static ASKED: LruHashMap<Asker, Asked> = LruHashMap::with_max_entries(4_096, 0);

#[repr(C)]
struct Asker {
    local: Address,
    remote: Address,
    local_port: u16,
    remote_port: u16,
    /// The number of the first byte: tells namespaces with the same addresses apart.
    first: u32,
}

#[repr(C)]
struct Asked {
    ns: u64,
    times: u32,
    pad: u32,
}

#[inline(always)]
pub(super) fn is_port(port: u16) -> bool {
    ENDPOINT_PORTS.get(u32::from(port >> 6)).is_some_and(|ports| ports >> (port & 63) & 1 != 0)
}

#[inline(always)]
fn endpoint(address: &Address, port: u16) -> u32 {
    if !is_port(port) {
        return 0;
    }
    let mut key = Endpoint { address: *address, port, pad: [0; 3] };
    // SAFETY: the value is copied; user space alone writes it.
    if let Some(target) = unsafe { ENDPOINTS.get(&key) } {
        return *target;
    }
    key.address = [0; 16];
    // SAFETY: as above.
    unsafe { ENDPOINTS.get(&key) }.copied().unwrap_or(0)
}

/// A client asks a server of this node.
#[inline(always)]
pub(super) fn asked(packet: &Packet, now: u64) {
    let key = asker(packet, packet.sequence.wrapping_add(1));
    // SAFETY: the value is copied; it is a hint.
    let before = unsafe { ASKED.get(&key) }.map_or((now, 0), |asked| (asked.ns, asked.times));
    let _ = ASKED.insert(&key, &Asked { ns: before.0, times: before.1 + 1, pad: 0 }, 0);
}

#[inline(always)]
fn asker(packet: &Packet, first: u32) -> Asker {
    Asker {
        local: packet.local,
        remote: packet.remote,
        local_port: packet.local_port,
        remote_port: packet.remote_port,
        first,
    }
}

/// The connection of a packet: one that is followed, or one that is to be from here on.
#[inline(always)]
pub(super) fn connection(packet: &Packet, opens: bool) -> Option<&'static mut Connection> {
    if let Some(connection) = entry(packet.cookie) {
        return Some(connection);
    }
    let ends = packet.tcp_flags & (tcp::RST | tcp::SYN) != 0;
    // A socket that listens sees the first data of connections that have no socket yet.
    let listens = packet.peer_port == 0;
    if !opens && (packet.payload_len == 0 || ends || listens) {
        return None;
    }
    let mut flags = known::CLIENT;
    let mut target = endpoint(&packet.remote, packet.remote_port);
    if target == 0 {
        target = endpoint(&packet.peer, packet.peer_port);
    }
    if target == 0 {
        flags = 0;
        target = endpoint(&packet.local, packet.local_port);
    }
    if target == 0 || (opens && flags == 0) {
        return None;
    }
    if WEBHOOK_CONNECTIONS.insert(&packet.cookie, &EMPTY, 0).is_err() {
        emit::lose(FAMILY);
        return None;
    }
    let connection = entry(packet.cookie)?;
    connection.local = packet.local;
    connection.remote = packet.remote;
    connection.peer = packet.peer;
    connection.local_port = packet.local_port;
    connection.remote_port = packet.remote_port;
    connection.peer_port = packet.peer_port;
    connection.endpoint = target as u16;
    connection.flags = flags;
    if flags == 0 && packet.direction == direction::IN {
        // SAFETY: the value is copied; it is a hint.
        if let Some(asked) = unsafe { ASKED.get(&asker(packet, packet.sequence)) } {
            connection.syn_ns = asked.ns;
            connection.established_ns = asked.ns;
            connection.syns = asked.times;
        }
    }
    Some(connection)
}

static EMPTY: Connection = Connection {
    local: [0; 16],
    remote: [0; 16],
    peer: [0; 16],
    local_port: 0,
    remote_port: 0,
    peer_port: 0,
    endpoint: 0,
    flags: 0,
    syns: 0,
    syn_ns: 0,
    established_ns: 0,
    hello_ns: 0,
    secured_ns: 0,
    handshake_records: 0,
    ticket_len: 0,
    request: SILENT,
    answer: SILENT,
};

const SILENT: Flow = Flow {
    first_ns: 0,
    last_ns: 0,
    seen_ns: 0,
    bytes: 0,
    record_ns: [0; RECORDS_TOLD],
    record_len: [0; RECORDS_TOLD],
    records: 0,
    next: 0,
    next_record: 0,
    acknowledged: 0,
    again: 0,
    flags: 0,
    told: 0,
    scratch: 0,
};

#[inline(always)]
fn entry(cookie: u64) -> Option<&'static mut Connection> {
    let pointer = WEBHOOK_CONNECTIONS.get_ptr_mut(&cookie)?;
    // SAFETY: a map value; both directions of one connection may be at it at once, each at its own flow.
    Some(unsafe { &mut *pointer })
}
