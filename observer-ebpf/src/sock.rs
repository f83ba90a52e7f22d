//! Sockets of the kernel: whom they talk to.

use observer_ebpf::wire::packet::Address;

use crate::{
    kernel::{Reader, offset},
    packet::mapped,
};

pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

/// One end of a connection.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Endpoint {
    pub address: Address,
    pub port: u16,
    pub pad: u16,
}

#[inline(always)]
pub fn remote_of(sock: u64, reader: &mut Reader) -> Address {
    if reader.at::<u16>(sock, offset!(sock_family)) == AF_INET {
        mapped(reader.at(sock, offset!(sock_remote4)))
    } else {
        reader.at(sock, offset!(sock_remote6))
    }
}

#[inline(always)]
pub fn remote_port(sock: u64, reader: &mut Reader) -> u16 {
    u16::from_be(reader.at(sock, offset!(sock_remote_port)))
}

#[inline(always)]
pub fn local_of(sock: u64, reader: &mut Reader) -> Address {
    if reader.at::<u16>(sock, offset!(sock_family)) == AF_INET {
        mapped(reader.at(sock, offset!(sock_local4)))
    } else {
        reader.at(sock, offset!(sock_local6))
    }
}
