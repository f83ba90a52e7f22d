//! Which containers are proxies beside an application: those of service meshes, by the programs that they consist of.

use super::{
    Model,
    lives::{Life, Lives, Who},
};
use crate::output::{Container, Kind};

/// What a mesh runs in each pod: the proxy, or what begins it there.
const PROXIES: [&str; 5] = ["envoy", "pilot-agent", "linkerd2-proxy", "consul-dataplane", "kuma-dp"];
/// The kernel cuts names of processes.
const MAX_COMM: usize = 15;

impl Model {
    /// Another container of its pod is an application; a gateway is alone there, or what a cluster is entered by.
    pub(super) fn is_sidecar(&self, life: &Life, container: &Container) -> bool {
        let is_beside = |other: &Life| {
            let Who::Known(known) = &other.who else { return false };
            let is_other = other.init != life.init && other.ended.is_none() && known.kind != Kind::Sandbox;
            is_other && is_same_pod(known, container) && !self.is_proxy(other)
        };
        self.is_proxy(life)
            && !self.entrances.has(life.init)
            && self.lives.iter().flat_map(Lives::iter).any(is_beside)
    }

    fn is_proxy(&self, life: &Life) -> bool {
        let Some(process) = self.processes.get(life.init) else { return false };
        let exe = process.exe.as_deref().and_then(|exe| exe.rsplit('/').next());
        PROXIES.iter().any(|name| exe == Some(*name) || process.comm == name[..name.len().min(MAX_COMM)])
    }
}

fn is_same_pod(one: &Container, other: &Container) -> bool {
    one.sandbox_id.is_some() && one.sandbox_id == other.sandbox_id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        input::{CriContainer, Fact, FactKind, Input, LifeFact, Listening, MemoryUse, Sample, SampleKind},
        model::Made,
        time::Time,
    };

    fn life(init: u32, comm: &str, sandbox: &str) -> LifeFact {
        let cri = CriContainer { sandbox_id: Some(sandbox.to_owned()), ..CriContainer::default() };
        LifeFact {
            init,
            comm: comm.to_owned(),
            id: format!("c{init}"),
            cri: Some(cri),
            ..LifeFact::default()
        }
    }

    /// Whether the first of these is told as a sidecar, where it listens at these ports.
    fn is_sidecar(lives: &[LifeFact], ports: &[u16]) -> bool {
        let mut model = Model::new(0, true);
        let fact = |life: &LifeFact| {
            Input::Fact(Fact { time: Time(10), what: FactKind::Life(Box::new(life.clone())) })
        };
        let sample = |what| Input::Sample(Sample { time: Time(11), what });
        let init = lives[0].init;
        let at = Listening { ports: ports.iter().copied().collect(), addresses: Vec::new() };
        let used = MemoryUse { current: 1, ..MemoryUse::default() };
        let samples = [SampleKind::Listening { init: Some(init), at }, SampleKind::Memory { init, used }];
        let mut told = Vec::new();
        for input in lives.iter().map(fact).chain(samples.map(sample)) {
            model.step(&input, &mut |made| {
                if let Made::Resident(_, resident) = made {
                    told.push(resident.of_sidecar);
                }
            });
        }
        told.last().copied().expect("a sample is told")
    }

    #[test]
    fn a_proxy_stands_beside_what_is_none_in_its_pod() {
        let app = life(2, "shop", "pod");
        for proxy in PROXIES {
            let comm = &proxy[..proxy.len().min(MAX_COMM)];
            assert!(is_sidecar(&[life(1, comm, "pod"), app.clone()], &[]), "{proxy}");
        }
        let envoy = || life(1, "envoy", "pod");
        assert!(!is_sidecar(&[life(1, "shop", "pod"), life(2, "envoy", "pod")], &[]), "the application");
        assert!(!is_sidecar(&[envoy(), life(2, "shop", "other")], &[]), "alone in its pod");
        assert!(!is_sidecar(&[envoy(), life(2, "pilot-agent", "pod")], &[]), "all of them proxies");
        let gateway = [envoy(), app];
        assert!(is_sidecar(&gateway, &[]) && !is_sidecar(&gateway, &[443]), "the cluster is entered by it");
    }
}
