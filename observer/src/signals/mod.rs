//! Named, typed values with a unit and the probes that they need: what rules are made of. Pure.
//!
//! [`Signals`] reads them from what the model makes; [`list`] says which there are.

pub mod certificate;
mod cpu;
mod dns;
mod hardware;
mod ingress;
pub mod kube;
mod list;
mod memory;
mod net;
mod observation;
mod proxy;
mod resident;
mod standing;
mod start;
mod stdio;
mod storage;
mod teardown;
mod text;
pub mod tool;
pub mod tracking;
mod webhook;

use crate::{
    input::{Listening, NodeFilesystem, Normal},
    model::kube::KubeState,
    output::{ColdStart, Container, CpuUse, Event, NodeUse, Resident, Runtime, RuntimeAction, What},
    time::{Time, Wall},
};
use ingress::Entrances;
pub use list::{Label, Signal, SignalSpec};
pub use observation::{About, Observation, kin, workload};
pub use proxy::Answered;
use proxy::Answers;
use resident::Residents;
use standing::Standing;
use start::Medians;
use teardown::Teardowns;

/// A component that has begun less than this ago is still finding its peers.
const YOUNG_NS: i64 = 120_000_000_000;

/// Reads signals from what the model makes, and remembers what single events do not tell.
#[derive(Debug, Default)]
pub struct Signals {
    teardowns: Teardowns,
    medians: Medians,
    standing: Standing,
    broken: stdio::Counted,
    residents: Residents,
    uses: cpu::Uses,
    /// When what the Kubernetes API says was seen last.
    of_kube: Option<Time>,
    devices: hardware::Devices,
    entrances: Entrances,
    answers: Answers,
}

impl Signals {
    /// On a node on which this is usual.
    pub fn knowing(normals: &[Normal]) -> Signals {
        Signals { medians: Medians::knowing(normals), ..Signals::default() }
    }

    /// The signals of an event that became known at `now`.
    pub fn of_event<'a>(
        &mut self,
        event: &'a Event,
        kube: &KubeState,
        now: Time,
        mut see: impl FnMut(Observation<'a>),
    ) {
        let in_teardown = self.teardowns.covers(event);
        // That it ends is evidence; what it does from then on is none.
        self.teardowns.note(event, now);
        self.standing.note(event, now);
        self.residents.note(event);
        self.entrances.note(event);
        let about = About {
            probe: event.what.probe(),
            container: event.container.as_ref(),
            process: event.process.as_ref(),
            since: event.since,
            in_teardown,
            is_young: is_young(event),
        };
        let of = |signal, value| Observation::new(now, event.time, signal, value, about);
        match &event.what {
            What::Runtime(runtime) => lifecycle(runtime, event, of, &mut see),
            What::Stdio(stdio) => {
                let instance = event.container.as_ref().and_then(|container| container.instance);
                let fresh = self.broken.fresh(instance, stdio);
                stdio::signals(stdio, fresh, of, &mut see);
            }
            What::Memory(memory) => memory::signals(memory, of, &mut see),
            What::Dns(dns) => dns::signals(dns, of, &mut see),
            What::Net(net) => {
                net::signals(net, of, &mut |mut seen| {
                    kube::of_service(kube, net, &mut seen);
                    see(seen);
                });
                kube::of_policy(kube, net, event, now, &mut see);
                self.entrances.of_connection(net, event, now).into_iter().for_each(&mut see);
            }
            What::Webhook(call) => webhook::signals(call, of, &mut see),
            // Every sample of it is seen, not only what is noteworthy.
            What::Cpu(_) => {}
            // Starts and devices are seen whole.
            What::Exec(_) | What::Io(_) => {}
            What::Text(text) => text::signals(text, of, &mut see),
            What::File(file) => storage::signals(file, of, &mut see),
        }
    }

    /// The signals of a start that has settled.
    pub fn of_start<'a>(&mut self, start: &'a ColdStart, now: Time, see: impl FnMut(Observation<'a>)) {
        start::signals(start, now, &mut self.medians, see);
    }

    /// How much CPU time a container had in an interval.
    pub fn cpu(
        &mut self,
        container: &Container,
        used: &CpuUse,
        now: Time,
        at: Wall,
        see: impl FnMut(Observation),
    ) {
        cpu::of_container(&mut self.uses, container, used, now, at, see);
    }

    /// The same of one that is not asked about: others are compared with it.
    pub fn cpu_of_another(&mut self, container: &Container, used: &CpuUse, now: Time) {
        self.uses.compared(container, used, now);
    }

    /// How the node did in an interval.
    pub fn node(&mut self, used: &NodeUse, now: Time, at: Wall, mut see: impl FnMut(Observation)) {
        let measured = hardware::Measured { interval_ns: used.interval_ns, of: &used.hardware, now, at };
        self.devices.signals(&measured, &mut see);
        cpu::of_node(used, now, at, see);
    }

    /// Where the node listens, of the ports by which clusters are entered.
    pub fn node_listens(&mut self, at: &Listening, now: Time, wall: Wall, see: impl FnMut(Observation)) {
        self.entrances.of_node(at, now, wall, see);
    }

    /// Where a container does.
    pub fn container_listens(&mut self, container: &Container, at: &Listening) {
        self.entrances.of_container(container, at);
    }

    /// What a proxy has answered.
    pub fn answered<'a>(&mut self, by: Answered<'a>, now: Time, see: impl FnMut(Observation<'a>)) {
        let serves = by.container.is_some_and(|container| self.entrances.has(container));
        self.answers.signals(by, serves, now, see);
    }

    /// How much room is left in the node's file systems.
    pub fn filesystems(&mut self, all: &[NodeFilesystem], now: Time, at: Wall, see: impl FnMut(Observation)) {
        storage::of_node(all, now, at, see);
    }

    /// How much memory a container holds, until something else is said of it.
    pub fn resident(&mut self, container: &Container, resident: Resident) {
        self.residents.take(container, resident);
    }

    /// How much of its linear memories a container may access.
    pub fn linear<'a>(&self, container: &'a Container, bytes: u64, now: Time, at: Wall) -> Observation<'a> {
        resident::linear(container, bytes, now, at)
    }

    /// What the Kubernetes API says, as long as it says so; `takes` a namespace and a pod. `is_asked`: the user has
    /// named whom it is about.
    pub fn kube<'a>(
        &mut self,
        kube: &'a KubeState,
        takes: impl Fn(&str, &str) -> bool,
        is_asked: bool,
        (now, at): (Time, Wall),
        see: impl FnMut(Observation<'a>),
    ) {
        if !kube.is_silent() && self.of_kube.is_none_or(|last| now.since(last) >= kube::EVERY_NS) {
            self.of_kube = Some(now);
            kube::standing(kube, takes, is_asked, (now, at), see);
        }
    }

    /// Time has passed: what was told once and still is so is seen again, with the time that it has lasted.
    pub fn tick(&mut self, now: Time, wall: Wall, mut see: impl FnMut(Observation)) {
        self.teardowns.forget(now);
        self.standing.again(now, &mut see);
        self.residents.again(now, wall, &mut see);
        self.answers.forget(now);
    }
}

fn lifecycle<'a>(
    runtime: &Runtime,
    event: &'a Event,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    match runtime.action {
        RuntimeAction::Create | RuntimeAction::Stop | RuntimeAction::Delete | RuntimeAction::Phase => {}
        RuntimeAction::Start => see(of(Signal::RuntimeStart, 1.0).saying("it was started")),
        RuntimeAction::Exit => {
            let how = match (runtime.exit_code, runtime.signal) {
                (_, Some(signal)) => format!("it was ended by signal {signal}"),
                (Some(code), None) => format!("it ended with exit status {code}"),
                (None, None) => "it ended".to_owned(),
            };
            let reason =
                event.container.as_ref().and_then(|container| container.exit.as_ref()?.reason.as_deref());
            let text = reason.map_or_else(|| how.clone(), |reason| format!("{how}: {reason}"));
            // "OOMKilled", or that a process of it was.
            let oom = reason.is_some_and(|reason| reason.contains("OOM"));
            see(of(Signal::RuntimeExit, 1.0)
                .with_some(Label::Exit, runtime.exit_code.map(|code| code.to_string()))
                .with_some(Label::Signal, runtime.signal.map(|signal| signal.to_string()))
                .with(Label::Oom, yes_no(oom))
                .saying(text));
        }
    }
}

/// Whether it is by a process of the node itself that began a moment ago.
fn is_young(event: &Event) -> bool {
    let began = event.process.as_ref().and_then(|process| process.start);
    event.container.is_none() && began.is_some_and(|began| event.time.0 - began.0 < YOUNG_NS)
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
