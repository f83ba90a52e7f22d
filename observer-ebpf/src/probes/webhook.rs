//! Connections to endpoints that are watched, by their packets: when a side begins to speak, how much it said, how
//! the connection was made and how it ended. TLS records are followed by their lengths; nothing is decrypted.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::bpf_skb_load_bytes,
    macros::{cgroup_skb, map},
    maps::{Array, HashMap, LruHashMap},
    programs::SkBuffContext,
};
use observer_ebpf::{
    Family,
    wire::{
        packet::{Address, Packet, direction, protocol, tcp},
        webhook::{Connection, Endpoint, Flow, Head, MAX_HEAD, Moved, RECORDS_TOLD, flow, head, known, what},
    },
};

use crate::{
    emit::{self, Scratch, Slot, now},
    kernel::{Reader, current},
    owner,
    packet::{self, PASS},
    probes::tls,
};

/// One bit a port: what is looked at first, of every packet of the node.
#[map]
static ENDPOINT_PORTS: Array<u64> = Array::with_max_entries(1 << 10, 0);

/// The endpoints, and which of the user's targets they belong to, from 1.
#[map]
static ENDPOINTS: HashMap<Endpoint, u32> = HashMap::with_max_entries(1_024, 0);

/// By the socket's cookie. Entries go when the connection ends; user space removes those whose end is not seen.
#[map]
static CONNECTIONS: HashMap<u64, Connection> = HashMap::with_max_entries(16_384, BPF_F_NO_PREALLOC);

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

const FAMILY: u16 = Family::Webhook as u16;
const PSH: u8 = 1 << 3;
/// TLS records gone through in one packet; what is beyond them is followed again from the next packet on.
const MAX_RECORDS: usize = 32;
/// Records of a run that are told for [`what::MORE`].
const MAX_MORE: u32 = 3;
/// Records by which a client may end its part of a handshake.
const MAX_HANDSHAKE_RECORDS: u32 = 6;

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
fn is_port(port: u16) -> bool {
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
fn asked(packet: &Packet, now: u64) {
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
fn connection(packet: &Packet, opens: bool) -> Option<&'static mut Connection> {
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
    if CONNECTIONS.insert(&packet.cookie, &EMPTY, 0).is_err() {
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
    let pointer = CONNECTIONS.get_ptr_mut(&cookie)?;
    // SAFETY: a map value; both directions of one connection may be at it at once, each at its own flow.
    Some(unsafe { &mut *pointer })
}

/// A packet that is looked at.
struct Step {
    now: u64,
    /// From the client to the server.
    of_client: bool,
}

/// Besides those of [`what`]: bytes of the application passed, and which head is in this packet.
mod also {
    pub const SPOKE: u32 = 1 << 28;
    pub const HELLO: u32 = 1 << 29;
    pub const MESSAGE: u32 = 1 << 30;
    pub const ALL: u32 = SPOKE | HELLO | MESSAGE;
}

/// What a packet means is noted in memory whose content the verifier does not follow: it would go through the
/// records of a packet once for each combination.
impl Step {
    #[inline(always)]
    fn note(&self, connection: &mut Connection, bits: u32) {
        let scratch = &raw mut flow_of(connection, self.of_client).scratch;
        // SAFETY: a member of a map value.
        unsafe { core::ptr::write_volatile(scratch, core::ptr::read_volatile(scratch) | bits) };
    }

    #[inline(always)]
    fn noted(&self, connection: &mut Connection) -> u32 {
        let scratch = &raw const flow_of(connection, self.of_client).scratch;
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(scratch) }
    }
}

#[inline(always)]
fn is(connection: &Connection, bit: u32) -> bool {
    // SAFETY: a member of a map value.
    unsafe { core::ptr::read_volatile(&raw const connection.flags) & bit != 0 }
}

#[inline(always)]
fn set(connection: &mut Connection, on: u32, off: u32) {
    let flags = &raw mut connection.flags;
    // SAFETY: as above.
    unsafe { core::ptr::write_volatile(flags, core::ptr::read_volatile(flags) & !off | on) };
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
    }
    if noted & also::HELLO != 0 {
        tell_head(ctx, scratch, seen, head::HELLO);
    } else if noted & also::MESSAGE != 0 {
        tell_head(ctx, scratch, seen, if step.of_client { head::REQUEST } else { head::ANSWER });
    }
    let both = connection.request.flags & connection.answer.flags & flow::FIN;
    if told & (what::RST_CLIENT | what::RST_SERVER) != 0 || both != 0 {
        let _ = CONNECTIONS.remove(&seen.packet.cookie);
    }
}

#[inline(always)]
fn flow_of(connection: &mut Connection, of_client: bool) -> &mut Flow {
    if of_client { &mut connection.request } else { &mut connection.answer }
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

/// A packet's payload: its first byte's number, the one after its last, where it lies, how much of it is new.
struct Stretch {
    begin: u32,
    end: u32,
    at: u32,
    new: u32,
}

/// Whether this is TLS, or HTTP/1 without encryption, or neither.
#[inline(always)]
fn recognise(ctx: &SkBuffContext, stream: &Stretch, connection: &mut Connection, step: &Step) {
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
fn records(ctx: &SkBuffContext, stream: &Stretch, connection: &mut Connection, step: &Step) {
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

/// Bytes of the application pass: a side goes on speaking, or begins to.
#[inline(always)]
fn speak(connection: &mut Connection, step: &Step, bytes: u32) {
    let (own, others) = if step.of_client {
        (known::CLIENT_SPOKE, known::SERVER_SPOKE)
    } else {
        (known::SERVER_SPOKE, known::CLIENT_SPOKE)
    };
    let begins = !is(connection, own);
    if begins {
        if step.of_client && is(connection, known::REQUESTED) {
            set(connection, known::REUSED, 0);
        }
        let (requested, what) =
            if step.of_client { (known::REQUESTED, what::REQUEST) } else { (0, what::ANSWER) };
        set(connection, own | requested, others);
        step.note(connection, what);
    }
    let flow = flow_of(connection, step.of_client);
    if begins {
        flow.first_ns = step.now;
        flow.bytes = 0;
        flow.records = 0;
        flow.told = 0;
        flow.record_len = [0; RECORDS_TOLD];
    }
    flow.last_ns = step.now;
    flow.bytes += u64::from(bytes);
    step.note(connection, also::SPOKE);
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
