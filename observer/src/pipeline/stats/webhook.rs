//! Calls of webhooks, by client, server and path.

use super::{Key, One};
use crate::output::{CallOutcome, Event, Side, Webhook};

/// A call of a webhook. Its duration is its latency, where there was an answer.
pub(super) fn one(call: &Webhook) -> One {
    let is_answer =
        matches!(call.outcome, CallOutcome::Answered | CallOutcome::Denied | CallOutcome::HttpError);
    One {
        count: 1,
        failed: !matches!(call.outcome, CallOutcome::Answered | CallOutcome::Denied | CallOutcome::Unknown),
        outcome: call.outcome.name(),
        duration_ns: call.latency_ns.filter(|_| is_answer),
        of: call
            .client
            .process
            .as_ref()
            .map_or_else(|| call.client.address.to_string(), |by| by.comm.clone()),
    }
}

/// By client, server and path: what the client is called, and the webhook.
pub(super) fn key(event: &Event, call: &Webhook) -> Key {
    let client = match (&event.container, &call.client.process) {
        (Some(container), _) if call.side == Side::Client => {
            container.pod.clone().or(container.name.clone()).unwrap_or_else(|| container.id.clone())
        }
        (_, Some(process)) => process.comm.clone(),
        (_, None) => call.client.address.to_string(),
    };
    let path = call.path.as_ref().map(|path| ("path", path.clone()));
    Key::from([("client", client), ("server", call.name.clone())]).into_iter().chain(path).collect()
}
