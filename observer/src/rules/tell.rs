//! Findings, suspicions and checks as they are told.

use std::sync::Arc;

use super::{
    Rules,
    catalogue::About,
    checks::OVER,
    compile::Rule,
    engine::Said,
    habits,
    judge::Bench,
    open::{Open, Suspicion},
    windows::{Kept, Key},
};
use crate::{
    output::{Bilingual, Check, CheckState, Finding, FindingStatus, Missing, Proof, Subject, Unproven},
    rules::grammar::Func,
    signals::Label,
    time::{ClockOffset, Time},
};

pub fn opened(rules: &Rules, at: usize, key: &Key, open: &Open, bench: Bench, clock: ClockOffset) -> Said {
    finding(rules, at, key, open, FindingStatus::Open, bench, clock)
}

pub fn updated(rules: &Rules, at: usize, key: &Key, open: &Open, bench: Bench, clock: ClockOffset) -> Said {
    finding(rules, at, key, open, FindingStatus::Updated, bench, clock)
}

pub fn resolved(rules: &Rules, at: usize, key: &Key, open: &Open, bench: Bench, clock: ClockOffset) -> Said {
    finding(rules, at, key, open, FindingStatus::Resolved, bench, clock)
}

fn finding(
    rules: &Rules,
    at: usize,
    key: &Key,
    open: &Open,
    status: FindingStatus,
    bench: Bench,
    clock: ClockOffset,
) -> Said {
    let rule = &rules.causes[at];
    let (entry, cause) = (&rule.entry, rule.cause.as_deref());
    let told = |en: Option<&String>, zh: Option<&String>| Bilingual {
        en: en.cloned().unwrap_or_default(),
        zh: zh.or(en).cloned().unwrap_or_default(),
    };
    let remedy = cause.and_then(|cause| cause.remedy.as_ref()).or(entry.remedy.as_ref());
    let remedy_zh = cause.and_then(|cause| cause.remedy_zh.as_ref()).or(entry.remedy_zh.as_ref());
    let id = cause.map(|cause| cause.id.clone()).unwrap_or_default();
    Said::Finding(Box::new(Finding {
        time: clock.wall(bench.now),
        fingerprint: fingerprint(&entry.id, &id, key),
        status,
        grade: open.grade,
        layer: rule.layer,
        slice: cause.and_then(|cause| cause.slice.clone()).or_else(|| entry.slice.clone()),
        section: entry.section.clone(),
        severity: cause.and_then(|cause| cause.severity).unwrap_or(entry.severity).name(),
        respond_within: entry.respond_within.clone(),
        title: told(Some(&entry.title), Some(&entry.title_zh)),
        cause_title: told(cause.map(|cause| &cause.title), cause.map(|cause| &cause.title_zh)),
        subject: subject(rule, key, open),
        since: open.first.since,
        first_seen: open.first.at,
        last_seen: open.latest.at.max(open.first.at),
        count: open.count,
        evidence: open.evidence.iter().map(evidence).collect(),
        checked: looked_at(rules, open, bench),
        fix_type: cause.and_then(|cause| cause.fix_type.clone()).unwrap_or_else(|| entry.fix_type.clone()),
        remedy: told(remedy, remedy_zh),
        verify: cause.and_then(|cause| cause.verify.clone()).unwrap_or_else(|| entry.verify.clone()),
        confidence_note: (!open.doubts.is_empty()).then(|| open.doubts.join("; ")),
        // Rules know nothing of spans.
        targets: Vec::new(),
        id: entry.id.clone(),
        cause: id,
    }))
}

pub fn unproven(rules: &Rules, at: usize, suspicion: &Suspicion, bench: Bench, clock: ClockOffset) -> Said {
    let symptom = &rules.symptoms[at];
    let entry = &symptom.entry;
    let taken = &suspicion.taken;
    let is_container = taken.container.is_some();
    let causes: Vec<&Rule> = rules.causes.iter().filter(|rule| Arc::ptr_eq(&rule.entry, entry)).collect();
    let missing = causes.iter().filter_map(|rule| {
        let cause = rule.cause.as_deref()?;
        let own: Option<Key> = rule.by.iter().map(|label| taken.labels.get(label).cloned()).collect();
        let why = match own {
            Some(own) => bench.lacking(rule, &own)?,
            None => "what it would be about is not known".to_owned(),
        };
        let how = cause.verify.clone().unwrap_or_else(|| entry.verify.clone());
        Some(Missing { what: cause.title.clone(), why, how })
    });
    Said::Unproven(Box::new(Unproven {
        time: clock.wall(bench.now),
        id: entry.id.clone(),
        title: Bilingual { en: entry.symptom.clone(), zh: entry.symptom_zh.clone() },
        causes: causes.iter().filter_map(|rule| Some(rule.cause.as_deref()?.id.clone())).collect(),
        subject: Subject {
            kind: if is_container { "container" } else { "node" },
            container: taken.container.as_deref().cloned(),
            process: taken.process.as_deref().cloned(),
            object: taken.labels.get(&Label::Object).map(ToString::to_string),
        },
        seen: taken.found.evidence.iter().map(evidence).collect(),
        missing: missing.collect(),
        count: suspicion.count,
    }))
}

fn subject(rule: &Rule, key: &Key, open: &Open) -> Subject {
    let about = rule.cause.as_deref().map_or(About::Node, |cause| cause.about);
    let of_label = |label: Label| {
        let at = rule.by.iter().position(|by| *by == label);
        at.map(|at| key[at].to_string()).or_else(|| open.labels.get(&label).map(ToString::to_string))
    };
    Subject {
        kind: about.name(),
        container: open.container.as_deref().cloned(),
        process: open.process.as_deref().cloned(),
        object: rule.object.and_then(of_label),
    }
}

fn evidence(kept: &Kept) -> Proof {
    Proof {
        time: kept.at,
        probe: kept.probe,
        signal: kept.signal.name(),
        value: kept.value,
        unit: kept.signal.unit(),
        text: kept.text.as_deref().unwrap_or_default().to_owned(),
        since: kept.since,
    }
}

/// What was looked at since it was first told, as it was when it was worst: an update that comes late is not about the last
/// minutes only.
pub fn looked_at(rules: &Rules, open: &Open, bench: Bench) -> Vec<Check> {
    worse(&open.checked, checked(rules, bench, open.workload.as_ref()))
}

/// Of two looks at the same things the worse of each.
pub fn worse(before: &[Check], now: Vec<Check>) -> Vec<Check> {
    let rank = |check: &Check| match check.state {
        CheckState::NotMeasured => 0,
        CheckState::Ok => 1,
        CheckState::Abnormal => 2,
    };
    let is_worse = |one: &Check, other: &Check| (rank(one), one.value) > (rank(other), other.value);
    now.into_iter()
        .map(|check| {
            let earlier = before.iter().find(|earlier| earlier.what == check.what);
            earlier.filter(|earlier| is_worse(earlier, &check)).cloned().unwrap_or(check)
        })
        .collect()
}

/// What was looked at in each layer, of this workload where that can be told apart.
pub fn checked(rules: &Rules, bench: Bench, workload: Option<&Arc<str>>) -> Vec<Check> {
    let from = Time(bench.now.0.saturating_sub(OVER.0));
    let check = |check: &super::checks::Check| {
        let usual = bench.habits.usual(check, workload);
        let learned = usual.zip(check.usual).map(|(normal, beyond)| beyond.of(normal.p90));
        let bound = learned.or(check.bound)?;
        let key: Option<Key> = if check.of_container {
            workload.map(|workload| vec![Arc::clone(workload)])
        } else {
            Some(Vec::new())
        };
        let kept: Vec<f64> = match &key {
            Some(key) => bench
                .windows
                .of(check.series, key)
                .filter(|kept| kept.time >= from)
                .map(|kept| kept.value)
                .collect(),
            None => bench
                .windows
                .of_all(check.series)
                .filter(|kept| kept.time >= from)
                .map(|kept| kept.value)
                .collect(),
        };
        let value = match check.func {
            Func::Sum => Some(kept.iter().fold(0.0, |sum, value| sum + value)),
            _ => kept.iter().copied().reduce(f64::max),
        };
        let absent = bench.trust.absent(check.signal);
        let is_measured = absent.is_none() && value.is_some();
        let value = value.filter(|_| is_measured);
        let state = match value {
            None => CheckState::NotMeasured,
            Some(value) if check.op.holds(value, bound) => CheckState::Abnormal,
            Some(_) => CheckState::Ok,
        };
        let no_sample = || {
            let why = bench.trust.said(check.signal).map(|why| format!("; {why}")).unwrap_or_default();
            format!("there was no sample of it in the last 5 minutes{why}")
        };
        let doubt = || bench.trust.doubt(check.signal, from);
        let normal = usual.map(|normal| habits::told(normal, check.signal.unit()));
        Some(Check {
            layer: check.layer,
            what: check.what.to_owned(),
            signal: check.signal.name(),
            value,
            unit: check.signal.unit(),
            state,
            threshold: Some(bound),
            basis: if learned.is_some() { "baseline" } else { "matrix" },
            why: match state {
                CheckState::NotMeasured => Some(absent.unwrap_or_else(no_sample)),
                _ => normal.into_iter().chain(doubt()).reduce(|both, next| format!("{both}; {next}")),
            },
        })
    };
    rules.checks.iter().filter_map(check).collect()
}

/// Stable from run to run: FNV-1a of the names and the values that tell the subject apart.
fn fingerprint(entry: &str, cause: &str, key: &[Arc<str>]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let parts = [entry, cause].into_iter().chain(key.iter().map(AsRef::as_ref));
    for byte in parts.flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
