//! `summary`: the last line of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::finding::CheckJson;
use super::{evidence::JoinedJson, otlp::OtlpJson};
use crate::{
    output::{NotMeasured, Summary},
    sink::units::rfc3339,
};

#[derive(Serialize)]
pub(super) struct SummaryBody<'a> {
    from: String,
    to: String,
    scope: &'a str,
    containers: u64,
    starts: u64,
    failed_starts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<&'a BTreeMap<&'static str, u64>>,
    /// No rules run is not no findings.
    findings: Option<FindingsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings_why: Option<&'static str>,
    unproven: Option<u64>,
    checked: Vec<CheckJson<'a>>,
    not_measured: Vec<NotMeasuredJson<'a>>,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_exit: Option<CommandExit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp: Option<OtlpJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<JoinedJson>,
}

#[derive(Serialize)]
struct FindingsJson {
    proved: u64,
    likely: u64,
}

#[derive(Serialize)]
pub(super) struct NotMeasuredJson<'a> {
    layer: &'static str,
    what: &'a str,
    why: &'a str,
    how: Option<&'a str>,
}

#[derive(Serialize)]
struct CommandExit {
    code: Option<i32>,
    signal: Option<i32>,
}

impl<'a> SummaryBody<'a> {
    pub(super) fn of(summary: &'a Summary) -> Self {
        let found = summary.found.as_ref();
        SummaryBody {
            from: rfc3339(summary.from),
            to: rfc3339(summary.to),
            scope: &summary.scope,
            containers: summary.containers,
            starts: summary.starts,
            failed_starts: summary.failed_starts,
            events: summary.events.as_ref(),
            findings: found.map(|found| FindingsJson { proved: found.proved, likely: found.likely }),
            findings_why: found.is_none().then_some("cold starts were measured, no rules were run"),
            unproven: found.map(|found| found.unproven),
            checked: found.iter().flat_map(|found| &found.checked).map(CheckJson::of).collect(),
            not_measured: summary.not_measured.iter().map(NotMeasuredJson::of).collect(),
            lost: summary.lost,
            command_exit: summary.command_exit.map(CommandExit::of),
            otlp: summary.otlp.as_ref().map(OtlpJson::of),
            joined: summary.joined.map(JoinedJson::of),
        }
    }
}

impl<'a> NotMeasuredJson<'a> {
    pub(super) fn of(entry: &'a NotMeasured) -> Self {
        NotMeasuredJson {
            layer: entry.layer.name(),
            what: &entry.what,
            why: &entry.why,
            how: entry.how.as_deref(),
        }
    }
}

impl CommandExit {
    /// Of a negative status, which is a signal.
    fn of(status: i32) -> Self {
        if status < 0 {
            CommandExit { code: None, signal: Some(-status) }
        } else {
            CommandExit { code: Some(status), signal: None }
        }
    }
}
