//! A finding as a span, `observer.finding`, with links to the spans that it explains; and what becomes of it as log
//! records on that span: opened, changed, over. Pure.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, Span, Status, span::SpanKind, status::StatusCode},
};

use super::{
    evidence::link,
    ids::{finding_trace_id, span_id},
    resource::{Attributes, Host, bounded, resource, resource_of_observer, resource_of_process},
    spans::{self, FLAGS, process_attributes, unix_ns},
};
use crate::output::{Finding, FindingStatus, Kind};

const NAME: &str = "observer.finding";
/// Of a log record: W3C's "sampled".
const SAMPLED: u32 = 1;

/// The finding as a span over the time of its evidence, as far as that has come by now.
pub fn resource_spans(finding: &Finding, host: &Host) -> ResourceSpans {
    let trace = finding_trace_id(finding, host);
    let span = Span {
        trace_id: trace.to_vec(),
        span_id: span_id(&trace, 0).to_vec(),
        flags: FLAGS,
        name: NAME.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: unix_ns(finding.first_seen, 0),
        end_time_unix_nano: unix_ns(finding.last_seen.max(finding.first_seen), 0),
        attributes: attributes(finding).into_vec(),
        links: finding.targets.iter().map(link).collect(),
        status: Some(Status { code: StatusCode::Error.into(), message: bounded(&text(finding)) }),
        ..Span::default()
    };
    spans::scoped(workload(finding, host), vec![span])
}

/// What has become of the finding.
pub fn resource_logs(finding: &Finding, host: &Host) -> ResourceLogs {
    let trace = finding_trace_id(finding, host);
    let mut to = attributes(finding);
    to.text("observer.status", finding.status.name());
    to.text("observer.fingerprint", finding.fingerprint.as_str());
    to.int("observer.count", finding.count);
    to.text("observer.remedy", finding.remedy.en.as_str());
    to.text("observer.verify", finding.verify.as_str());
    let said: Vec<&str> =
        finding.evidence.iter().map(|proof| proof.text.as_str()).filter(|text| !text.is_empty()).collect();
    to.text("observer.evidence", said.join("\n").as_str());
    let record = LogRecord {
        time_unix_nano: unix_ns(finding.time, 0),
        observed_time_unix_nano: unix_ns(finding.time, 0),
        severity_number: severity(finding).into(),
        severity_text: finding.severity.to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(bounded(&text(finding)))) }),
        attributes: to.into_vec(),
        flags: SAMPLED,
        trace_id: trace.to_vec(),
        span_id: span_id(&trace, 0).to_vec(),
        event_name: NAME.to_owned(),
        ..LogRecord::default()
    };
    let logs = ScopeLogs { scope: Some(spans::scope()), log_records: vec![record], ..ScopeLogs::default() };
    ResourceLogs {
        resource: Some(workload(finding, host)),
        scope_logs: vec![logs],
        ..ResourceLogs::default()
    }
}

/// Whom it is about; the node itself is the observer's to speak for.
fn workload(finding: &Finding, host: &Host) -> Resource {
    match (&finding.subject.container, &finding.subject.process) {
        (Some(container), _) => resource(container, host),
        (None, Some(process)) => resource_of_process(Some(process), host),
        (None, None) => resource_of_observer(host),
    }
}

/// On the span and on the records, so that either is found without the other.
fn attributes(finding: &Finding) -> Attributes {
    let mut to = Attributes::default();
    to.text("observer.matrix.id", finding.id.as_str());
    to.text("observer.matrix.cause", finding.cause.as_str());
    to.text("observer.matrix.section", finding.section.as_str());
    to.text("observer.grade", finding.grade.name());
    to.text("observer.layer", finding.layer.name());
    to.text("observer.slice", finding.slice.as_deref());
    to.text("observer.severity", finding.severity);
    to.text("observer.fix_type", finding.fix_type.as_str());
    to.text("observer.since", finding.since.name());
    to.text("observer.subject.kind", finding.subject.kind);
    to.text("observer.subject.object", finding.subject.object.as_deref());
    to.text("observer.confidence_note", finding.confidence_note.as_deref());
    to.text("error.type", finding.id.as_str());
    if let Some(container) = &finding.subject.container {
        to.text("observer.kind", Kind::name(container.kind));
        if let Some(instance) = container.instance {
            to.text("observer.instance", format!("{}@{}", instance.init, instance.start.0).as_str());
        }
    }
    if let Some(process) = &finding.subject.process {
        process_attributes(&mut to, process);
    }
    to
}

/// One sentence for people.
fn text(finding: &Finding) -> String {
    let Finding { title, cause_title, grade, .. } = finding;
    let over = if finding.status == FindingStatus::Resolved { "over: " } else { "" };
    format!("{over}{}: {} ({})", title.en, cause_title.en, grade.name())
}

/// The matrix grades from P0, the worst.
fn severity(finding: &Finding) -> SeverityNumber {
    match (finding.status, finding.severity) {
        (FindingStatus::Resolved, _) => SeverityNumber::Info,
        (_, "P0") => SeverityNumber::Fatal,
        (_, "P1") => SeverityNumber::Error,
        (_, "P2") => SeverityNumber::Warn,
        _ => SeverityNumber::Info,
    }
}
