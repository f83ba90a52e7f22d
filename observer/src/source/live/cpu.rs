//! How long tasks wait for CPUs, and which servers' time is watched, as the kernel side keeps it.

use std::net::SocketAddr;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray},
};
use observer_ebpf::{
    Family,
    wire::{
        cpu::{BUCKETS, doing},
        webhook::Endpoint as WireEndpoint,
    },
};

use super::{Live, LoadError, endpoints, maps::take};
use crate::health::Status;

type KeyWords = [u64; size_of::<WireEndpoint>() / 8];
/// A server of whose threads nothing is known: plain words, as aya wants them.
type ServerWords = [u64; 1 + doing::COUNT];

pub struct Cpu {
    run_queue: PerCpuArray<MapData, [u64; BUCKETS]>,
    servers: HashMap<MapData, u32, ServerWords>,
    served_at: HashMap<MapData, KeyWords, u32>,
    servers_known: Array<MapData, u32>,
}

impl Cpu {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            run_queue: PerCpuArray::try_from(take(ebpf, "RUN_QUEUE")?)?,
            servers: HashMap::try_from(take(ebpf, "SERVERS")?)?,
            served_at: HashMap::try_from(take(ebpf, "SERVED_AT")?)?,
            servers_known: Array::try_from(take(ebpf, "SERVERS_KNOWN")?)?,
        })
    }
}

impl Live {
    /// Waits for a CPU that were measured since attach, by bucket; `None`: they are not measured.
    pub fn run_queue(&self) -> Option<[u64; BUCKETS]> {
        let plan = self.plans.iter().find(|plan| plan.family == Family::Cpu)?;
        let of_cpus = self.cpu.run_queue.get(&0, 0).ok().filter(|_| plan.status == Status::Attached)?;
        Some(std::array::from_fn(|bucket| of_cpus.iter().map(|counts| counts[bucket]).sum()))
    }

    /// From now on the time of this process is watched, which serves at this address.
    ///
    /// # Errors
    /// When one of the kernel's maps is full.
    pub fn watch_server(&mut self, tgid: u32, address: SocketAddr) -> Result<(), LoadError> {
        match self.cpu.servers.insert(tgid, [0; 1 + doing::COUNT], endpoints::BPF_NOEXIST) {
            Err(_) if self.cpu.servers.get(&tgid, 0).is_ok() => {}
            result => result?,
        }
        self.cpu.served_at.insert(endpoints::key(Some(address.ip()), address.port()), tgid, 0)?;
        Ok(self.cpu.servers_known.set(0, 1, 0)?)
    }
}
