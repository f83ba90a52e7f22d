//! Containers that live already: when the observer comes, and where a part of a recording begins.

use super::{
    Made, Model, cpu,
    identity::identify,
    lives::{Life, Lives, Who},
    memory,
    process::ProcessInfo,
    stdio::{Log, Streams},
    wasm,
};
use crate::{
    input::{CriContainer, LifeFact},
    output::{Container, Instance, Kind, Since, Want},
    time::Time,
};

impl Lives {
    /// An engine's answer about one that was there before.
    pub fn said_by_engine(&mut self, id: &str, said: &CriContainer) {
        for life in self.iter_mut() {
            if let Who::Known(container) = &mut life.who
                && container.id == id
                && life.since == Since::Attach
            {
                identify(container, None, Some(said));
            }
        }
    }
}

impl Model {
    /// Takes up a container that lives already.
    pub(super) fn lives_already(&mut self, fact: &LifeFact, time: Time, make: &mut impl FnMut(Made)) {
        if self.lives.as_ref().is_none_or(|lives| lives.get(fact.init).is_some()) {
            return;
        }
        if self.processes.get(fact.init).is_none() {
            self.processes.insert(ProcessInfo {
                tgid: fact.init,
                ppid: fact.ppid,
                start: fact.start,
                comm: fact.comm.clone(),
                ..ProcessInfo::default()
            });
        }
        let container = self.container_that_lives(fact);
        let is_asked = fact.cri.is_none() && container.sandbox_id.is_some();
        if is_asked {
            make(Made::Want(Want::Cri { id: container.id.clone() }));
        }
        let mut life = Life {
            init: fact.init,
            since: if fact.since_start { Since::Start } else { Since::Attach },
            begun: fact.begun,
            ended: None,
            streams: Streams::default(),
            log: Log::of_older(fact, is_asked),
            memory: memory::State::default(),
            stops: std::collections::BTreeSet::new(),
            deleted: false,
            cpu: cpu::State::default(),
            reason: None,
            who: Who::Known(Box::new(container)),
        };
        for stream in &fact.streams {
            life.streams.take_up(stream, time);
        }
        if let Some(want) = life.log.first_look(fact.init, time) {
            make(Made::Want(want));
        }
        life.memory.resident.take_up(fact.resident);
        life.cpu.take_up(fact.cpu);
        if let Some(lives) = &mut self.lives {
            lives.insert(life);
        }
        make(Made::Want(Want::Resolver { tgid: fact.init, of_node: fact.is_wasm }));
        self.follow_resident(fact.init, make);
        self.tell_resident(fact.init, make);
    }

    fn container_that_lives(&self, fact: &LifeFact) -> Container {
        let mut container = Container {
            id: fact.id.clone(),
            instance: Some(Instance { init: fact.init, start: fact.start }),
            runtime: fact.runtime.clone(),
            runtime_version: fact.runtime_version.clone(),
            engine: fact.engine.clone(),
            cgroup: fact.cgroup.clone(),
            cgroup_id: fact.cgroup_id,
            started_at: Some(self.clock.wall(fact.begun.unwrap_or(fact.start))),
            kind: if fact.is_wasm { Kind::Wasm } else { Kind::Oci },
            wasm_engine: fact.wasm_engine.clone(),
            ..Container::default()
        };
        if let Some(module) = &fact.module {
            wasm::take_up(&mut container, &wasm::shared(module));
        }
        if container.runtime.is_none() {
            container.unknown.push("runtime: it had ended before the observer came".to_owned());
        }
        identify(&mut container, fact.bundle.as_ref(), fact.cri.as_ref());
        container
    }

    /// The containers that live, as facts from which they are taken up again.
    pub(super) fn open_lives(&self) -> Vec<LifeFact> {
        let Some(lives) = &self.lives else { return Vec::new() };
        lives.by_init.values().filter_map(|life| self.as_fact(life)).collect()
    }

    /// One that is still starting is taken up from the records of its start.
    fn as_fact(&self, life: &Life) -> Option<LifeFact> {
        let Who::Known(container) = &life.who else { return None };
        if life.ended.is_some() {
            return None;
        }
        let info = self.processes.get(life.init);
        Some(LifeFact {
            init: life.init,
            start: container.instance.map_or(Time(0), |instance| instance.start),
            comm: info.map(|info| info.comm.clone()).unwrap_or_default(),
            ppid: info.map_or(0, |info| info.ppid),
            id: container.id.clone(),
            runtime: container.runtime.clone(),
            runtime_version: container.runtime_version.clone(),
            engine: container.engine.clone(),
            cgroup: container.cgroup.clone(),
            cgroup_id: container.cgroup_id,
            bundle: None,
            cri: Some(who_it_is(container)),
            is_wasm: container.kind == Kind::Wasm,
            wasm_engine: container.wasm_engine.clone(),
            module: container.module.as_deref().cloned().map(|module| Ok(Box::new(module))),
            since_start: life.since == Since::Start,
            begun: life.begun,
            streams: life.streams.as_facts(),
            log: life.log.as_fact(),
            resident: life.memory.resident.as_fact(),
            cpu: life.cpu.as_fact(),
        })
    }
}

fn who_it_is(container: &Container) -> CriContainer {
    CriContainer {
        is_sandbox: container.kind == Kind::Sandbox,
        name: container.name.clone(),
        pod: container.pod.clone(),
        namespace: container.namespace.clone(),
        pod_uid: container.pod_uid.clone(),
        sandbox_id: container.sandbox_id.clone(),
        attempt: container.attempt,
        image: container.image.clone(),
        image_ref: None,
        handler: container.handler.clone(),
        labels: container.labels.clone(),
        log_path: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        input::{Fact, FactKind, Input, Module, Record, StreamFact},
        output::{StdioOutcome, What},
        probes::{
            Event,
            stdio::{self, Object, ObjectKind, PipeState, Written},
        },
    };

    fn life() -> LifeFact {
        let stream = StreamFact {
            fd: 1,
            object: Object { ino: 7, kind: ObjectKind::Pipe },
            attach: true,
            opened: Time(5),
            written: Written { bytes: 3, first: Some(Time(6)), last: Some(Time(7)), broken: 0 },
            pipe: PipeState { alive: true, readers: 1, ..PipeState::default() },
            unseen: false,
        };
        LifeFact {
            init: 42,
            start: Time(4),
            comm: "web".to_owned(),
            ppid: 1,
            is_wasm: true,
            module: Some(Ok(Box::new(Module { path: "/app.wasm".to_owned(), ..Module::default() }))),
            id: "c1".to_owned(),
            cri: Some(CriContainer { pod: Some("web-0".to_owned()), ..CriContainer::default() }),
            streams: vec![stream],
            ..LifeFact::default()
        }
    }

    fn following(lives: &[LifeFact]) -> Model {
        let mut model = Model::new(0, true);
        for life in lives {
            let what = FactKind::Life(Box::new(life.clone()));
            model.step(&Input::Fact(Fact { time: Time(10), what }), &mut |_| {});
        }
        model
    }

    #[test]
    fn what_is_taken_up_can_be_taken_up_again() {
        let lives = following(&[life()]).open_lives();
        assert_eq!(lives, [life()]);
        assert_eq!(following(&lives).open_lives(), lives);
    }

    #[test]
    fn a_container_is_taken_up_once() {
        let other = LifeFact { id: "c2".to_owned(), ..life() };
        assert_eq!(following(&[life(), other]).open_lives(), [life()]);
    }

    #[test]
    fn what_is_left_at_the_end_of_a_run_is_told() {
        let closing = stdio::Event::Closing {
            init: 42,
            fd: 1,
            uncounted: false,
            object: Object { ino: 7, kind: ObjectKind::Pipe },
            written: Written { bytes: 8, first: Some(Time(6)), last: Some(Time(11)), broken: 0 },
            pipe: Some(PipeState { queued: Some(5), alive: true, readers: 1, ..PipeState::default() }),
            now: Object { ino: 7, kind: ObjectKind::Pipe },
        };
        let record = Record {
            time: Time(12),
            tgid: 42,
            tid: 42,
            unreadable: false,
            late: false,
            event: Event::Stdio(closing),
        };
        let mut model = following(&[life()]);
        let mut told = Vec::new();
        let mut keep = |made| {
            if let Made::Event(event) = made
                && let What::Stdio(stdio) = event.what
            {
                told.push((stdio.outcome, stdio.delivered_bytes, stdio.pipe_bytes));
            }
        };
        model.step(&Input::Record(record), &mut keep);
        model.finish(Time(20), &mut keep);
        assert_eq!(told, [(StdioOutcome::Unknown, Some(3), Some(5))]);
    }
}
