//! What real senders write, read by the same messages in protobuf.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message;

use super::{Signal, Transcoded, Unreadable, request};

fn traces(text: &str) -> (Vec<Span>, Transcoded) {
    let made = request(Signal::Traces, text.as_bytes()).unwrap();
    let decoded = ExportTraceServiceRequest::decode(made.request.as_slice()).unwrap();
    let groups = decoded.resource_spans.into_iter().flat_map(|group| group.scope_spans);
    (groups.flat_map(|group| group.spans).collect(), made)
}

fn of_spans(spans: &str) -> (Vec<Span>, Transcoded) {
    traces(&format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#))
}

const IDS: &str = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174""#;

#[test]
fn numbers_are_read_as_numbers_and_as_text() {
    let (spans, made) = of_spans(&format!(
        r#"{{{IDS},"kind":2,"startTimeUnixNano":"1700000000123456789","endTimeUnixNano":1700000000123456790,
            "droppedAttributesCount":"3","flags":257,
            "attributes":[{{"key":"a","value":{{"intValue":"-7"}}}},{{"key":"b","value":{{"intValue":7}}}},
                          {{"key":"c","value":{{"doubleValue":"NaN"}}}},{{"key":"d","value":{{"boolValue":true}}}},
                          {{"key":"e","value":{{"bytesValue":"aGk_"}}}}]}}"#
    ));
    assert_eq!((made.rejected, spans.len()), (0, 1), "{made:?}");
    let span = &spans[0];
    assert_eq!(
        (span.start_time_unix_nano, span.end_time_unix_nano),
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_790)
    );
    assert_eq!((span.kind, span.dropped_attributes_count, span.flags), (2, 3, 257));
    assert_eq!(span.trace_id[..2], [0x5b, 0x8e]);
    let values: Vec<_> =
        span.attributes.iter().map(|pair| pair.value.clone().unwrap().value.unwrap()).collect();
    assert_eq!(values[..2], [Value::IntValue(-7), Value::IntValue(7)]);
    assert!(matches!(values[2], Value::DoubleValue(number) if number.is_nan()));
    assert_eq!(values[3..], [Value::BoolValue(true), Value::BytesValue(b"hi?".to_vec())]);
}

#[test]
fn nulls_and_what_is_empty_or_unknown_cost_nothing() {
    let (spans, made) = of_spans(&format!(
        r#"{{{IDS},"parentSpanId":null,"attributes":null,"status":null,"events":[null],"links":[],"later":{{"a":[1]}},
            "kind":"SPAN_KIND_CLIENT"}},
           {{{IDS},"attributes":[{{"key":"none","value":null}},{{"key":"empty","value":{{}}}},
            {{"key":"list","value":{{"arrayValue":{{}}}}}},{{"key":"text","value":{{"stringValue":""}}}}]}}"#
    ));
    assert_eq!((made.rejected, spans.len()), (0, 2), "{made:?}");
    assert_eq!(spans[0].kind, 3);
    let values: Vec<_> =
        spans[1].attributes.iter().map(|pair| pair.value.clone().and_then(|any| any.value)).collect();
    assert!(values[0].is_none() && values[1].is_none() && matches!(values[2], Some(Value::ArrayValue(_))));
    assert_eq!(values[3], Some(Value::StringValue(String::new())), "an empty text is one");
    for nothing in
        ["{}", r#"{"resourceSpans":null}"#, r#"{"resourceSpans":[{"resource":null,"scopeSpans":null}]}"#]
    {
        assert_eq!(traces(nothing).0.len(), 0);
    }
}

#[test]
fn a_span_that_cannot_be_understood_costs_itself_alone() {
    let (spans, made) = of_spans(&format!(
        r#"{{{IDS},"name":"first"}},{{{IDS},"startTimeUnixNano":"soon"}},7,{{"traceId":"xyz"}},{{{IDS},"name":"last"}}"#
    ));
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["first", "last"]);
    assert_eq!(made.rejected, 3);
    assert_eq!(made.why.as_deref(), Some("spans: startTimeUnixNano: a whole number was expected"));
}

#[test]
fn what_is_no_request_is_refused_and_nothing_of_it_repeated() {
    let refused = |text: &str| match request(Signal::Traces, text.as_bytes()) {
        Err(Unreadable(why)) => why,
        Ok(made) => panic!("{text} is {made:?}"),
    };
    for text in ["", "[]", "{", r#"{"resourceSpans":7}"#, r#"{"resourceSpans":[7]}"#, "{\"secret-value"] {
        let why = refused(text);
        assert!(!why.contains("secret") && !why.is_empty(), "{why}");
    }
    assert!(request(Signal::Traces, b"{\"\xff\"}").is_err());
}

#[test]
fn logs_and_metrics_are_made_as_well() {
    let logs = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"5","body":{"stringValue":"x"}},{"body":1}]}]}]}"#;
    let made = request(Signal::Logs, logs).unwrap();
    // One record of time 5 and body "x" in one group of no scope in one of no resource.
    assert_eq!(made.request, b"\x0a\x12\x12\x10\x12\x0e\x09\x05\0\0\0\0\0\0\0\x2a\x03\x0a\x01x");
    assert_eq!(made.rejected, 1);
    let metrics = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"asInt":"-1"}],
        "isMonotonic":true,"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE"}}]}]}]}"#;
    let made = request(Signal::Metrics, metrics).unwrap();
    assert_eq!(
        made.request,
        b"\x0a\x15\x12\x13\x12\x11\x3a\x0f\x0a\x09\x31\xff\xff\xff\xff\xff\xff\xff\xff\x10\x02\x18\x01"
    );
}
