//! The node itself: samples what it counts, from time to time.

use observer_ebpf::wire::cpu::BUCKETS;

use super::{
    edge::now,
    hardware::{Hardware, moved},
};
use crate::{
    input::{CpuTime, NodeCounts, Sample, SampleKind},
    source::{
        facts::{HostRoot, certificates, node},
        live::Live,
    },
    time::Time,
};

/// How often it is read.
const EVERY_NS: u64 = 5_000_000_000;

/// How often certificates are looked at.
const CERTIFICATES_EVERY_NS: u64 = 300_000_000_000;

/// What was counted by the last sample.
#[derive(Default)]
pub struct Node {
    last: Option<Last>,
    certificates: Option<Time>,
    hardware: Hardware,
}

struct Last {
    time: Time,
    run_queue: Option<[u64; BUCKETS]>,
    cpu_time: Option<CpuTime>,
}

impl Node {
    /// Certificates of the cluster's components, if it is time to look at them and there are any.
    pub fn certificates(&mut self, host: &HostRoot) -> Option<Sample> {
        let time = now();
        if self.certificates.is_some_and(|last| time.since(last) < CERTIFICATES_EVERY_NS) {
            return None;
        }
        self.certificates = Some(time);
        let found = certificates::read(host);
        (!found.is_empty()).then_some(Sample { time, what: SampleKind::Certificates(found) })
    }

    /// What was counted since the last sample, if it is time for one.
    pub fn sample(&mut self, live: &mut Live, host: &HostRoot) -> Option<Sample> {
        let time = now();
        if self.last.as_ref().is_some_and(|last| time.since(last.time) < EVERY_NS) {
            return None;
        }
        let counted = Last { time, run_queue: live.run_queue(), cpu_time: node::cpu_time(host) };
        let hardware = self.hardware.look(live, host);
        let before = self.last.replace(counted)?;
        let now = self.last.as_ref()?;
        let counts = NodeCounts {
            interval_ns: time.since(before.time),
            run_queue: before.run_queue.zip(now.run_queue).map(|(before, now)| moved(Some(&before), &now)),
            cpu_time: before.cpu_time.zip(now.cpu_time).map(|(before, now)| CpuTime {
                all: now.all.saturating_sub(before.all),
                stolen: now.stolen.saturating_sub(before.stolen),
            }),
            hardware,
        };
        Some(Sample { time, what: SampleKind::Node(Box::new(counts)) })
    }
}
