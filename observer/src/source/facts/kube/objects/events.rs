//! Events of pods: what kubelets say that keeps them from beginning.

use serde::Deserialize;

use super::{seconds, short};
use crate::input::KubeEvent;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Event {
    involved_object: Reference,
    reason: Option<String>,
    message: Option<String>,
    count: Option<u64>,
    last_timestamp: Option<String>,
    event_time: Option<String>,
    series: Option<Series>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: Option<u64>,
    last_observed_time: Option<String>,
}

pub(super) fn event(it: Event) -> KubeEvent {
    let Series { count, last_observed_time } = it.series.unwrap_or_default();
    let time = last_observed_time.or(it.last_timestamp).or(it.event_time);
    KubeEvent {
        namespace: it.involved_object.namespace,
        pod: it.involved_object.name,
        reason: it.reason.unwrap_or_default(),
        message: short(it.message.unwrap_or_default()),
        count: count.or(it.count).unwrap_or(1),
        last: time.as_deref().and_then(seconds),
    }
}
