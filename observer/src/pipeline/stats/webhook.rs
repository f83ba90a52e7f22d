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
        of: client_name(call),
    }
}

fn client_name(call: &Webhook) -> String {
    let by_address =
        || call.client.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    call.client.process.as_ref().map_or_else(by_address, |process| process.comm.clone())
}

/// By client, server and path: what the client is called, and the webhook.
pub(super) fn key(event: &Event, call: &Webhook) -> Key {
    let client = match &event.container {
        Some(container) if call.side == Side::Client => {
            container.pod.clone().or(container.name.clone()).unwrap_or_else(|| container.id.clone())
        }
        _ => client_name(call),
    };
    let path = call.path.as_ref().map(|path| ("path", path.clone()));
    Key::from([("client", client), ("server", call.name.clone())]).into_iter().chain(path).collect()
}
