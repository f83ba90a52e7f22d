//! What was counted of the node itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::probes::packet::Transport;

/// What the node has counted since the sample before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    pub interval_ns: u64,
    /// Waits for a CPU that were measured: how many, by the bucket of their duration (`observer_ebpf::wire::cpu`).
    /// `None`: not measured.
    pub run_queue: Option<Vec<(u16, u64)>>,
    /// `None`: it could not be read.
    pub cpu_time: Option<CpuTime>,
    #[serde(default)]
    pub hardware: super::HardwareCounts,
}

/// What a network's table of connections has counted: of the kernel since it is there, of samples since the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// In it now.
    pub entries: u64,
    /// It takes so many; 0: as many as there are.
    pub max: u64,
    /// Packets that were dropped since another connection was there already under the same addresses and ports.
    pub collided: u64,
    /// Packets that were dropped since there was no room for one more connection.
    pub refused: u64,
    /// Connections that were forgotten to make room for others.
    pub evicted: u64,
}

impl Tracked {
    /// What was counted after `before`.
    pub fn since(&self, before: &Tracked) -> Tracked {
        Tracked {
            collided: self.collided.saturating_sub(before.collided),
            refused: self.refused.saturating_sub(before.refused),
            evicted: self.evicted.saturating_sub(before.evicted),
            ..*self
        }
    }

    /// Packets or connections were lost.
    pub fn is_noteworthy(&self) -> bool {
        (self.collided, self.refused, self.evicted) != (0, 0, 0)
    }
}

/// Time of all CPUs, in ticks of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTime {
    pub all: u64,
    /// In which something was to run here, and the machine below ran something else.
    pub stolen: u64,
}

/// Which way packets go: as who sends them sees it, before the node sends them elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    pub transport: Transport,
    pub from: SocketAddr,
    pub to: SocketAddr,
}

/// A connection that the node translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translated {
    /// As who opened it sees it.
    pub sent: Route,
    /// As who accepted it does.
    pub arrives: Route,
}
