//! What of all that is told is tied to spans of others.

use observer_ebpf::Family;

use super::{Relation, event_needs_attention};
use crate::{
    correlate::Correlator,
    input::{Fact, FactKind, Input, Record},
    output::{Event, Evidence, Output, What},
    probes,
};

/// Hands over what a correlator has to know.
pub(super) fn hear(correlator: Option<&mut Correlator>, input: &Input) {
    let Some(correlator) = correlator else { return };
    match input {
        Input::Span(span) => correlator.span(span),
        Input::Fact(Fact { what: FactKind::Clock(offset), .. }) => correlator.clock(*offset),
        Input::Fact(Fact { what: FactKind::Translated { result }, .. }) => correlator.translated(result),
        Input::Record(Record { time, event: probes::Event::Context(event), .. }) => {
            correlator.request(*time, event);
        }
        Input::Lost { family, time, .. } if *family == Family::Context as u8 => {
            correlator.lost_requests(*time);
        }
        _ => {}
    }
}

/// Evidence belongs to the trace of others only where that is wanted.
pub(super) fn told_as(relation: Relation, evidence: Evidence) -> Output {
    let is_child = evidence.is_child && relation == Relation::Child;
    Output::Evidence(Box::new(Evidence { is_child, ..evidence }))
}

/// What one request waited for is of interest to it however it went; what happens to all of a container only if
/// something is wrong.
pub(super) fn explains_a_span(event: &Event) -> bool {
    matches!(event.what, What::Dns(_) | What::Net(_) | What::Webhook(_)) || event_needs_attention(event)
}
