//! One answer from what was seen and what engines say. What both know is told once: of who a container is the
//! engine's word fills what was not seen, of how it is what was seen comes first.

use std::collections::BTreeMap;

use super::{engine::Said, seen::Seen};
use crate::{
    layer::Layer,
    output::{
        Api, Condition, Container, Described, Description, Known, LogFile, NotMeasured, PastExit, Source,
        Standing,
    },
    pipeline::Past,
    source::facts::cri::{Listed, MAX_ASKED},
};

/// Containers that one answer tells of.
const MAX_TOLD: usize = 32;
/// Ends of each.
const MAX_EXITS: usize = 8;

/// What tells containers apart that come one after the other: pod and name, else the id.
type Key = (Option<String>, Option<String>, String);

fn key(container: &Container) -> Key {
    match (&container.pod, &container.name) {
        (Some(pod), Some(name)) => (container.namespace.clone(), Some(pod.clone()), name.clone()),
        _ => (None, None, container.id.clone()),
    }
}

pub fn describe(text: &str, source: Source, seen: Seen, said: Said) -> Description {
    let mut by: BTreeMap<Key, Described> = BTreeMap::new();
    let listed = said.listed.len();
    for listed in said.listed {
        take_listed(by.entry(key(&listed.container)).or_default(), listed);
    }
    let mut ids: BTreeMap<String, Key> =
        by.iter().map(|(key, described)| (described.container.id.clone(), key.clone())).collect();
    for standing in seen.standings {
        let id = standing.container.id.clone();
        let key = ids.entry(id).or_insert_with(|| key(&standing.container)).clone();
        take_standing(by.entry(key).or_default(), standing);
    }
    // The latest first: of several that were one after the other, it is the one that is told in full.
    for past in seen.pasts.into_iter().rev() {
        let key = ids.get(&past.container.id).cloned().unwrap_or_else(|| key(&past.container));
        take_past(by.entry(key).or_default(), past);
    }
    let all = by.len();
    let mut containers: Vec<Described> = by.into_values().take(MAX_TOLD).collect();
    for described in &mut containers {
        described.exits.sort_by_key(|exit| std::cmp::Reverse((exit.time, exit.attempt)));
        described.exits.truncate(MAX_EXITS);
        described.recent.sort_by_key(|event| event.time);
    }
    let known = match () {
        () if containers.iter().any(|it| it.condition == Some(Condition::Running)) => Known::Here,
        () if listed > 0 => Known::Down,
        () if !containers.is_empty() || said.logs.is_some() => Known::Gone,
        () => Known::Never,
    };
    let sentence = super::sentence::sentence(known, &containers, said.logs.as_ref(), seen.from, seen.now);
    let mut not_measured = seen.not_measured;
    not_measured.extend(lacks(source, said.no_engine, listed));
    let (api, lack) = said_by_api(said.api, said.no_api);
    not_measured.extend(lack);
    not_measured.extend(said.errors.iter().map(|error| NotMeasured {
        layer: Layer::L3,
        what: "what the engine knows: restarts, and how earlier containers ended".to_owned(),
        why: error.to_string(),
        how: Some("--cri SOCKET names another one".to_owned()),
    }));
    Description {
        time: seen.now,
        asked: text.to_owned(),
        source,
        from: seen.from,
        known,
        said: sentence,
        api,
        left_out: (all - containers.len()) as u64,
        containers,
        findings: seen.findings,
        unproven: seen.unproven,
        checked: seen.checked,
        not_measured,
    }
}

fn take_listed(described: &mut Described, listed: Listed) {
    let Listed { container, condition, finished, exit_code, reason, message, log_path, limits, .. } = listed;
    described.restarts = described.restarts.max(container.attempt);
    if condition == Condition::Exited {
        let why: Vec<String> = [reason, message].into_iter().flatten().collect();
        described.exits.push(PastExit {
            id: container.id.clone(),
            attempt: container.attempt,
            time: finished,
            code: exit_code,
            signal: exit_code.filter(|code| (129..=192).contains(code)).map(|code| code - 128),
            reason: (!why.is_empty()).then(|| why.join(": ")),
        });
    }
    // The latest comes first.
    if described.condition.is_none() {
        described.condition = Some(condition);
        described.container = container;
        described.limits = limits;
        described.log_path = log_path;
    }
}

fn take_standing(described: &mut Described, standing: Standing) {
    let Standing { container, since, streams, resident, cpu } = standing;
    described.condition = Some(Condition::Running);
    described.container = filled(container, &described.container);
    described.since = Some(since);
    described.streams = streams;
    described.resident = resident;
    described.cpu = cpu;
    if let Some(path) = &described.log_path {
        for stream in described.streams.iter_mut().filter(|stream| stream.log_file.is_none()) {
            stream.log_file = Some(LogFile { path: path.clone(), bytes: None, grew: None });
        }
    }
}

fn take_past(described: &mut Described, past: Past) {
    let is_it = described.container.id == past.container.id || described.condition.is_none();
    if let Some(exit) = past.exit {
        match described.exits.iter_mut().find(|known| known.id == exit.id) {
            Some(known) => {
                known.reason = known.reason.take().or(exit.reason);
                known.signal = known.signal.or(exit.signal);
                known.time = known.time.or(exit.time);
            }
            None => described.exits.push(exit),
        }
        if described.condition.is_none() {
            described.condition = Some(Condition::Exited);
        }
    }
    for (probe, outcomes) in past.outcomes {
        let sums = described.outcomes.entry(probe).or_default();
        outcomes.into_iter().for_each(|(name, count)| *sums.entry(name).or_default() += count);
    }
    described.recent.extend(past.recent);
    described.start = described.start.take().or(past.start);
    if !is_it {
        return;
    }
    described.condition.get_or_insert(Condition::Unknown);
    described.since = described.since.or(past.since);
    described.resident = described.resident.or(past.resident);
    described.cpu = described.cpu.or(past.cpu);
    if described.streams.is_empty() {
        described.streams = past.streams.into_values().collect();
    }
    described.container = filled(past.container, &described.container);
}

/// What was seen, and what of the rest the engine says.
fn filled(seen: Container, said: &Container) -> Container {
    if said.id != seen.id {
        return seen;
    }
    let said = said.clone();
    Container {
        name: seen.name.or(said.name),
        pod: seen.pod.or(said.pod),
        namespace: seen.namespace.or(said.namespace),
        pod_uid: seen.pod_uid.or(said.pod_uid),
        sandbox_id: seen.sandbox_id.or(said.sandbox_id),
        attempt: seen.attempt.or(said.attempt),
        image: seen.image.or(said.image),
        runtime: seen.runtime.or(said.runtime),
        handler: seen.handler.or(said.handler),
        engine: seen.engine.or(said.engine),
        started_at: said.started_at.or(seen.started_at),
        ..seen
    }
}

fn said_by_api(said: Option<Result<Api, String>>, there_is_none: bool) -> (Option<Api>, Option<NotMeasured>) {
    let (api, refused) = match said {
        Some(Ok(api)) => (Some(api), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, there_is_none.then(|| "no kubeconfig was found".to_owned())),
    };
    let lack = |why| NotMeasured {
        layer: Layer::L3,
        what: "what the Kubernetes API says of it".to_owned(),
        why,
        how: Some("--kubeconfig FILE names who may read pods and events".to_owned()),
    };
    (api, refused.map(lack))
}

/// What such an answer cannot have.
fn lacks(source: Source, no_engine: bool, listed: usize) -> Vec<NotMeasured> {
    let lack = |what: &str, why: &str, how: &str| NotMeasured {
        layer: Layer::L3,
        what: what.to_owned(),
        why: why.to_owned(),
        how: Some(how.to_owned()),
    };
    let before = (source == Source::Snapshot).then(|| {
        let what = "look-ups, connections, faults and starts before it was asked";
        let how = "`observer run` as a service remembers them";
        lack(what, "nobody watched then", how)
    });
    let engine = no_engine.then(|| {
        let what = "restarts, and how earlier containers ended";
        lack(what, "no engine with a CRI socket is on this node", "--cri SOCKET names one")
    });
    let many = (listed > MAX_ASKED).then(|| {
        let what = format!("how the oldest {} of its containers ended", listed - MAX_ASKED);
        lack(&what, "the engine is asked about the latest ones only", "crictl inspect ID")
    });
    [before, engine, many].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        input::LookupError,
        output::{Exit, Limits, Since},
        time::Wall,
    };

    fn container(id: &str, attempt: u32) -> Container {
        let some = |text: &str| Some(text.to_owned());
        Container {
            id: id.to_owned(),
            name: some("app"),
            pod: some("web-0"),
            namespace: some("shop"),
            attempt: Some(attempt),
            ..Container::default()
        }
    }

    fn listed(id: &str, attempt: u32, condition: Condition) -> Listed {
        let ended = condition == Condition::Exited;
        Listed {
            container: container(id, attempt),
            condition,
            created: Some(Wall(i64::from(attempt) * 100)),
            started: None,
            finished: ended.then_some(Wall(i64::from(attempt) * 100 + 50)),
            exit_code: ended.then_some(137),
            reason: ended.then(|| "OOMKilled".to_owned()),
            message: None,
            log_path: None,
            limits: Limits { memory_bytes: Some(64), milli_cpus: None },
        }
    }

    fn past(id: &str, attempt: u32) -> Past {
        let exit =
            PastExit { id: id.to_owned(), attempt: Some(attempt), code: Some(137), ..PastExit::default() };
        let exit = PastExit { signal: Some(9), time: Some(Wall(i64::from(attempt) * 100 + 49)), ..exit };
        let of = Container { exit: Some(Exit::default()), ..container(id, attempt) };
        let outcomes = BTreeMap::from([("dns", BTreeMap::from([("timeout", 2)]))]);
        Past { container: of, since: Some(Since::Start), exit: Some(exit), outcomes, ..Past::default() }
    }

    fn seen(standings: Vec<Standing>, pasts: Vec<Past>) -> Seen {
        Seen {
            standings,
            pasts,
            findings: Vec::new(),
            unproven: Vec::new(),
            checked: Vec::new(),
            not_measured: Vec::new(),
            from: Wall(0),
            now: Wall(1_000),
        }
    }

    #[test]
    fn what_both_know_is_told_once_and_one_that_is_started_anew_is_one() {
        let standing = Standing {
            container: Container { runtime: Some("crun".to_owned()), ..container("c3", 3) },
            since: Since::Start,
            streams: Vec::new(),
            resident: None,
            cpu: None,
        };
        let said = Said {
            listed: vec![
                listed("c3", 3, Condition::Running),
                listed("c2", 2, Condition::Exited),
                listed("c1", 1, Condition::Exited),
            ],
            ..Said::default()
        };
        let told = describe("shop/web-0", Source::Observer, seen(vec![standing], vec![past("c2", 2)]), said);
        assert_eq!((told.known, told.containers.len()), (Known::Here, 1));
        let it = &told.containers[0];
        assert_eq!((it.container.id.as_str(), it.restarts), ("c3", Some(3)));
        assert_eq!(it.container.runtime.as_deref(), Some("crun"));
        let exits: Vec<_> = it.exits.iter().map(|exit| (exit.id.as_str(), exit.signal)).collect();
        assert_eq!(exits, [("c2", Some(9)), ("c1", Some(9))], "the latest first, each once");
        assert_eq!(it.exits[0].reason.as_deref(), Some("OOMKilled"), "the engine's word");
        assert_eq!(it.outcomes["dns"]["timeout"], 2, "of the one before it, too");
        assert_eq!(it.condition, Some(Condition::Running), "that one has ended is no end of this one");
    }

    #[test]
    fn of_those_that_are_gone_the_last_is_told_in_full() {
        let told = describe(
            "shop/web-0",
            Source::Observer,
            seen(Vec::new(), vec![past("c1", 1), past("c2", 2)]),
            Said::default(),
        );
        let it = &told.containers[0];
        assert_eq!((told.containers.len(), it.container.id.as_str(), it.exits.len()), (1, "c2", 2));
    }

    #[test]
    fn where_no_engine_answers_what_was_seen_is_told_and_the_lack_is_named() {
        let error = LookupError { what: "CRI".to_owned(), why: "no answer within 2 s".to_owned() };
        let said = Said { errors: vec![error], ..Said::default() };
        let told = describe("shop/web-0", Source::Observer, seen(Vec::new(), vec![past("c1", 1)]), said);
        assert_eq!(told.known, Known::Gone);
        assert_eq!(told.containers[0].restarts, None, "not known is not none");
        assert!(told.not_measured.iter().any(|lack| lack.why.contains("no answer within")));
        let nothing = describe("shop/web-0", Source::Snapshot, seen(Vec::new(), Vec::new()), Said::default());
        assert_eq!((nothing.known, nothing.containers.len()), (Known::Never, 0));
    }
}
