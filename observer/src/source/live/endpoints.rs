//! The endpoints whose connections are watched, as the kernel side looks them up.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

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

    /// Watches these as well, and of what was watched before only what is a target yet. Connections that are followed
    /// go on being so.
    fn watch(&mut self, endpoints: &[Endpoint], is_target: impl Fn(u32) -> bool) -> Result<(), LoadError> {
        let before = first_of_each(&self.watched);
        self.watched.retain(|endpoint| is_target(endpoint.target));
        self.watched.extend(endpoints);
        let after = first_of_each(&self.watched);
        for gone in before.keys().filter(|at| !after.contains_key(*at)) {
            self.endpoints.remove(&key(gone.0, gone.1))?;
        }
        let mut result = Ok(());
        for (at, target) in after.iter().filter(|(at, target)| before.get(*at) != Some(*target)) {
            if let Err(error) = self.endpoints.insert(key(at.0, at.1), target, 0) {
                // What has no room now may have it when this is asked again.
                self.watched.retain(|endpoint| (endpoint.address, endpoint.port) != *at);
                result = Err(error.into());
            }
        }
        self.watch_ports(before.keys().chain(after.keys()).map(|(_, port)| *port).collect())?;
        result
    }

    fn watch_ports(&mut self, changed: BTreeSet<u16>) -> Result<(), LoadError> {
        for port in changed {
            let (slot, bit) = (u32::from(port >> 6), 1 << (port & 63));
            let others = self.ports.get(&slot, 0)? & !bit;
            let is_watched = self.watched.iter().any(|endpoint| endpoint.port == port);
            self.ports.set(slot, if is_watched { others | bit } else { others }, 0)?;
        }
        Ok(())
    }
}

type Place = (Option<IpAddr>, u16);

/// Of targets with one endpoint the first is named; which it is, is told by the path.
fn first_of_each(watched: &BTreeSet<Endpoint>) -> BTreeMap<Place, u32> {
    let place = |endpoint: &Endpoint| ((endpoint.address, endpoint.port), endpoint.target);
    // Of several the last is kept.
    watched.iter().rev().map(place).collect()
}

impl Live {
    /// Watches connections to these endpoints as well, and no more those to what `is_target` no more.
    ///
    /// # Errors
    /// When the kernel's map is full.
    pub fn watch_endpoints(
        &mut self,
        endpoints: &[Endpoint],
        is_target: impl Fn(u32) -> bool,
    ) -> Result<(), LoadError> {
        self.endpoints.watch(endpoints, is_target)
    }

    /// Nothing more will come of this connection.
    pub fn forget_connection(&mut self, cookie: u64) {
        // The kernel side may have seen its end by now.
        let _ = self.endpoints.connections.remove(&cookie);
    }
}

/// Only if it is not there yet.
pub(super) const BPF_NOEXIST: u64 = 1;

pub(super) fn key(address: Option<IpAddr>, port: u16) -> KeyWords {
    let address = match address {
        None => [0; 16],
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(address)) => address.octets(),
    };
    let wire = WireEndpoint { address, port, pad: [0; 3] };
    KeyWords::read_from_bytes(wire.as_bytes()).unwrap_or_default()
}
