//! Counts of what was told, by image or container, every interval and at the end. Time is that of ticks.

mod durations;
mod webhook;

use std::collections::BTreeMap;

use crate::{
    compare::{GroupKey, Sample},
    model::zone,
    output::{
        ColdStart, Container, CpuOutcome, CpuUse, Dns, Event, FaultKind, Net, NetAction, NetOutcome, NodeUse,
        Resident, Stats, Stdio, StdioOutcome, What,
    },
    time::{ClockOffset, Time, Wall},
};
use durations::Durations;

/// Keys of a probe that are told; the rest of an interval is one more, called `other`.
const TOLD: usize = 100;
/// Keys of a probe that are told apart while an interval lasts. What comes after them is `other`, too.
const TOLD_APART: usize = 4_096;
/// How many are named for having taken longest.
const WORST: usize = 3;

type Key = BTreeMap<&'static str, String>;

/// Everything counted in the current interval.
#[derive(Debug)]
pub(super) struct Tally {
    interval_ns: u64,
    /// Since when is counted.
    from: Time,
    /// When it is told next, once there was a tick to count from.
    due: Option<Time>,
    /// By the probe's name.
    counted: BTreeMap<&'static str, Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    by: BTreeMap<Key, Counts>,
    other: Counts,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    count: u64,
    failed: u64,
    outcomes: BTreeMap<&'static str, u64>,
    durations: Durations,
    /// The longest durations and what they were of, longest first.
    worst: Vec<(u64, String)>,
    resident: Option<Resident>,
    cpu: Option<CpuUse>,
    node: Option<Box<NodeUse>>,
}

/// One thing to count.
struct One {
    count: u64,
    failed: bool,
    outcome: &'static str,
    duration_ns: Option<u64>,
    of: String,
}

impl Tally {
    pub(super) fn new(interval_ns: u64) -> Self {
        Tally { interval_ns: interval_ns.max(1), from: Time(0), due: None, counted: BTreeMap::new() }
    }

    /// Tells so often from the next time on.
    pub(super) fn every(&mut self, interval_ns: u64) {
        self.interval_ns = interval_ns.max(1);
    }

    pub(super) fn start(&mut self, start: &ColdStart) {
        let image = GroupKey::of(&Sample::of(start)).image;
        // Starts are compared only with the same first instant.
        let key = Key::from([("image", image), ("t0", start.t0.name().to_owned())]);
        let one = One {
            count: 1,
            failed: start.failure.is_some(),
            outcome: if start.failure.is_some() { "failed" } else { start.ready.name() },
            duration_ns: start.failure.is_none().then_some(start.total_ns),
            of: start.container.id.clone(),
        };
        self.add("coldstart", key, one);
    }

    pub(super) fn event(&mut self, event: &Event) {
        let one = match &event.what {
            // Starts are counted as such, and devices by samples of the node; what a line means is not decided by how
            // many there are.
            What::Exec(_) | What::Runtime(_) | What::Io(_) | What::Text(_) => return,
            What::Stdio(stdio) if !stdio.ended => return,
            What::Stdio(stdio) => stream(stdio),
            What::Memory(memory) => One {
                count: memory.count,
                // A limit that was reached is none yet.
                failed: memory.kind != FaultKind::Limit,
                outcome: memory.kind.name(),
                duration_ns: None,
                of: String::new(),
            },
            What::Dns(dns) => lookup(dns),
            // What becomes of a connection later is no connection more.
            What::Net(net) if net.action != NetAction::Connect => return,
            What::Net(net) => connection(net),
            What::Webhook(call) => return self.add("webhook", webhook::key(event, call), webhook::one(call)),
            What::File(file) => One {
                count: file.count,
                failed: true,
                outcome: file.outcome.name(),
                duration_ns: None,
                of: String::new(),
            },
            What::Cpu(cpu) if cpu.outcome == CpuOutcome::Unthrottled => return,
            What::Cpu(cpu) => One {
                count: 1,
                failed: true,
                outcome: cpu.outcome.name(),
                duration_ns: None,
                of: String::new(),
            },
        };
        let mut key = subject_key(event);
        add_object(&mut key, &event.what);
        self.add(event.what.probe(), key, one);
    }

    /// How much memory a container holds by now. Of those that are not told apart nobody can tell.
    pub(super) fn resident(&mut self, container: &Container, resident: Resident) {
        let keys = self.counted.entry("memory").or_default();
        let key = container_key(container);
        if keys.has_room(&key) {
            keys.by.entry(key).or_default().resident = Some(resident);
        }
    }

    /// What a container has had of the CPUs since it was last said.
    pub(super) fn cpu(&mut self, container: &Container, used: &CpuUse) {
        let keys = self.counted.entry("cpu").or_default();
        let key = container_key(container);
        if keys.has_room(&key) {
            let sum = &mut keys.by.entry(key).or_default().cpu;
            match sum {
                Some(sum) => sum.add(used),
                None => *sum = Some(*used),
            }
        }
    }

    /// How the node has been doing since it was last said.
    pub(super) fn node(&mut self, used: &NodeUse) {
        let counts = self.counted.entry("node").or_default().by.entry(Key::new()).or_default();
        match &mut counts.node {
            Some(sum) => sum.add(used),
            None => counts.node = Some(Box::new(used.clone())),
        }
    }

    fn add(&mut self, probe: &'static str, key: Key, one: One) {
        let keys = self.counted.entry(probe).or_default();
        let counts = if keys.has_room(&key) { keys.by.entry(key).or_default() } else { &mut keys.other };
        counts.add(one);
    }

    /// What was counted, when an interval is over. Intervals are counted from the first tick.
    pub(super) fn tick(&mut self, time: Time, clock: ClockOffset) -> Vec<Stats> {
        let Some(due) = self.due else {
            self.from = time;
            self.due = Some(time.plus(self.interval_ns));
            return Vec::new();
        };
        if time < due {
            return Vec::new();
        }
        // Ticks may have been far apart: whole intervals passed.
        let end = due.plus(time.since(due) / self.interval_ns * self.interval_ns);
        self.due = Some(end.plus(self.interval_ns));
        self.tell(end, clock)
    }

    /// What was counted since the last interval ended.
    pub(super) fn tell(&mut self, to: Time, clock: ClockOffset) -> Vec<Stats> {
        let from = std::mem::replace(&mut self.from, to);
        // Without a tick nothing was counted from anywhere.
        let from = if self.due.is_some() { from } else { to };
        let (from, to) = (clock.wall(from), clock.wall(to));
        let counted = std::mem::take(&mut self.counted).into_iter();
        counted
            .flat_map(|(probe, keys)| {
                keys.largest().into_iter().map(move |(key, counts)| (probe, key, counts))
            })
            .map(|(probe, key, counts)| counts.stats(probe, key, from, to))
            .collect()
    }
}

impl Keys {
    fn has_room(&self, key: &Key) -> bool {
        self.by.len() < TOLD_APART || self.by.contains_key(key)
    }

    /// The largest first, then what is left of the others.
    fn largest(self) -> Vec<(Key, Counts)> {
        let Keys { by, mut other } = self;
        let name = by.keys().flat_map(|key| key.keys()).min().copied().unwrap_or("key");
        let mut all: Vec<(Key, Counts)> = by.into_iter().collect();
        // Stable: of equals the first by name.
        let size = |counts: &Counts| {
            let rss_bytes = counts.resident.map_or(0, |resident| resident.rss_bytes);
            (counts.count, rss_bytes.max(counts.cpu.map_or(0, |used| used.usage_ns)))
        };
        all.sort_by_key(|(_, counts)| std::cmp::Reverse(size(counts)));
        for (_, counts) in all.split_off(all.len().min(TOLD)) {
            other.merge(counts);
        }
        if other.count > 0 {
            all.push((Key::from([(name, "other".to_owned())]), other));
        }
        all
    }
}

impl Counts {
    fn add(&mut self, one: One) {
        self.count += one.count;
        self.failed += if one.failed { one.count } else { 0 };
        *self.outcomes.entry(one.outcome).or_default() += one.count;
        if let Some(ns) = one.duration_ns {
            self.durations.add(ns);
            self.add_worst(ns, one.of);
        }
    }

    fn add_worst(&mut self, ns: u64, of: String) {
        let at = self.worst.partition_point(|(longer, _)| *longer >= ns);
        if at < WORST && ns > 0 {
            self.worst.insert(at, (ns, of));
            self.worst.truncate(WORST);
        }
    }

    fn merge(&mut self, other: Counts) {
        self.count += other.count;
        self.failed += other.failed;
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.durations.merge(&other.durations);
        for (ns, of) in other.worst {
            self.add_worst(ns, of);
        }
    }

    fn stats(self, probe: &'static str, key: Key, from: Wall, to: Wall) -> Stats {
        Stats {
            probe,
            key,
            count: self.count,
            failed: self.failed,
            outcomes: self.outcomes,
            p50_ns: self.durations.percentile(50),
            p90_ns: self.durations.percentile(90),
            p99_ns: self.durations.percentile(99),
            max_ns: self.durations.longest(),
            worst: self.worst.into_iter().map(|(_, of)| of).collect(),
            resident: self.resident,
            cpu: self.cpu,
            node: self.node,
            from,
            to,
        }
    }
}

/// A stream that has ended. Its duration is how long its writers waited.
fn stream(stdio: &Stdio) -> One {
    let failed =
        matches!(stdio.outcome, StdioOutcome::Undelivered | StdioOutcome::Blocked | StdioOutcome::ReaderGone);
    One {
        count: 1,
        failed,
        outcome: stdio.outcome.name(),
        duration_ns: stdio.blocked_ns,
        of: if stdio.fd == 2 { "stderr".to_owned() } else { "stdout".to_owned() },
    }
}

/// A look-up; named by what it asked for.
fn lookup(dns: &Dns) -> One {
    One {
        count: 1,
        failed: dns.outcome.is_failure(),
        outcome: dns.outcome.name(),
        duration_ns: dns.latency_ns,
        of: dns.decided.name.clone(),
    }
}

/// A connection that was asked for. What its program gave up at once did not fail.
fn connection(net: &Net) -> One {
    One {
        count: 1,
        failed: !matches!(net.outcome, NetOutcome::Connected | NetOutcome::Abandoned),
        outcome: net.outcome.name(),
        duration_ns: net.latency_ns,
        of: net.local.map(|local| local.to_string()).unwrap_or_default(),
    }
}

/// Whom it is counted for: the container, else the program.
fn subject_key(event: &Event) -> Key {
    match (&event.container, &event.process) {
        (Some(container), _) => container_key(container),
        (None, Some(process)) => Key::from([("process", process.comm.clone())]),
        (None, None) => Key::new(),
    }
}

/// Whom something was asked of.
fn add_object(key: &mut Key, what: &What) {
    match what {
        What::Dns(dns) => {
            if let Some(server) = dns.decided.server {
                key.insert("server", server.to_string());
            }
            if let Some(backend) = &dns.decided.backend {
                key.insert("backend", backend.address.to_string());
            }
            key.insert("zone", zone(&dns.decided.name));
        }
        What::Net(net) => {
            if let Some(server) = net.server {
                key.insert("server", server.to_string());
            }
        }
        What::Exec(_)
        | What::Runtime(_)
        | What::Io(_)
        | What::Stdio(_)
        | What::Memory(_)
        | What::Webhook(_)
        | What::Text(_)
        | What::Cpu(_)
        | What::File(_) => {}
    }
}

/// Which container, and what people call it as far as that is known.
fn container_key(container: &Container) -> Key {
    let named = [
        ("container", Some(&container.id)),
        ("name", container.name.as_ref()),
        ("namespace", container.namespace.as_ref()),
        ("pod", container.pod.as_ref()),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name, value?.clone()))).collect()
}

#[cfg(test)]
mod tests;
