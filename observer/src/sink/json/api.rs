//! What the Kubernetes API says of a pod.

use serde::Serialize;

use crate::{
    output::{Api, ApiCondition, ApiEvent, ApiPod},
    sink::units::rfc3339,
};

#[derive(Default, Serialize)]
pub(super) struct ApiJson<'a> {
    /// It has a pod of that name.
    exists: bool,
    node: Option<&'a str>,
    phase: Option<&'a str>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    conditions: Vec<ConditionJson<'a>>,
    waiting: Vec<WaitingJson<'a>>,
    events: Option<Vec<EventJson<'a>>>,
    /// Why events are null.
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct ConditionJson<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    status: &'a str,
    reason: Option<&'a str>,
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct WaitingJson<'a> {
    container: &'a str,
    reason: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct EventJson<'a> {
    time: Option<String>,
    warning: bool,
    reason: &'a str,
    message: &'a str,
    count: u64,
}

impl<'a> ApiJson<'a> {
    pub fn of(api: &'a Api) -> Self {
        match api {
            Api::Absent => ApiJson { why: Some("there is no such pod"), ..ApiJson::default() },
            Api::Pod(pod) => ApiJson::of_pod(pod),
        }
    }

    fn of_pod(pod: &'a ApiPod) -> Self {
        let waiting = |(container, reason, message): &'a (String, String, String)| WaitingJson {
            container,
            reason,
            message,
        };
        ApiJson {
            exists: true,
            node: pod.node.as_deref(),
            phase: pod.phase.as_deref(),
            reason: pod.reason.as_deref(),
            message: pod.message.as_deref(),
            conditions: pod.conditions.iter().map(ConditionJson::of).collect(),
            waiting: pod.waiting.iter().map(waiting).collect(),
            events: pod.events.as_ref().ok().map(|events| events.iter().map(EventJson::of).collect()),
            why: pod.events.as_ref().err().map(String::as_str),
        }
    }
}

impl<'a> ConditionJson<'a> {
    fn of(it: &'a ApiCondition) -> Self {
        let (reason, message) = (it.reason.as_deref(), it.message.as_deref());
        ConditionJson { kind: &it.kind, status: &it.status, reason, message }
    }
}

impl<'a> EventJson<'a> {
    fn of(it: &'a ApiEvent) -> Self {
        EventJson {
            time: it.time.map(rfc3339),
            warning: it.is_warning,
            reason: &it.reason,
            message: &it.message,
            count: it.count,
        }
    }
}
