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
