//! What the Kubernetes API has said, as it stands: the last answer of each kind, and what follows from several of them.
//! What was refused, or never asked, is not known; nothing is concluded from its absence.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    input::{
        Allows, Fact, FactKind, Kube, KubeAutoscaler, KubeKind, KubeNamespace, KubeNode, KubePod, KubePolicy,
        KubeRequirement, KubeWebhook, LookupError, Requires,
    },
    probes::webhook::Target,
    time::Time,
};

/// See the module.
#[derive(Debug, Default)]
pub struct KubeState {
    answers: BTreeMap<KubeKind, Result<Kube, LookupError>>,
}

/// A service, and how many of its endpoints are ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    pub name: String,
    pub ready: usize,
}

/// Webhooks that configurations name.
#[derive(Debug)]
pub struct NamedWebhooks {
    /// Where they are now.
    pub targets: Vec<Target>,
    /// Name and path of each. `None`: not all configurations are known.
    names: Option<BTreeSet<(String, Option<String>)>>,
}

impl NamedWebhooks {
    /// Whether it may yet be one of them, wherever it is.
    pub fn keeps(&self, target: &Target) -> bool {
        let is_it = |(name, path): &(String, Option<String>)| {
            target.name.as_ref() == Some(name) && target.path == *path
        };
        self.names.as_ref().is_none_or(|names| names.iter().any(is_it))
    }
}

/// One way of what passes between pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    In,
    Out,
}

/// The answer of one kind, if it has come and is one.
macro_rules! answers {
    ($($name:ident $kind:ident $variant:ident -> $type:ty;)*) => {
        impl KubeState {
            $(pub fn $name(&self) -> Option<&$type> {
                match self.answers.get(&KubeKind::$kind) {
                    Some(Ok(Kube::$variant(answer))) => Some(answer),
                    _ => None,
                }
            })*
        }
    };
}

answers! {
    node Node Node -> KubeNode;
    pods Pods Pods -> [KubePod];
    unplaced Unplaced Unplaced -> [KubePod];
    namespaces Namespaces Namespaces -> [KubeNamespace];
    services Services Services -> [crate::input::KubeService];
    slices Slices Slices -> [crate::input::KubeSlice];
    policies Policies Policies -> [KubePolicy];
    autoscalers Autoscalers Autoscalers -> [KubeAutoscaler];
    validating ValidatingWebhooks Webhooks -> [KubeWebhook];
    mutating MutatingWebhooks Webhooks -> [KubeWebhook];
    runtime_classes RuntimeClasses RuntimeClasses -> [crate::input::KubeRuntimeClass];
    events Events Events -> [crate::input::KubeEvent];
}

impl KubeState {
    pub fn take(&mut self, kind: KubeKind, result: &Result<Kube, LookupError>) {
        self.answers.insert(kind, result.clone());
    }

    /// Nothing was ever asked.
    pub fn is_silent(&self) -> bool {
        self.answers.is_empty()
    }

    /// What was asked and not answered, and why.
    pub fn refusals(&self) -> impl Iterator<Item = (KubeKind, &LookupError)> {
        self.answers.iter().filter_map(|(kind, answer)| Some((*kind, answer.as_ref().err()?)))
    }

    /// All answers, as a recording begins with them.
    pub fn inputs(&self, time: Time) -> impl Iterator<Item = Fact> {
        let fact = move |(kind, result): (&KubeKind, &Result<Kube, LookupError>)| {
            let what = FactKind::Kube { kind: *kind, result: Box::new(result.clone()) };
            Fact { time, what }
        };
        self.answers.iter().map(fact)
    }

    pub fn namespace(&self, name: &str) -> Option<&KubeNamespace> {
        self.namespaces()?.iter().find(|namespace| namespace.name == name)
    }

    pub fn pod(&self, namespace: &str, name: &str) -> Option<&KubePod> {
        self.pods()?.iter().find(|pod| pod.namespace == namespace && pod.name == name)
    }

    /// The pod of this node that has this address for itself.
    pub fn pod_at(&self, address: IpAddr) -> Option<&KubePod> {
        let has_it = |pod: &&KubePod| !pod.host_network && pod.ips.contains(&address);
        self.pods()?.iter().find(|pod| has_it(pod) && !is_over(pod))
    }

    /// The service that has this address and port. `None`: there is none, or not all that it takes is known.
    pub fn service_at(&self, address: IpAddr, port: u16) -> Option<ServiceState> {
        let has_it = |ports: &[(String, u16)]| ports.iter().any(|(_, own)| *own == port);
        let mut of_it = self.services()?.iter().filter(|service| service.addresses.contains(&address));
        let service = of_it.find(|service| has_it(&service.ports))?;
        let ready: BTreeSet<IpAddr> = self
            .slices()?
            .iter()
            .filter(|slice| slice.namespace == service.namespace && slice.service == service.name)
            .flat_map(|slice| slice.ready.iter().copied())
            .collect();
        Some(ServiceState { name: format!("{}/{}", service.namespace, service.name), ready: ready.len() })
    }

    /// The policy by which a pod may have nothing to do with anybody, this way. `None`: there is none, or some other
    /// allows it something, or not all that it takes is known. Policies that came after `since` are too young.
    pub fn isolates(&self, pod: &KubePod, way: Way, since: i64) -> Option<&KubePolicy> {
        let mut strict = None;
        for policy in self.policies()?.iter().filter(|policy| policy.namespace == pod.namespace) {
            let says = if way == Way::In { policy.ingress } else { policy.egress };
            match (says, selects(policy, pod)) {
                (None, _) | (_, Some(false)) => {}
                (Some(Allows::Some), _) | (_, None) => return None,
                (Some(Allows::Nothing), Some(true)) if policy.created < since => strict = Some(policy),
                (Some(Allows::Nothing), Some(true)) => {}
            }
        }
        strict
    }

    /// Which webhooks configurations name, and where they are.
    pub fn webhooks(&self) -> NamedWebhooks {
        let lists = [self.validating(), self.mutating()];
        let configured = || lists.into_iter().flatten().flatten();
        let name = |webhook: &KubeWebhook| {
            let (.., path) = webhook.service.as_ref()?;
            Some((webhook.name.clone(), path.clone()))
        };
        NamedWebhooks {
            targets: configured().flat_map(|webhook| self.places(webhook)).collect(),
            names: lists.iter().all(Option::is_some).then(|| configured().filter_map(name).collect()),
        }
    }

    /// The addresses of the service of a webhook, and those behind it: who calls it may see either.
    fn places(&self, webhook: &KubeWebhook) -> Vec<Target> {
        let Some((namespace, name, port, path)) = &webhook.service else { return Vec::new() };
        let target = |address: &IpAddr, port: u16| Target {
            host: address.to_string(),
            port,
            path: path.clone(),
            timeout_ns: Some(webhook.timeout_s * 1_000_000_000),
            name: Some(webhook.name.clone()),
        };
        let services = self.services().into_iter().flatten();
        let Some(service) = services.into_iter().find(|it| it.namespace == *namespace && it.name == *name)
        else {
            return Vec::new();
        };
        let port_name = service.ports.iter().find(|(_, own)| own == port).map(|(name, _)| name);
        let mut found: Vec<Target> = service.addresses.iter().map(|address| target(address, *port)).collect();
        let slices = self.slices().into_iter().flatten();
        for slice in slices.filter(|slice| slice.namespace == *namespace && slice.service == *name) {
            for (_, port) in slice.ports.iter().filter(|(name, _)| Some(name) == port_name) {
                found.extend(slice.ready.iter().map(|address| target(address, *port)));
            }
        }
        found
    }
}

/// It has ended, or is about to.
pub fn is_over(pod: &KubePod) -> bool {
    pod.is_ending || matches!(pod.phase.as_str(), "Succeeded" | "Failed")
}

/// `None`: its selector cannot be read.
fn selects(policy: &KubePolicy, pod: &KubePod) -> Option<bool> {
    let mut all = true;
    for KubeRequirement { key, how, values } in &policy.selector {
        let value = pod.labels.get(key);
        let is_one = value.is_some_and(|value| values.contains(value));
        all &= match how {
            Requires::In => is_one,
            Requires::NotIn => !is_one,
            Requires::Exists => value.is_some(),
            Requires::DoesNotExist => value.is_none(),
            Requires::Other => return None,
        };
    }
    Some(all)
}

#[cfg(test)]
mod tests;
