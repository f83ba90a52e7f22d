//! Requests as an encoder of others makes them.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{self as otlp, ResourceSpans, ScopeSpans},
};
use prost::Message;

use super::{Span, parcel, reduce, trace_id};
use crate::time::Time;

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn span(id: u8) -> otlp::Span {
    otlp::Span {
        trace_id: vec![7; 16],
        span_id: vec![id; 8],
        parent_span_id: vec![9; 8],
        name: format!("span {id}"),
        kind: 3,
        start_time_unix_nano: 100,
        end_time_unix_nano: 250,
        attributes: vec![
            text("network.peer.address", "10.0.0.1"),
            pair("network.peer.port", Value::IntValue(5432)),
            text("db.query.text", "select secret"),
        ],
        status: Some(otlp::Status { code: 2, message: "secret".into() }),
        flags: 0x101,
        ..otlp::Span::default()
    }
}

fn group(service: &str, scope: &str, spans: Vec<otlp::Span>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope { name: scope.into(), ..InstrumentationScope::default() }),
            spans,
            schema_url: "of the scope".into(),
        }],
        schema_url: "of the resource".into(),
    }
}

fn request() -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![
            group("shop", "lib", vec![span(1), span(2)]),
            group("us", "observer", vec![span(3)]),
            group("pay", "lib", vec![span(4)]),
        ],
    }
}

fn reduced(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    parcel::each(request, |record| spans.push(reduce::span(&record, Time(5)).unwrap())).unwrap();
    spans
}

#[test]
fn a_span_keeps_what_ties_it_and_nothing_else() {
    let spans = reduced(&request().encode_to_vec());
    assert_eq!(spans.len(), 4);
    let first = &spans[0];
    assert_eq!(
        (first.name.as_str(), first.scope.as_str(), first.service.as_deref()),
        ("span 1", "lib", Some("shop"))
    );
    assert_eq!((first.kind, first.status), (super::Kind::Client, super::StatusCode::Error));
    assert_eq!((first.start, first.end, first.parent), (100, 250, Some([9; 8])));
    assert_eq!(first.attribute("network.peer.address"), Some("10.0.0.1"));
    assert_eq!(first.attribute("network.peer.port"), Some("5432"));
    assert!(!format!("{first:?}").contains("secret"));
    assert!(first.is_sampled());
    // W3C's "random" and not "sampled"; none of W3C's.
    assert!(!Span { flags: 0x102, ..first.clone() }.is_sampled());
    assert!(Span { flags: 0x300, ..first.clone() }.is_sampled());
}

#[test]
fn ids_of_zeros_or_of_another_length_are_none() {
    let unusable = |span: otlp::Span| {
        let request = ExportTraceServiceRequest { resource_spans: vec![group("a", "b", vec![span])] };
        let mut why = None;
        parcel::each(&request.encode_to_vec(), |record| why = reduce::span(&record, Time(0)).err()).unwrap();
        why
    };
    assert_eq!(unusable(otlp::Span { trace_id: vec![0; 16], ..span(1) }), Some(reduce::Unusable::TraceId));
    assert_eq!(unusable(otlp::Span { span_id: vec![1; 7], ..span(1) }), Some(reduce::Unusable::SpanId));
    assert_eq!(unusable(span(1)), None);
}

#[test]
fn what_is_selected_is_the_same_and_what_is_not_is_gone() {
    let parts =
        parcel::select(&request().encode_to_vec(), 1 << 20, |record| record.scope_name() != b"observer")
            .unwrap();
    assert_eq!(parts.len(), 1);
    let mut expected = request();
    expected.resource_spans.remove(1);
    assert_eq!(ExportTraceServiceRequest::decode(parts[0].request.as_slice()).unwrap(), expected);
    assert_eq!(parts[0].records, 3);
    assert!(parcel::select(&request().encode_to_vec(), 1 << 20, |_| false).unwrap().is_empty());
}

#[test]
fn what_is_long_comes_in_parts_that_say_whose_they_are() {
    let parts = parcel::select(&request().encode_to_vec(), 1, |_| true).unwrap();
    assert_eq!(parts.iter().map(|part| part.records).collect::<Vec<_>>(), [1, 1, 1, 1]);
    let all: Vec<Span> = parts.iter().flat_map(|part| reduced(&part.request)).collect();
    assert_eq!(all, reduced(&request().encode_to_vec()));
    let second = ExportTraceServiceRequest::decode(parts[1].request.as_slice()).unwrap();
    assert_eq!(second.resource_spans, [group("shop", "lib", vec![span(2)])]);
}

#[test]
fn what_is_cut_anywhere_is_refused_or_less_and_never_more() {
    let whole = request().encode_to_vec();
    let all = reduced(&whole);
    for len in 0..whole.len() {
        let mut seen = 0;
        let result = parcel::each(&whole[..len], |_| seen += 1);
        assert!(seen <= all.len());
        assert!(result.is_err() || seen < all.len());
    }
}

#[test]
fn a_trace_id_is_32_digits() {
    assert_eq!(trace_id(&"0a".repeat(16)), Some([10; 16]));
    for text in ["", "0", &"0".repeat(32), &"+".repeat(32), &"g".repeat(32)] {
        assert_eq!(trace_id(text), None);
    }
}
