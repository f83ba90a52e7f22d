//! Evidence as spans inside the traces of others: children of the span that it belongs to, or spans of our own that
//! point to those that it concerns. Ids follow from what it is and where it goes: sent again, it is the same. Pure.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span, span::Link},
};
use sha2::{Digest, Sha256};

use super::{event, ids, resource::Host, spans};
use crate::output::{Evidence, Target, Told};

/// W3C's "sampled", and OTLP's "it is known whether the parent is remote" (it is).
const CHILD_FLAGS: u32 = 0x301;
/// Tells the copies of one span apart, by what they belong to.
const CHILD: &[u8] = b"observer evidence 1";

/// The spans of one piece of evidence, with the watched workload's resource.
pub fn resource_spans(evidence: &Evidence, host: &Host) -> ResourceSpans {
    let mut made = match &evidence.of {
        Told::Event(of) => event::resource_spans(of, host),
        Told::Start(start) => spans::resource_spans(start, host),
    };
    if evidence.is_child
        && let [target] = evidence.targets.as_slice()
    {
        at_home(&mut made, target);
        each(&mut made, |span| become_part_of(span, target));
    } else {
        each(&mut made, |span| {
            if span.parent_span_id.is_empty() {
                span.links = evidence.targets.iter().map(link).collect();
            }
            // The same event is told as a span without links where events are exported.
            let own: [u8; 16] = hashed(&[b"observer links 1", &span.trace_id]);
            let id = |old: &[u8]| hashed::<8>(&[b"observer links 1", old]).to_vec();
            span.span_id = id(&span.span_id);
            if !span.parent_span_id.is_empty() {
                span.parent_span_id = id(&span.parent_span_id);
            }
            span.trace_id = own.to_vec();
        });
    }
    let relation = if evidence.is_child { "child" } else { "link" };
    each(&mut made, |span| {
        span.attributes.push(text("observer.join", evidence.join.name()));
        span.attributes.push(text("observer.relation", relation));
    });
    made
}

/// How many spans [`resource_spans`] makes.
pub fn count(evidence: &Evidence) -> u64 {
    match &evidence.of {
        Told::Event(_) => 1,
        Told::Start(start) => spans::count(start),
    }
}

fn each(made: &mut ResourceSpans, change: impl FnMut(&mut Span)) {
    made.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans).for_each(change);
}

fn become_part_of(span: &mut Span, target: &Target) {
    // A span is known by its id in its own trace: two of different traces must differ in this one, too.
    let own = span.trace_id.clone();
    let id = |old: &[u8]| hashed::<8>(&[CHILD, &target.trace, &target.span, &own, old]).to_vec();
    span.parent_span_id =
        if span.parent_span_id.is_empty() { target.span.to_vec() } else { id(&span.parent_span_id) };
    span.span_id = id(&span.span_id);
    span.trace_id = target.trace.to_vec();
    span.trace_state.clone_from(&target.state);
    span.flags = CHILD_FLAGS;
}

/// Back ends shift spans whose host differs from that of their parent.
fn at_home(made: &mut ResourceSpans, target: &Target) {
    let Some(resource) = &mut made.resource else { return };
    for (key, theirs) in [("host.name", &target.host_name), ("host.id", &target.host_id)] {
        if let Some(theirs) = theirs {
            resource.attributes.retain(|pair| pair.key != key);
            resource.attributes.push(text(key, theirs));
        }
    }
    // Who has no id of its host is compared by its name.
    if target.host_name.is_some() && target.host_id.is_none() {
        resource.attributes.retain(|pair| pair.key != "host.id");
    }
}

/// A pointer to a span of others.
pub(super) fn link(target: &Target) -> Link {
    Link {
        trace_id: target.trace.to_vec(),
        span_id: target.span.to_vec(),
        trace_state: target.state.clone(),
        flags: CHILD_FLAGS,
        ..Link::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn hashed<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    ids::leading(&hash.finalize())
}
