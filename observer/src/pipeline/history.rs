//! What was told of each container, kept for whoever asks later. Bounded: of more containers those are forgotten that
//! were heard of least recently, and counted.

use std::collections::{BTreeMap, VecDeque};

use super::event_needs_attention;
use crate::{
    filter::Asked,
    output::{
        ColdStart, Container, CpuUse, Event, Finding, FindingStatus, Instance, NetAction, Output, PastExit,
        Resident, RuntimeAction, Since, Stdio, Subject, Unproven, What,
    },
    time::{Time, Wall},
};

/// Containers that are remembered: each takes some 10 kB (`cargo xtask soak`), and a budget of memory has to hold them all.
const MAX_CONTAINERS: usize = 512;
/// Events that are remembered of each of them.
const MAX_EVENTS: usize = 12;
/// Findings, and suspicions, that are remembered.
const MAX_FOUND: usize = 512;

/// What was told of one container.
#[derive(Clone, Debug, Default)]
pub struct Past {
    pub container: Container,
    pub since: Option<Since>,
    pub exit: Option<PastExit>,
    /// As they were told last, by descriptor.
    pub streams: BTreeMap<u32, Stdio>,
    pub resident: Option<Resident>,
    pub cpu: Option<CpuUse>,
    pub outcomes: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Those that need attention, the latest last.
    pub recent: VecDeque<Event>,
    pub start: Option<ColdStart>,
    /// When it was heard of last: a number that only grows.
    pub heard: u64,
}

/// A container's id, and which of those that had it.
type Key = (String, Instance);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct History {
    by: BTreeMap<Key, Past>,
    findings: BTreeMap<String, Finding>,
    unproven: VecDeque<Unproven>,
    heard: u64,
    /// Containers that were forgotten to bound memory.
    pub forgotten: u64,
    pub from: Option<Wall>,
    pub to: Option<Wall>,
}

impl History {
    pub fn take(&mut self, output: &Output) {
        match output {
            Output::ColdStart(start) => {
                self.at(start.time);
                let exit = start.container.exit.as_ref();
                let exit = exit.map(|_| exit_of(&start.container, None));
                let past = self.past(&start.container);
                past.start = Some((**start).clone());
                past.since = Some(Since::Start);
                // The event of its end knows when that was.
                past.exit = past.exit.take().or(exit);
            }
            Output::Event(event) => self.event(event),
            Output::Finding(finding) => {
                self.at(finding.time);
                self.findings.insert(finding.fingerprint.clone(), (**finding).clone());
                if self.findings.len() > MAX_FOUND {
                    self.forget_finding();
                }
            }
            Output::Unproven(unproven) => {
                let id = |subject: &Subject| subject.container.as_ref().map(|container| container.id.clone());
                let of = id(&unproven.subject);
                // The latest says all that the earlier ones said.
                self.unproven.retain(|known| known.id != unproven.id || id(&known.subject) != of);
                if self.unproven.len() >= MAX_FOUND {
                    self.unproven.pop_front();
                }
                self.unproven.push_back((**unproven).clone());
            }
            Output::Stats(stats) => {
                let Some(id) = stats.key.get("container") else { return };
                let of_it = |(key, past): (&Key, &Past)| (key.0 == *id).then_some((past.heard, key.clone()));
                let latest = self.by.iter().filter_map(of_it).max();
                if let Some(past) = latest.and_then(|(_, key)| self.by.get_mut(&key)) {
                    past.resident = stats.resident.or(past.resident);
                    past.cpu = stats.cpu.or(past.cpu);
                }
            }
            Output::Settled(_)
            | Output::Evidence(_)
            | Output::Health(_)
            | Output::Summary(_)
            | Output::Want(_) => {}
        }
    }

    fn event(&mut self, event: &Event) {
        self.at(event.time);
        let Some(container) = &event.container else { return };
        let past = self.past(container);
        past.since.get_or_insert(event.since);
        match &event.what {
            What::Stdio(stdio) => {
                past.streams.insert(stdio.fd, stdio.clone());
            }
            What::Runtime(runtime) if runtime.action == RuntimeAction::Exit => {
                past.exit = Some(exit_of(container, Some(event.time)));
            }
            _ => {}
        }
        if let Some(outcome) = outcome(&event.what) {
            *past.outcomes.entry(event.what.probe()).or_default().entry(outcome).or_default() += 1;
        }
        if event_needs_attention(event) {
            past.recent.retain(|earlier| !says_more(&event.what, &earlier.what));
            if past.recent.len() >= MAX_EVENTS {
                past.recent.pop_front();
            }
            past.recent.push_back(event.clone());
        }
    }

    /// What is remembered of those that are asked for, the latest last.
    pub fn of(&self, asked: &Asked) -> Vec<Past> {
        let mut found: Vec<&Past> = self.by.values().filter(|past| asked.takes(&past.container)).collect();
        found.sort_by_key(|past| past.heard);
        found.into_iter().cloned().collect()
    }

    /// Findings about these, about what they are on, or about their images.
    pub fn findings(&self, is: impl Fn(&Subject) -> bool) -> Vec<Finding> {
        let open = |finding: &&Finding| finding.status != FindingStatus::Resolved && is(&finding.subject);
        self.findings.values().filter(open).cloned().collect()
    }

    pub fn unproven(&self, is: impl Fn(&Subject) -> bool) -> Vec<Unproven> {
        self.unproven.iter().filter(|unproven| is(&unproven.subject)).cloned().collect()
    }

    fn at(&mut self, time: Wall) {
        self.from.get_or_insert(time);
        self.to = self.to.max(Some(time));
    }

    fn past(&mut self, container: &Container) -> &mut Past {
        let instance = container.instance.unwrap_or(Instance { init: 0, start: Time(0) });
        let key = (container.id.clone(), instance);
        if self.by.len() >= MAX_CONTAINERS && !self.by.contains_key(&key) {
            self.forget();
        }
        self.heard += 1;
        let past = self.by.entry(key).or_default();
        past.heard = self.heard;
        past.container = container.clone();
        past
    }

    /// A quarter at once, so that it is seldom: those that have ended before those that live.
    fn forget(&mut self) {
        let mut order: Vec<(bool, u64)> =
            self.by.values().map(|past| (past.exit.is_none(), past.heard)).collect();
        order.sort_unstable();
        let Some(limit) = order.get(MAX_CONTAINERS / 4).copied() else { return };
        let before = self.by.len();
        self.by.retain(|_, past| (past.exit.is_none(), past.heard) >= limit);
        self.forgotten += (before - self.by.len()) as u64;
    }

    fn forget_finding(&mut self) {
        let oldest = self
            .findings
            .values()
            .min_by_key(|finding| (finding.status != FindingStatus::Resolved, finding.last_seen));
        if let Some(fingerprint) = oldest.map(|finding| finding.fingerprint.clone()) {
            self.findings.remove(&fingerprint);
        }
    }
}

/// A stream is told again and again while it is as it is, each time with all that was before.
fn says_more(now: &What, before: &What) -> bool {
    let (What::Stdio(now), What::Stdio(before)) = (now, before) else { return false };
    (now.fd, now.outcome) == (before.fd, before.outcome)
}

fn exit_of(container: &Container, time: Option<Wall>) -> PastExit {
    let exit = container.exit.clone().unwrap_or_default();
    PastExit {
        id: container.id.clone(),
        attempt: container.attempt,
        time,
        code: exit.code,
        signal: exit.signal,
        reason: exit.reason,
    }
}

/// By what an event is counted.
fn outcome(what: &What) -> Option<&'static str> {
    match what {
        What::Dns(dns) => Some(dns.outcome.name()),
        // What becomes of a connection later is no connection more.
        What::Net(net) => (net.action == NetAction::Connect).then(|| net.outcome.name()),
        What::Webhook(call) => Some(call.outcome.name()),
        What::Memory(memory) => Some(memory.kind.name()),
        What::Cpu(cpu) => Some(cpu.outcome.name()),
        What::File(file) => Some(file.outcome.name()),
        What::Exec(_) | What::Runtime(_) | What::Stdio(_) | What::Text(_) | What::Io(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Exit, Runtime, StdioOutcome, StdioTarget};

    fn exited(number: u64) -> Output {
        let container = Container {
            id: format!("c{number:05}"),
            pod: Some("web-0".to_owned()),
            namespace: Some("shop".to_owned()),
            instance: Some(Instance { init: number as u32, start: Time(number) }),
            exit: Some(Exit { code: Some(137), signal: Some(9), reason: None }),
            ..Container::default()
        };
        let what = Runtime { exit_code: Some(137), signal: Some(9), ..Runtime::of(RuntimeAction::Exit) };
        Output::Event(Box::new(Event {
            time: Wall(number as i64),
            began: None,
            container: Some(container),
            process: None,
            since: Since::Start,
            why: None,
            what: What::Runtime(what),
        }))
    }

    #[test]
    fn the_oldest_are_forgotten_and_counted() {
        let mut history = History::default();
        let all = MAX_CONTAINERS as u64 * 3;
        (0..all).for_each(|number| history.take(&exited(number)));
        assert!(history.by.len() <= MAX_CONTAINERS);
        assert_eq!(history.by.len() as u64 + history.forgotten, all);
        let asked = Asked::parse("shop/web-0").expect("a pod");
        let found = history.of(&asked);
        assert_eq!(found.last().map(|past| past.container.id.clone()), Some(format!("c{:05}", all - 1)));
        assert!(!history.by.keys().any(|(id, _)| id == "c00000"));
        assert_eq!(found[0].exit.as_ref().and_then(|exit| exit.code), Some(137));
    }

    #[test]
    fn of_a_stream_the_latest_is_remembered() {
        let stream = |fd, number: i64, outcome| {
            let what = Stdio {
                fd,
                shared_with_fd: None,
                target: StdioTarget::Pipe,
                target_now: None,
                written_bytes: None,
                delivered_bytes: None,
                pipe_bytes: None,
                blocked_ns: None,
                waiter: None,
                broken_pipe_writes: number as u64,
                reader: None,
                log_file: None,
                outcome,
                unflushed: None,
                ended: false,
            };
            let Output::Event(mut event) = exited(1) else { unreachable!("an event") };
            (event.time, event.what) = (Wall(number), What::Stdio(what));
            Output::Event(event)
        };
        let mut history = History::default();
        for number in 1..=100 {
            history.take(&stream(1, number, StdioOutcome::ReaderGone));
        }
        history.take(&stream(2, 101, StdioOutcome::ReaderGone));
        history.take(&stream(1, 102, StdioOutcome::Blocked));
        let past = &history.of(&Asked::parse("c00001").expect("an id"))[0];
        assert_eq!(past.recent.iter().map(|event| event.time.0).collect::<Vec<_>>(), [100, 101, 102]);
    }

    #[test]
    fn only_what_is_asked_for_is_found() {
        let mut history = History::default();
        history.take(&exited(1));
        assert!(history.of(&Asked::parse("shop/web-1").expect("a pod")).is_empty());
        assert_eq!(history.of(&Asked::parse("c00001").expect("an id")).len(), 1);
    }
}
