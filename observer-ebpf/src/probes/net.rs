//! TCP connections that containers, engines and other components open, how they fare, and packets that this node
//! drops on their way.
//!
//! All of it may happen in an interrupt: nothing here uses the scratch buffer, and a connection's owner is who asked
//! for it, kept until its end.

mod handshake;

use aya_ebpf::{macros::map, maps::HashMap};
use observer_ebpf::{
    Family,
    control::role,
    wire::{
        dns, flag,
        net::{Connection, Refused, state},
        packet::{Address, Owner},
    },
};

use super::{NO_HEADER, arg, dns::resolver, on_exit, raw_rungs};
use crate::{
    drops::{self, dropped},
    emit, files, filter,
    kernel::{Reader, offset},
    owner,
    packet::mapped,
    sock::{AF_INET, AF_INET6, Endpoint, local_of, remote_of, remote_port},
    syscall::argument,
};

raw_rungs!(net_state_btf, net_state_raw, "inet_sock_set_state", set_state);
raw_rungs!(net_retransmit_btf, net_retransmit_raw, "tcp_retransmit_skb", retransmit);
raw_rungs!(net_reset_btf, net_reset_raw, "tcp_receive_reset", reset);
raw_rungs!(net_drop_btf, net_drop_raw, "kfree_skb", dropped);
on_exit!(exit_connect_btf, exit_connect, (), connected);

/// States of TCP, part of the interface to user space.
const TCP_ESTABLISHED: u32 = 1;
const TCP_SYN_SENT: u32 = 2;
const TCP_FIN_WAIT1: u32 = 4;
const TCP_CLOSE: u32 = 7;
const TCP_LAST_ACK: u32 = 9;
const TCP_CLOSING: u32 = 11;

/// Timeouts in a row after which a connection counts as stalled: a lost packet or two is nothing.
const STALLED_AFTER: u8 = 2;

/// Its program has closed it, and waits for nothing any more: what becomes of the rest is nobody's concern.
#[inline(always)]
fn is_done_with(state: u32) -> bool {
    matches!(state, TCP_FIN_WAIT1 | TCP_LAST_ACK | TCP_CLOSING)
}

/// What is kept of a connection. Keyed by its `struct sock`, from when it is asked for until it is closed.
#[repr(C)]
#[derive(Clone, Copy)]
struct Kept {
    owner: Owner,
    began_ns: u64,
    established_ns: u64,
    retransmits: u32,
    syn_retransmits: u32,
    was_reset: u32,
    is_stalled: u32,
    is_done_with: u32,
    pad: u32,
}

#[map]
static CONNECTIONS: HashMap<u64, Kept> = HashMap::with_max_entries(32_768, 0);

/// `inet_sock_set_state(sk, old, new)`.
#[inline(always)]
fn set_state(args: *const u64) {
    let (sock, old, new) = (arg(args, 0), arg(args, 1) as u32, arg(args, 2) as u32);
    if new == TCP_SYN_SENT {
        return ask(sock);
    }
    if new != TCP_ESTABLISHED && new != TCP_CLOSE {
        return;
    }
    let Some(pointer) = CONNECTIONS.get_ptr_mut(sock) else { return };
    // SAFETY: map values outlive the program run; a connection's states follow each other.
    let kept = unsafe { &mut *pointer };
    match (old, new) {
        (TCP_SYN_SENT, TCP_ESTABLISHED) => {
            kept.established_ns = emit::now();
            kept.syn_retransmits = kept.retransmits;
            tell(sock, kept, state::ESTABLISHED);
        }
        (_, TCP_CLOSE) => {
            kept.is_done_with = u32::from(is_done_with(old));
            let is_established = kept.established_ns != 0;
            tell(sock, kept, if is_established { state::CLOSED } else { state::FAILED });
            let _ = CONNECTIONS.remove(sock);
            handshake::ended(sock);
        }
        _ => {}
    }
}

/// In the context of whoever calls `connect`.
#[inline(always)]
fn ask(sock: u64) {
    if filter::current(role::PAYLOAD | role::ENGINE | role::CALLER).is_none() {
        return;
    }
    let kept = Kept {
        owner: owner::current(),
        began_ns: emit::now(),
        established_ns: 0,
        retransmits: 0,
        syn_retransmits: 0,
        was_reset: 0,
        is_stalled: 0,
        is_done_with: 0,
        pad: 0,
    };
    if CONNECTIONS.insert(sock, kept, 0).is_err() {
        emit::lose(Family::Net as u16);
    }
    let mut reader = Reader::new();
    let remote =
        Endpoint { address: remote_of(sock, &mut reader), port: remote_port(sock, &mut reader), pad: 0 };
    let from = local_of(sock, &mut reader);
    if !reader.failed() {
        drops::follow(remote, from);
    }
}

/// `tcp_retransmit_skb(sk, skb, ..)`.
#[inline(always)]
fn retransmit(args: *const u64) {
    let sock = arg(args, 0);
    let Some(pointer) = CONNECTIONS.get_ptr_mut(sock) else { return };
    // SAFETY: as above; the socket is locked.
    let kept = unsafe { &mut *pointer };
    let mut reader = Reader::new();
    let state: u8 = reader.at(sock, offset!(sock_state));
    if is_done_with(u32::from(state)) {
        return;
    }
    kept.retransmits += 1;
    if kept.established_ns == 0 {
        kept.syn_retransmits = kept.retransmits;
    }
    // Timeouts since something was last acknowledged, without this one.
    let timeouts: u8 = reader.at(sock, offset!(sock_timeouts));
    if timeouts == 0 {
        kept.is_stalled = 0;
    }
    if timeouts >= STALLED_AFTER && kept.is_stalled == 0 {
        kept.is_stalled = 1;
        tell(sock, kept, state::STALLED);
    }
}

/// `tcp_receive_reset(sk)`.
#[inline(always)]
fn reset(args: *const u64) {
    if let Some(pointer) = CONNECTIONS.get_ptr_mut(arg(args, 0)) {
        // SAFETY: as above.
        unsafe { (*pointer).was_reset = 1 };
    }
}

#[inline(always)]
fn tell(sock: u64, kept: &Kept, state: u32) {
    emit::with_scratch(Family::Net as u16, |scratch| {
        let mut reader = Reader::new();
        let net: u64 = reader.at(sock, offset!(sock_net));
        let record = scratch.record::<Connection>();
        record.owner = kept.owner;
        record.local = local_of(sock, &mut reader);
        record.remote = remote_of(sock, &mut reader);
        record.cookie = reader.at(sock, offset!(sock_cookie));
        record.began_ns = kept.began_ns;
        record.established_ns = kept.established_ns;
        record.bytes_acked = reader.at(sock, offset!(sock_bytes_acked));
        record.bytes_received = reader.at(sock, offset!(sock_bytes_received));
        // A socket that is closed has given its port back.
        record.local_port = u16::from_be(reader.at(sock, offset!(sock_source_port)));
        record.remote_port = remote_port(sock, &mut reader);
        let error: u32 = reader.at(sock, offset!(sock_error));
        record.error = if kept.is_done_with == 0 { error } else { 0 };
        record.state = state;
        record.retransmits = kept.retransmits;
        record.syn_retransmits = kept.syn_retransmits;
        // Kept in eighths.
        record.rtt_us = reader.at::<u32>(sock, offset!(sock_rtt)) >> 3;
        record.netns = reader.at(net, offset!(net_inum));
        record.was_reset = kept.was_reset;
        emit::emit_packet::<Connection>(scratch, (kept.owner.tgid, kept.owner.tid), 0, flags(&reader));
    });
}

#[inline(always)]
fn flags(reader: &Reader) -> u16 {
    if reader.failed() { flag::UNREADABLE } else { 0 }
}

/// `connect` returned. What fails later than this is told by the connection's states.
#[inline(always)]
fn connected(_: (), ret: i64) {
    const EPERM: i64 = -1;
    const EACCES: i64 = -13;
    const EADDRNOTAVAIL: i64 = -99;
    const ENETUNREACH: i64 = -101;
    const EHOSTUNREACH: i64 = -113;
    resolver::connected(ret);
    if !matches!(ret, EPERM | EACCES | EADDRNOTAVAIL | ENETUNREACH | EHOSTUNREACH) {
        return;
    }
    if filter::current(role::PAYLOAD | role::ENGINE | role::CALLER).is_none() {
        return;
    }
    let asked = asked_for();
    if asked.family != AF_INET && asked.family != AF_INET6 {
        return;
    }
    let remote = asked.remote;
    // Resolvers connect datagrams to what they have found only to learn by which address it would be reached.
    if remote.port != dns::PORT && files::is_udp(argument!(regs_arg0) as u32) {
        return;
    }
    let owner = owner::current();
    let record = Refused {
        header: NO_HEADER,
        owner,
        remote: remote.address,
        error: (-ret) as u32,
        remote_port: remote.port,
        pad: 0,
    };
    emit::emit_of(record, &owner, asked.is_known == 0);
}

/// The address that was given to `connect`. Zeros stand for what could not be read, or is none of a network: what is not there
/// in one case or another is something that the verifier does not take.
pub struct AskedFor {
    pub family: u16,
    pub remote: Endpoint,
    /// 1: the address could be read.
    pub is_known: u32,
}

#[inline(always)]
pub fn asked_for() -> AskedFor {
    let pointer = argument!(regs_arg1);
    let mut asked =
        AskedFor { family: 0, remote: Endpoint { address: [0; 16], port: 0, pad: 0 }, is_known: 0 };
    let (Ok(family), Ok(port)) = (read_user::<u16>(pointer), read_user::<u16>(pointer.wrapping_add(2)))
    else {
        return asked;
    };
    asked.family = family;
    let address = match family {
        AF_INET => read_user::<[u8; 4]>(pointer.wrapping_add(4)).map(mapped),
        AF_INET6 => read_user::<Address>(pointer.wrapping_add(8)),
        _ => return asked,
    };
    if let Ok(address) = address {
        asked.remote = Endpoint { address, port: u16::from_be(port), pad: 0 };
        asked.is_known = 1;
    }
    asked
}

#[inline(always)]
fn read_user<T: Copy>(pointer: u64) -> Result<T, i32> {
    // SAFETY: the helper checks the address itself.
    unsafe { aya_ebpf::helpers::bpf_probe_read_user(pointer as *const T) }
}
