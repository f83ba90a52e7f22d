//! Who listens where clusters are entered: the node's network and those of containers, looked at from time to time, and
//! handed on when that has changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::edge::now;
use crate::{
    input::{Listening, Record, Sample, SampleKind},
    probes::{Event, process},
    source::facts::{HostRoot, listening},
    time::Time,
};

/// How often a network is looked at.
const EVERY_NS: u64 = 5_000_000_000;
/// Containers looked at in one turn.
const A_TURN: usize = 4;
/// Containers that are followed; what comes then is not.
const MAX_CONTAINERS: usize = 16_384;

#[derive(Default)]
pub struct Entrances {
    node: Option<Time>,
    of_node: Option<BTreeSet<u16>>,
    followed: BTreeMap<u32, Container>,
    /// In the order in which they are due.
    queue: VecDeque<(Time, u32)>,
}

/// What was seen last of a container.
#[derive(Default)]
struct Container {
    /// All that listen there in its network. Whose they are is asked only when they are others.
    sockets: BTreeSet<listening::Socket>,
    ports: BTreeSet<u16>,
}

impl Entrances {
    pub fn follow(&mut self, init: u32) {
        if self.followed.len() < MAX_CONTAINERS && !self.followed.contains_key(&init) {
            self.followed.insert(init, Container::default());
            self.queue.push_back((now(), init));
        }
    }

    pub fn note(&mut self, record: &Record) {
        if let Event::Process(process::Event::Exited { .. }) = &record.event {
            self.followed.remove(&record.tgid);
        }
    }

    /// What has changed since it was handed on last.
    pub fn samples(&mut self, host: &HostRoot) -> Vec<Sample> {
        let (mut samples, time) = (Vec::new(), now());
        if self.node.is_none_or(|last| time.since(last) >= EVERY_NS) {
            self.node = Some(time);
            samples.extend(self.look_at_node(host));
        }
        for _ in 0..A_TURN {
            let Some((_, init)) = self.queue.pop_front_if(|(due, _)| *due <= time) else { break };
            if let Some(container) = self.followed.get_mut(&init) {
                samples.extend(container.look(host, init));
                self.queue.push_back((time.plus(EVERY_NS), init));
            }
        }
        samples
    }

    fn look_at_node(&mut self, host: &HostRoot) -> Option<Sample> {
        let sockets = listening::sockets(host, listening::INIT).ok()?;
        let ports: BTreeSet<u16> = sockets.iter().map(|(port, _)| *port).collect();
        if self.of_node.as_ref() == Some(&ports) {
            return None;
        }
        self.of_node = Some(ports.clone());
        Some(sample(None, Listening { ports, addresses: listening::addresses(host) }))
    }
}

impl Container {
    fn look(&mut self, host: &HostRoot, init: u32) -> Option<Sample> {
        let sockets = listening::sockets(host, init).ok()?;
        if sockets == self.sockets {
            return None;
        }
        let ports = listening::own(host, init, &sockets);
        self.sockets = sockets;
        if ports == self.ports {
            return None;
        }
        self.ports.clone_from(&ports);
        Some(sample(Some(init), Listening { ports, addresses: Vec::new() }))
    }
}

fn sample(init: Option<u32>, at: Listening) -> Sample {
    Sample { time: now(), what: SampleKind::Listening { init, at } }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn listens(root: &Path, pid: u32, port: u16, inode: u32) {
        let folder = root.join(format!("proc/{pid}"));
        fs::create_dir_all(folder.join("net")).unwrap();
        fs::create_dir_all(folder.join("fd")).unwrap();
        let line = format!(" 0: 00000000:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1 0\n");
        fs::write(folder.join("net/tcp"), format!("head\n{line}")).unwrap();
    }

    fn looked_at(entrances: &mut Entrances, host: &HostRoot) -> Vec<(Option<u32>, Vec<u16>)> {
        entrances.node = None;
        entrances.queue.iter_mut().for_each(|(due, _)| *due = Time(0));
        let ports = |sample: Sample| match sample.what {
            SampleKind::Listening { init, at } => (init, at.ports.into_iter().collect()),
            other => panic!("{other:?}"),
        };
        entrances.samples(host).into_iter().map(ports).collect()
    }

    #[test]
    fn what_has_changed_is_handed_on_and_of_containers_only_what_is_theirs() {
        let dir = tempfile::tempdir().unwrap();
        // Both containers are in the node's network.
        [1, 20, 30].into_iter().for_each(|pid| listens(dir.path(), pid, 80, 5));
        std::os::unix::fs::symlink("socket:[5]", dir.path().join("proc/20/fd/3")).unwrap();
        let host = HostRoot::at(dir.path());
        let mut entrances = Entrances::default();
        [20, 30].into_iter().for_each(|init| entrances.follow(init));
        assert_eq!(looked_at(&mut entrances, &host), [(None, vec![80]), (Some(20), vec![80])]);
        assert_eq!(looked_at(&mut entrances, &host), []);
        [1, 20, 30].into_iter().for_each(|pid| listens(dir.path(), pid, 8080, 5));
        assert_eq!(looked_at(&mut entrances, &host), [(None, vec![]), (Some(20), vec![])]);
        fs::remove_file(dir.path().join("proc/1/net/tcp")).unwrap();
        assert_eq!(looked_at(&mut entrances, &host), [], "what cannot be read says nothing");
    }
}
