//! The endpoints whose connections are watched, as the kernel side looks them up.

use std::{collections::BTreeSet, net::IpAddr};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use observer_ebpf::wire::webhook::{Connection, Endpoint as WireEndpoint};
use zerocopy::{FromBytes, IntoBytes};

use super::{Live, LoadError, maps::take};

/// The wire's types as aya wants keys and values: plain words.
type KeyWords = [u64; size_of::<WireEndpoint>() / 8];
type ConnectionWords = [u64; size_of::<Connection>() / 8];

/// Where connections are watched, and for which of the user's targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// `None`: any.
    pub address: Option<IpAddr>,
    pub port: u16,
    /// Its place among the targets, from 1.
    pub target: u32,
}

pub struct Endpoints {
    ports: Array<MapData, u64>,
    endpoints: HashMap<MapData, KeyWords, u32>,
    connections: HashMap<MapData, u64, ConnectionWords>,
    watched: BTreeSet<Endpoint>,
}

impl Endpoints {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            ports: Array::try_from(take(ebpf, "ENDPOINT_PORTS")?)?,
            endpoints: HashMap::try_from(take(ebpf, "ENDPOINTS")?)?,
            connections: HashMap::try_from(take(ebpf, "WEBHOOK_CONNECTIONS")?)?,
            watched: BTreeSet::new(),
        })
    }

    /// Watches these as well. Connections to what was watched before go on being so.
    fn watch(&mut self, endpoints: &[Endpoint]) -> Result<(), LoadError> {
        for endpoint in endpoints {
            if self.watched.contains(endpoint) {
                continue;
            }
            // Of targets with one endpoint the first is named; which it is, is told by the path.
            match self.endpoints.insert(key(endpoint), endpoint.target, BPF_NOEXIST) {
                Err(_) if self.endpoints.get(&key(endpoint), 0).is_ok() => {}
                result => result?,
            }
            let slot = u32::from(endpoint.port >> 6);
            let ports = self.ports.get(&slot, 0)? | 1 << (endpoint.port & 63);
            self.ports.set(slot, ports, 0)?;
            self.watched.insert(*endpoint);
        }
        Ok(())
    }
}

impl Live {
    /// Watches connections to these endpoints as well.
    ///
    /// # Errors
    /// When the kernel's map is full.
    pub fn watch_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), LoadError> {
        self.endpoints.watch(endpoints)
    }

    /// Nothing more will come of this connection.
    pub fn forget_connection(&mut self, cookie: u64) {
        // The kernel side may have seen its end by now.
        let _ = self.endpoints.connections.remove(&cookie);
    }
}

/// Only if it is not there yet.
pub(super) const BPF_NOEXIST: u64 = 1;

pub(super) fn key(endpoint: &Endpoint) -> KeyWords {
    let address = match endpoint.address {
        None => [0; 16],
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(address)) => address.octets(),
    };
    let wire = WireEndpoint { address, port: endpoint.port, pad: [0; 3] };
    KeyWords::read_from_bytes(wire.as_bytes()).unwrap_or_default()
}
