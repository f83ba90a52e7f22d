//! Tables of connections, of the node and of containers that have a network of their own: read from time to time, and
//! handed on as what was counted since.

use std::collections::{BTreeMap, VecDeque};

use super::edge::now;
use crate::{
    input::{Record, Sample, SampleKind, Tracked},
    probes::{Event, process},
    source::facts::{HostRoot, conntrack},
    time::Time,
};

/// How often a table is read.
const EVERY_NS: u64 = 5_000_000_000;
/// Containers looked at in one turn.
const A_TURN: usize = 4;
/// Containers that are followed; what comes then is not.
const MAX_CONTAINERS: usize = 16_384;
/// In whose network the node itself is.
const INIT: u32 = 1;

/// The tables that are read.
#[derive(Default)]
pub struct Tracking {
    node: Option<Time>,
    followed: BTreeMap<u32, Option<u64>>,
    /// What was read last of each network, and in whose eyes: those of a pod have one together.
    networks: BTreeMap<u64, (u32, Tracked)>,
    /// In the order in which they are due.
    queue: VecDeque<(Time, u32)>,
}

impl Tracking {
    pub fn follow(&mut self, init: u32) {
        if self.followed.len() < MAX_CONTAINERS && self.followed.insert(init, None).is_none() {
            self.queue.push_back((now(), init));
        }
    }

    pub fn note(&mut self, record: &Record) {
        if let Event::Process(process::Event::Exited { .. }) = &record.event
            && let Some(Some(network)) = self.followed.remove(&record.tgid)
            && self.networks.get(&network).is_some_and(|(init, _)| *init == record.tgid)
        {
            self.networks.remove(&network);
        }
    }

    /// What was counted since it was read last, where there was something, or is little room.
    pub fn samples(&mut self, host: &HostRoot) -> Vec<Sample> {
        let (mut samples, time) = (Vec::new(), now());
        if self.node.is_none_or(|last| time.since(last) >= EVERY_NS) {
            self.node = Some(time);
            samples.extend(self.look(host, INIT));
        }
        for _ in 0..A_TURN {
            let Some((_, init)) = self.queue.pop_front_if(|(due, _)| *due <= time) else { break };
            if self.followed.contains_key(&init) {
                samples.extend(self.look(host, init));
                self.queue.push_back((time.plus(EVERY_NS), init));
            }
        }
        samples
    }

    fn look(&mut self, host: &HostRoot, init: u32) -> Option<Sample> {
        let network = conntrack::network(host, init)?;
        if let Some(known) = self.followed.get_mut(&init) {
            *known = Some(network);
        }
        let known = self.networks.get(&network).copied();
        if known.is_some_and(|(who, _)| who != init) {
            return None;
        }
        let counts = conntrack::counts(host, init)?;
        self.networks.insert(network, (init, counts));
        let (_, before) = known?;
        let since = counts.since(&before);
        let what = SampleKind::Tracked { init: (init != INIT).then_some(init), counts: since };
        (init == INIT || since.is_noteworthy()).then(|| Sample { time: now(), what })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    const NAMES: &str = "entries insert_failed drop early_drop\n";

    fn process(root: &Path, pid: u32, network: u32, counts: &str) {
        let folder = root.join(format!("proc/{pid}/net"));
        fs::create_dir_all(folder.join("stat")).unwrap();
        fs::write(folder.join("stat/nf_conntrack"), format!("{NAMES}{counts}\n")).unwrap();
        let of_network = root.join(format!("{network}"));
        fs::write(&of_network, "").unwrap();
        // There already, the second time.
        let _ = fs::hard_link(of_network, folder.join("dev"));
    }

    fn looked_at(tracking: &mut Tracking, host: &HostRoot) -> Vec<SampleKind> {
        tracking.node = None;
        tracking.queue.iter_mut().for_each(|(due, _)| *due = Time(0));
        tracking.samples(host).into_iter().map(|sample| sample.what).collect()
    }

    #[test]
    fn each_network_is_read_once_and_what_is_new_is_handed_on() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/net/netfilter")).unwrap();
        fs::write(dir.path().join("proc/sys/net/netfilter/nf_conntrack_max"), "100\n").unwrap();
        for (pid, network) in [(1, 7), (20, 7), (30, 8), (31, 8)] {
            process(dir.path(), pid, network, "1 5 5 0");
        }
        let host = HostRoot::at(dir.path());
        let mut tracking = Tracking::default();
        [20, 30, 31].into_iter().for_each(|init| tracking.follow(init));
        assert_eq!(looked_at(&mut tracking, &host), [], "what was before is no news");
        let quiet = Tracked { entries: 1, max: 100, ..Tracked::default() };
        assert_eq!(looked_at(&mut tracking, &host), [SampleKind::Tracked { init: None, counts: quiet }]);
        for pid in [30, 31] {
            process(dir.path(), pid, 8, "2 7 8 1");
        }
        let counts = Tracked { entries: 2, max: 100, collided: 2, refused: 1, evicted: 1 };
        let of_node = SampleKind::Tracked { init: None, counts: quiet };
        assert_eq!(
            looked_at(&mut tracking, &host),
            [of_node, SampleKind::Tracked { init: Some(30), counts }]
        );
    }
}
