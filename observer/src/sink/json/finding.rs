//! `finding` and `unproven`: what follows from what was seen.

use serde::Serialize;

use super::container::{ContainerJson, ProcessJson};
use crate::{
    output::{Check, Finding, Missing, Proof, Subject, Unproven},
    sink::units::rfc3339,
    span::hex,
};

#[derive(Serialize)]
pub(super) struct FindingBody<'a> {
    fingerprint: &'a str,
    status: &'static str,
    id: &'a str,
    cause: &'a str,
    grade: &'static str,
    layer: &'static str,
    slice: Option<&'a str>,
    section: &'a str,
    severity: &'static str,
    respond_within: &'a str,
    title: &'a str,
    title_zh: &'a str,
    cause_title: &'a str,
    cause_title_zh: &'a str,
    subject: SubjectJson<'a>,
    since: &'static str,
    first_seen: String,
    last_seen: String,
    count: u64,
    evidence: Vec<ProofJson<'a>>,
    checked: Vec<CheckJson<'a>>,
    trace_ids: Vec<String>,
    span_ids: Vec<String>,
    fix_type: &'a str,
    remedy: &'a str,
    remedy_zh: &'a str,
    verify: &'a str,
    confidence_note: Option<&'a str>,
}

impl<'a> FindingBody<'a> {
    pub(super) fn of(finding: &'a Finding) -> Self {
        FindingBody {
            fingerprint: &finding.fingerprint,
            status: finding.status.name(),
            id: &finding.id,
            cause: &finding.cause,
            grade: finding.grade.name(),
            layer: finding.layer.name(),
            slice: finding.slice.as_deref(),
            section: &finding.section,
            severity: finding.severity,
            respond_within: &finding.respond_within,
            title: &finding.title.en,
            title_zh: &finding.title.zh,
            cause_title: &finding.cause_title.en,
            cause_title_zh: &finding.cause_title.zh,
            subject: SubjectJson::of(&finding.subject),
            since: finding.since.name(),
            first_seen: rfc3339(finding.first_seen),
            last_seen: rfc3339(finding.last_seen),
            count: finding.count,
            evidence: finding.evidence.iter().map(ProofJson::of).collect(),
            checked: finding.checked.iter().map(CheckJson::of).collect(),
            trace_ids: finding.targets.iter().map(|target| hex(&target.trace)).collect(),
            span_ids: finding.targets.iter().map(|target| hex(&target.span)).collect(),
            fix_type: &finding.fix_type,
            remedy: &finding.remedy.en,
            remedy_zh: &finding.remedy.zh,
            verify: &finding.verify,
            confidence_note: finding.confidence_note.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct UnprovenBody<'a> {
    id: &'a str,
    title: &'a str,
    title_zh: &'a str,
    causes: &'a [String],
    subject: SubjectJson<'a>,
    seen: Vec<ProofJson<'a>>,
    missing: Vec<MissingJson<'a>>,
    count: u64,
}

impl<'a> UnprovenBody<'a> {
    pub(super) fn of(unproven: &'a Unproven) -> Self {
        UnprovenBody {
            id: &unproven.id,
            title: &unproven.title.en,
            title_zh: &unproven.title.zh,
            causes: &unproven.causes,
            subject: SubjectJson::of(&unproven.subject),
            seen: unproven.seen.iter().map(ProofJson::of).collect(),
            missing: unproven.missing.iter().map(MissingJson::of).collect(),
            count: unproven.count,
        }
    }
}

#[derive(Serialize)]
struct SubjectJson<'a> {
    kind: &'static str,
    container: Option<ContainerJson<'a>>,
    process: Option<ProcessJson<'a>>,
    object: Option<&'a str>,
}

impl<'a> SubjectJson<'a> {
    fn of(subject: &'a Subject) -> Self {
        SubjectJson {
            kind: subject.kind,
            container: subject.container.as_ref().map(ContainerJson::of),
            process: subject.process.as_ref().map(ProcessJson::of),
            object: subject.object.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct ProofJson<'a> {
    time: String,
    probe: &'static str,
    signal: &'static str,
    value: f64,
    unit: &'static str,
    text: &'a str,
    since: &'static str,
}

impl<'a> ProofJson<'a> {
    fn of(evidence: &'a Proof) -> Self {
        ProofJson {
            time: rfc3339(evidence.time),
            probe: evidence.probe,
            signal: evidence.signal,
            value: evidence.value,
            unit: evidence.unit,
            text: &evidence.text,
            since: evidence.since.name(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct CheckJson<'a> {
    layer: &'static str,
    what: &'a str,
    signal: &'static str,
    value: Option<f64>,
    unit: &'static str,
    state: &'static str,
    threshold: Option<f64>,
    basis: &'static str,
    why: Option<&'a str>,
}

impl<'a> CheckJson<'a> {
    pub(super) fn of(check: &'a Check) -> Self {
        CheckJson {
            layer: check.layer.name(),
            what: &check.what,
            signal: check.signal,
            value: check.value,
            unit: check.unit,
            state: check.state.name(),
            threshold: check.threshold,
            basis: check.basis,
            why: check.why.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct MissingJson<'a> {
    what: &'a str,
    why: &'a str,
    how: &'a str,
}

impl<'a> MissingJson<'a> {
    fn of(missing: &'a Missing) -> Self {
        MissingJson { what: &missing.what, why: &missing.why, how: &missing.how }
    }
}
