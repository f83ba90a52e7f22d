//! How a probe was attached, as a report.

use std::collections::BTreeMap;

use crate::health::{ProbePlan, Report};

/// How a family was attached, in one line.
pub(super) fn status(plan: &ProbePlan) -> Report {
    let mut rungs: BTreeMap<&str, usize> = BTreeMap::new();
    for rung in plan.hooks.iter().filter_map(|hook| hook.rung) {
        *rungs.entry(rung).or_default() += 1;
    }
    let hook: Vec<String> = rungs.iter().map(|(rung, count)| format!("{count} {rung}")).collect();
    let why: Vec<String> = plan
        .hooks
        .iter()
        .filter_map(|hook| hook.why.as_ref().map(|why| format!("{}: {why}", hook.name)))
        .collect();
    Report::Status {
        family: plan.family as u8,
        status: plan.status,
        hook: (!hook.is_empty()).then(|| hook.join(", ")),
        why: (!why.is_empty()).then(|| why.join("; ")),
    }
}
