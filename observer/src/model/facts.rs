//! What was looked up finds the process, the start or the pod that it is about.

use super::{
    Made, Model, container,
    process::ProcessInfo,
    start::{Start, StartId},
};
use crate::{
    input::{Bundle, CriContainer, Fact, FactKind, LookupError, ProcessFact},
    output::{Kind, Want},
    probes::invocation::Program,
    time::Time,
};

impl Model {
    pub(super) fn fact(&mut self, fact: &Fact, make: &mut impl FnMut(Made)) {
        match &fact.what {
            FactKind::Clock(offset) => self.clock = self.clock.measured_again(*offset),
            FactKind::Process(process) => {
                self.was_there(process);
                self.ask_caller(process.tgid, &process.comm, make);
            }
            FactKind::Bundle { tgid, result } => self.bundle(*tgid, result, fact.time, make),
            FactKind::Module { init, result } => self.module(*init, result),
            FactKind::Cri { id, result } => self.cri(id, result, fact.time, make),
            FactKind::LogFile { init, path, result } => self.log_looked_at(*init, path, fact.time, result),
            FactKind::RuntimeVersion { exe, result } => {
                self.unanswered.remove(exe);
                self.versions.insert(exe.clone(), result.as_ref().ok().cloned());
            }
            FactKind::SocketOwner { cookie, result, .. } => {
                self.socket_owner(*cookie, result.as_ref().ok());
                self.watch_server(*cookie, make);
            }
            FactKind::Backend { route, result } => {
                self.backend_found(route, result.as_ref().ok().copied().flatten(), make);
            }
            // Asked for spans of others.
            FactKind::Translated { .. } => {}
            FactKind::FailedAt { at, tid, result } => self.failed_at((*at, *tid), result, make),
            FactKind::Filesystems(all) => make(Made::Filesystems(all.clone())),
            FactKind::Life(life) => self.lives_already(life, fact.time, make),
            FactKind::DropReasons(reasons) => self.drops.name(reasons),
            FactKind::Kube { kind, result } => {
                self.kube.take(*kind, result);
                let named = self.kube.webhooks();
                self.webhooks.places.api_names(&named.targets, |target| named.keeps(target));
            }
            FactKind::KubeTargets(targets) => self.webhooks.places.api_names(targets, |_| true),
            FactKind::WebhookPlaces(places) => self.webhooks.places.restore(places),
            FactKind::End(_) | FactKind::Settings(_) => {}
        }
    }

    fn was_there(&mut self, fact: &ProcessFact) {
        // What was seen of it since is younger than the snapshot.
        if self.processes.get(fact.tgid).is_some() {
            return;
        }
        let exe = fact.exe.as_deref().unwrap_or(&fact.comm);
        self.processes.insert(ProcessInfo {
            tgid: fact.tgid,
            ppid: fact.ppid,
            start: fact.start,
            comm: fact.comm.clone(),
            program: Program::from_path(exe),
            exe: fact.exe.clone(),
            datastore: fact.datastore.clone(),
            ..ProcessInfo::default()
        });
    }

    fn bundle(
        &mut self,
        tgid: u32,
        result: &Result<Bundle, LookupError>,
        time: Time,
        make: &mut impl FnMut(Made),
    ) {
        let start =
            self.starts.values_mut().rev().find(|start| start.id.root == tgid && start.bundle.is_none());
        let Some(start) = start else { return };
        start.bundle = Some(result.clone());
        let id = start.id;
        let kind = self.starts.get(&id).map(|start| container::container(start, &self.context()).kind);
        if let Some(start) = self.starts.get_mut(&id) {
            start.is_pause = kind == Some(Kind::Sandbox);
        }
        if self.note_sandbox(id)
            && let Some(start) = self.starts.get_mut(&id)
            && let Some(container_id) = start.container_id.clone()
        {
            start.asked = Some(time);
            make(Made::Want(Want::Cri { id: container_id }));
        }
    }

    fn cri(
        &mut self,
        container_id: &str,
        result: &Result<CriContainer, LookupError>,
        time: Time,
        make: &mut impl FnMut(Made),
    ) {
        if let (Some(lives), Ok(said)) = (&mut self.lives, result) {
            lives.said_by_engine(container_id, said);
        }
        let of_it = |start: &&mut Start| start.container_id.as_deref() == Some(container_id);
        if let Some(start) = self.starts.values_mut().rev().find(of_it) {
            start.asked = None;
            start.cri = result.as_ref().ok().cloned();
        }
        let path = result.as_ref().ok().and_then(|said| said.log_path.clone());
        self.log_named(container_id, path, time, make);
    }

    /// The first container created in a sandbox is the one whose start the sandbox's own time belongs to.
    /// Says whether it is a pod's container.
    fn note_sandbox(&mut self, id: StartId) -> bool {
        let Some(start) = self.starts.get(&id) else { return false };
        let container = container::container(start, &self.context());
        let Some(sandbox_id) = container.sandbox_id.filter(|_| container.kind != Kind::Sandbox) else {
            return false;
        };
        let sandbox = self.pods.sandbox(&sandbox_id);
        if sandbox.first.is_none_or(|first| id < first) {
            sandbox.first = Some(id);
        }
        true
    }
}
