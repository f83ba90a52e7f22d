//! Packets that this node dropped, and which connection or look-up they were of. A packet passes several network
//! namespaces, and several namespaces have the same addresses: what tells flows apart is the port that they come from,
//! which is the same all the way. What is within a namespace (loopback) is told apart by that, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use crate::{input::Route, output::Drop, probes::net::Dropped, time::Time};

/// Drops that are remembered; the oldest goes first.
const MAX_REMEMBERED: usize = 4_096;

/// How long a drop is remembered for connections that began before it. Linux gives up after 127 s.
const REMEMBER_NS: u64 = 180_000_000_000;

/// A connection's failure and that of its `connect` are this close together.
pub(super) const SAME_CALL_NS: u64 = 50_000_000;

/// Where packets go, the port that they come from, and the network namespace of where they were dropped.
type Key = (SocketAddr, u16, Option<u32>);

/// The way of packets whose drops are looked for.
pub struct Way {
    pub remote: SocketAddr,
    /// Of the socket. 0: not known, then any does.
    pub port: u16,
    /// The socket's network namespace, where that is known.
    pub netns: Option<u32>,
}

/// Drops by the way of their packets; and failures that were told already, by thread.
#[derive(Default)]
pub struct Drops {
    /// What the kernel calls its reasons.
    names: BTreeMap<u32, String>,
    by_way: BTreeMap<Key, (Time, Dropped)>,
    by_age: BTreeSet<(Time, Key)>,
    /// `connect` has failed in this thread, and its connection has been told.
    pub(super) told: BTreeMap<u32, (Time, i32)>,
}

impl Drops {
    pub fn name(&mut self, reasons: &[(u32, String)]) {
        self.names = reasons.iter().cloned().collect();
    }

    pub fn names(&self) -> Vec<(u32, String)> {
        self.names.iter().map(|(number, name)| (*number, name.clone())).collect()
    }

    pub(super) fn remember(&mut self, time: Time, dropped: &Dropped) {
        let (from, to) = (dropped.source, dropped.destination);
        // Either may be whom somebody connects to: a request is dropped as well as an answer.
        for key in [(to, from.port(), dropped.netns), (from, to.port(), dropped.netns)] {
            if let Some((before, _)) = self.by_way.insert(key, (time, dropped.clone())) {
                self.by_age.remove(&(before, key));
            }
            self.by_age.insert((time, key));
        }
        while self.by_way.len() > MAX_REMEMBERED
            && let Some((_, key)) = self.by_age.pop_first()
        {
            self.by_way.remove(&key);
        }
    }

    /// A packet that was dropped on its way there or back since then.
    pub fn since(&self, began: Time, way: &Way) -> Option<Drop> {
        let (remote, ports) = (way.remote, if way.port == 0 { (0, u16::MAX) } else { (way.port, way.port) });
        let (first, last) = ((remote, ports.0, None), (remote, ports.1, Some(u32::MAX)));
        let is_within =
            |netns: Option<u32>| !remote.ip().is_loopback() || differ(netns, way.netns) != Some(true);
        let dropped = self
            .by_way
            .range(first..=last)
            .filter(|((.., netns), (time, _))| *time >= began && is_within(*netns))
            // Where the socket is, if there, too; else where it was dropped last.
            .max_by_key(|((.., netns), (time, _))| (differ(*netns, way.netns) == Some(false), *time));
        let (_, (_, dropped)) = dropped?;
        Some(Drop {
            reason: self.names.get(&dropped.reason).cloned().unwrap_or_else(|| dropped.reason.to_string()),
            netns: dropped.netns,
            // Whether what was dropped was on its way there, or back.
            of_answer: dropped.source == remote,
        })
    }

    /// Where a packet was bound for that came from there and was dropped since then, if not where it was sent to.
    pub fn bound_for(&self, began: Time, sent: &Route) -> Option<SocketAddr> {
        let (first, last) = ((sent.from, 0, None), (sent.from, u16::MAX, Some(u32::MAX)));
        let is_of_it = |dropped: &Dropped| dropped.transport == sent.transport && dropped.source == sent.from;
        let of_it = self.by_way.range(first..=last).filter(|(_, (time, dropped))| {
            *time >= began && is_of_it(dropped) && dropped.destination != sent.to
        });
        let (_, (_, dropped)) = of_it.max_by_key(|(_, (time, _))| *time)?;
        Some(dropped.destination)
    }

    pub fn forget(&mut self, time: Time) {
        while let Some((at, key)) = self.by_age.first().copied()
            && time.since(at) >= REMEMBER_NS
        {
            self.by_age.remove(&(at, key));
            self.by_way.remove(&key);
        }
        self.told.retain(|_, (at, _)| time.since(*at) < SAME_CALL_NS);
    }
}

/// `None`: one of them is not known.
fn differ(one: Option<u32>, other: Option<u32>) -> Option<bool> {
    Some(one? != other?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::packet::Transport;

    const LOCAL: &str = "10.42.0.7:41000";

    fn dropped(source: &str, destination: &str, netns: u32) -> Dropped {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Dropped { transport: Transport::Tcp, source, destination, reason: 8, netns: Some(netns), count: 1 }
    }

    fn way(remote: &str, port: u16, netns: u32) -> Way {
        Way { remote: remote.parse().unwrap(), port, netns: Some(netns) }
    }

    #[test]
    fn drops_are_forgotten_in_the_order_of_their_age() {
        let mut drops = Drops::default();
        let remote = |n: usize| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 80));
        for n in 0..2 * MAX_REMEMBERED {
            drops.remember(Time(n as u64), &dropped(LOCAL, &remote(n).to_string(), 4));
        }
        assert_eq!((drops.by_way.len(), drops.by_age.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        let found = |n| drops.since(Time(0), &Way { remote: remote(n), port: 41_000, netns: Some(4) });
        assert!(found(1).is_none());
        assert!(found(2 * MAX_REMEMBERED - 1).is_some());
        drops.forget(Time(REMEMBER_NS + 3 * MAX_REMEMBERED as u64));
        assert!(drops.by_way.is_empty() && drops.by_age.is_empty());
    }

    #[test]
    fn another_flow_between_the_same_addresses_is_another_one() {
        let mut drops = Drops::default();
        drops.remember(Time(5), &dropped(LOCAL, "10.42.1.2:80", 9));
        assert!(drops.since(Time(1), &way("10.42.1.2:80", 41_001, 4)).is_none(), "of another socket");
        let found = drops.since(Time(1), &way("10.42.1.2:80", 41_000, 4)).expect("dropped on its way");
        assert_eq!((found.netns, found.of_answer), (Some(9), false));
        assert!(drops.since(Time(1), &way("10.42.1.2:80", 0, 4)).is_some(), "whose port is not known");
        assert!(drops.since(Time(1), &way(LOCAL, 80, 9)).expect("at the other end").of_answer);
    }

    #[test]
    fn what_does_not_leave_a_namespace_is_not_dropped_in_another() {
        let mut drops = Drops::default();
        drops.remember(Time(5), &dropped("127.0.0.1:41000", "127.0.0.1:80", 9));
        assert!(drops.since(Time(1), &way("127.0.0.1:80", 41_000, 4)).is_none());
        assert!(drops.since(Time(1), &way("127.0.0.1:80", 41_000, 9)).is_some());
        drops.remember(Time(6), &Dropped { reason: 7, ..dropped("127.0.0.1:41000", "127.0.0.1:80", 4) });
        assert_eq!(drops.since(Time(1), &way("127.0.0.1:80", 41_000, 9)).expect("its own").reason, "8");
    }
}
