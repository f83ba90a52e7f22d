//! All that the engines know of one pod or container, those included that have ended: who asks after a fault finds
//! nothing else of them.

use std::collections::HashMap;

use super::{Cri, Engine, merge, said, wire};
use crate::{
    filter::Asked,
    input::{CriContainer, LookupError},
    model::identity::identify,
    output::{Condition, Container, Kind, Limits},
    time::Wall,
};

/// Containers that an engine is asked about one by one: the latest.
pub const MAX_ASKED: usize = 24;

/// A container, as its engine has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub container: Container,
    pub condition: Condition,
    pub created: Option<Wall>,
    pub started: Option<Wall>,
    pub finished: Option<Wall>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub log_path: Option<String>,
    pub limits: Limits,
}

impl Cri {
    /// What all engines know of these, the latest first, and what those said that gave no answer.
    pub async fn list(&self, asked: &Asked) -> (Vec<Listed>, Vec<LookupError>) {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for engine in &self.engines {
            match engine.list(asked).await {
                Ok(listed) => found.extend(listed),
                Err(error) => errors.push(error),
            }
        }
        (found, errors)
    }
}

impl Engine {
    async fn list(&self, asked: &Asked) -> Result<Vec<Listed>, LookupError> {
        let all = wire::ListContainersRequest { filter: None };
        let containers: wire::ListContainersResponse = self.call("ListContainers", all).await?;
        let all = wire::ListPodSandboxRequest { filter: None };
        let sandboxes: wire::ListPodSandboxResponse = self.call("ListPodSandbox", all).await?;
        let sandboxes: HashMap<String, wire::PodSandbox> =
            sandboxes.items.into_iter().map(|sandbox| (sandbox.id.clone(), sandbox)).collect();
        let mut found: Vec<Listed> = containers
            .containers
            .into_iter()
            .map(|container| {
                let sandbox = sandboxes.get(&container.pod_sandbox_id).cloned();
                listed(container, sandbox)
            })
            .filter(|listed| asked.takes(&listed.container))
            .collect();
        found.sort_by_key(|listed| std::cmp::Reverse(listed.created));
        for listed in found.iter_mut().take(MAX_ASKED) {
            // One that hangs on this will hang on the next, too.
            let Ok(status) = self.status(&listed.container.id).await else { break };
            listed.take(status);
        }
        Ok(found)
    }

    async fn status(&self, id: &str) -> Result<wire::ContainerStatus, LookupError> {
        let request = wire::ContainerStatusRequest { container_id: id.to_owned() };
        let answer: wire::ContainerStatusResponse = self.call("ContainerStatus", request).await?;
        Ok(answer.status.unwrap_or_default())
    }
}

fn listed(container: wire::Container, sandbox: Option<wire::PodSandbox>) -> Listed {
    let (id, state, created) = (container.id.clone(), container.state, container.created_at);
    let who: CriContainer = merge(Some(container), sandbox);
    let mut container = Container { id, kind: Kind::Oci, ..Container::default() };
    identify(&mut container, None, Some(&who));
    Listed {
        container,
        condition: match state {
            wire::state::CREATED => Condition::Created,
            wire::state::RUNNING => Condition::Running,
            wire::state::EXITED => Condition::Exited,
            _ => Condition::Unknown,
        },
        created: at(created),
        started: None,
        finished: None,
        exit_code: None,
        reason: None,
        message: None,
        log_path: None,
        limits: Limits::default(),
    }
}

impl Listed {
    fn take(&mut self, status: wire::ContainerStatus) {
        self.started = at(status.started_at);
        self.finished = at(status.finished_at);
        self.container.started_at = self.started;
        self.exit_code = (self.condition == Condition::Exited).then_some(status.exit_code);
        self.reason = said(status.reason);
        self.message = said(status.message);
        self.log_path = said(status.log_path);
        let Some(linux) = status.resources.and_then(|resources| resources.linux) else { return };
        let milli_cpus = linux.cpu_quota.saturating_mul(1_000).checked_div(linux.cpu_period);
        let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
        self.limits = Limits {
            memory_bytes: positive(linux.memory_limit_in_bytes),
            milli_cpus: milli_cpus.and_then(positive),
        };
    }
}

/// 0 is no time.
fn at(unix_ns: i64) -> Option<Wall> {
    (unix_ns > 0).then_some(Wall(unix_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_has_ended_says_how() {
        let ended = wire::Container {
            id: "c1".to_owned(),
            state: wire::state::EXITED,
            created_at: 5,
            metadata: Some(wire::ContainerMetadata { name: "app".to_owned(), attempt: 7 }),
            ..wire::Container::default()
        };
        let mut found = listed(ended.clone(), None);
        assert_eq!((found.exit_code, found.started), (None, None), "not known is not 0");
        let linux = wire::LinuxResources { cpu_period: 100, cpu_quota: 50, memory_limit_in_bytes: 64 << 20 };
        found.take(wire::ContainerStatus {
            started_at: 6,
            finished_at: 9,
            exit_code: 137,
            reason: "OOMKilled".to_owned(),
            resources: Some(wire::Resources { linux: Some(linux) }),
            ..wire::ContainerStatus::default()
        });
        assert_eq!((found.exit_code, found.finished), (Some(137), Some(Wall(9))));
        assert_eq!(found.reason.as_deref(), Some("OOMKilled"));
        assert_eq!(found.limits, Limits { memory_bytes: Some(64 << 20), milli_cpus: Some(500) });
        assert_eq!(found.container.attempt, Some(7));
        let mut runs = listed(wire::Container { state: wire::state::RUNNING, ..ended }, None);
        runs.take(wire::ContainerStatus::default());
        assert_eq!((runs.exit_code, runs.limits), (None, Limits::default()));
    }
}
