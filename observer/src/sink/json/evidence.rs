//! `evidence`: what was told, and the spans of others that it belongs to.

use serde::Serialize;

use super::{coldstart::ColdStartBody, event::EventBody};
use crate::{
    output::{Evidence, Joined, Target, Told},
    span::hex,
    time::Wall,
};

#[derive(Serialize)]
pub(super) struct EvidenceBody<'a> {
    join: &'static str,
    relation: &'static str,
    targets: Vec<TargetJson<'a>>,
    targets_left_out: u64,
    evidence: Body<'a>,
}

#[derive(Serialize)]
struct TargetJson<'a> {
    trace_id: String,
    span_id: String,
    /// `null`: it has not come; only what its request said of it is known.
    name: Option<&'a str>,
    service: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Body<'a> {
    Event(Box<EventBody<'a>>),
    Coldstart(Box<ColdStartBody<'a>>),
}

pub(super) fn time(evidence: &Evidence) -> Wall {
    match &evidence.of {
        Told::Event(event) => event.time,
        Told::Start(start) => start.time,
    }
}

impl<'a> EvidenceBody<'a> {
    pub(super) fn of(evidence: &'a Evidence) -> Self {
        EvidenceBody {
            join: evidence.join.name(),
            relation: if evidence.is_child { "child" } else { "link" },
            targets: evidence.targets.iter().map(TargetJson::of).collect(),
            targets_left_out: evidence.left_out,
            evidence: match &evidence.of {
                Told::Event(event) => Body::Event(Box::new(EventBody::of(event))),
                Told::Start(start) => Body::Coldstart(Box::new(ColdStartBody::of(start))),
            },
        }
    }
}

impl<'a> TargetJson<'a> {
    fn of(target: &'a Target) -> Self {
        TargetJson {
            trace_id: hex(&target.trace),
            span_id: hex(&target.span),
            name: Some(target.name.as_str()).filter(|name| !name.is_empty()),
            service: target.service.as_deref(),
        }
    }
}

/// What became of all that could have been tied.
#[derive(Serialize)]
pub(super) struct JoinedJson {
    context: u64,
    socket: u64,
    container: u64,
    pid: u64,
    address: u64,
    ambiguous: u64,
    unmatched: u64,
    given_up: u64,
    unread_requests: u64,
}

impl JoinedJson {
    pub(super) fn of(joined: Joined) -> Self {
        let Joined {
            context,
            socket,
            container,
            pid,
            address,
            ambiguous,
            unmatched,
            given_up,
            unread_requests,
        } = joined;
        JoinedJson {
            context,
            socket,
            container,
            pid,
            address,
            ambiguous,
            unmatched,
            given_up,
            unread_requests,
        }
    }
}
