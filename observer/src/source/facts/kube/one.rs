//! One pod, as the API has it, with the last of what was said of it: for who asks about that pod.

use serde::Deserialize;

use super::{
    Access, Client, Refused,
    objects::{self, Condition},
};
use crate::{
    output::{ApiCondition, ApiEvent, ApiPod},
    time::Wall,
};

/// Events that are told of a pod.
const MAX_EVENTS: usize = 8;

#[derive(Deserialize)]
struct Pod {
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    last_timestamp: Option<String>,
    #[serde(default)]
    event_time: Option<String>,
    #[serde(default)]
    series: Option<Series>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    count: Option<u64>,
    last_observed_time: Option<String>,
}

/// `None`: the API has no such pod.
///
/// # Errors
/// Why it cannot be known.
pub async fn pod(access: &Access, namespace: &str, name: &str) -> Result<Option<ApiPod>, String> {
    if ![namespace, name].iter().all(|part| is_name(part)) {
        return Ok(None);
    }
    let mut client = Client::new(access);
    let pod = match client.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await {
        Ok(json) => objects::whole::<Pod>("Pod", &json)?,
        Err(Refused::Absent) => return Ok(None),
        Err(why) => return Err(why.to_string()),
    };
    let selector = format!("involvedObject.kind%3DPod,involvedObject.name%3D{name}");
    let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector={selector}&limit=200");
    let events = client.get(&path).await.map_err(|why| why.to_string());
    let events = events.and_then(|json| objects::list("EventList", &json, event));
    let (spec, status) = (pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
    let waiting = |it: ContainerStatus| {
        let waiting = it.state.waiting?;
        Some((
            it.name,
            waiting.reason.unwrap_or_default(),
            objects::short(waiting.message.unwrap_or_default()),
        ))
    };
    Ok(Some(ApiPod {
        node: spec.node_name,
        phase: status.phase,
        reason: status.reason,
        message: status.message.map(objects::short),
        conditions: status.conditions.into_iter().flatten().map(condition).collect(),
        waiting: status.container_statuses.into_iter().flatten().filter_map(waiting).collect(),
        events: events.map(latest),
    }))
}

/// What may be the name of an object, and so a part of a path.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !text.is_empty() && text.len() <= 253 && text.chars().all(is_plain)
}

fn condition(it: Condition) -> ApiCondition {
    ApiCondition {
        kind: it.kind,
        status: it.status,
        reason: it.reason,
        message: it.message.map(objects::short),
    }
}

fn event(it: Event) -> ApiEvent {
    let series = it.series.as_ref();
    let time = series.and_then(|series| series.last_observed_time.clone());
    let time = time.or(it.last_timestamp).or(it.event_time);
    let count = series.and_then(|series| series.count).or(it.count).unwrap_or(1);
    ApiEvent {
        time: time.as_deref().and_then(objects::seconds).map(|seconds| Wall(seconds * 1_000_000_000)),
        is_warning: it.kind.as_deref() == Some("Warning"),
        reason: it.reason.unwrap_or_default(),
        message: objects::short(it.message.unwrap_or_default()),
        count,
    }
}

fn latest(mut events: Vec<ApiEvent>) -> Vec<ApiEvent> {
    events.sort_by_key(|event| event.time);
    events.split_off(events.len().saturating_sub(MAX_EVENTS))
}
