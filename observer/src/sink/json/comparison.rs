//! `comparison`: which phase moved against earlier starts.

use serde::Serialize;

use crate::{
    compare::{Change, Group, MIN_STARTS, Spread},
    sink::{compare::Report, units::ms},
};

#[derive(Serialize)]
pub(super) struct ComparisonBody<'a> {
    against: &'a str,
    before_starts: u64,
    before_broken_lines: u64,
    /// Starts beyond the bound, on either side, that were left out.
    left_out: u64,
    before_failed: usize,
    after_failed: usize,
    groups: Vec<GroupJson<'a>>,
}

#[derive(Serialize)]
struct GroupJson<'a> {
    image: &'a str,
    t0: &'static str,
    before_starts: usize,
    after_starts: usize,
    total: Option<ChangeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    phases: Vec<PhaseJson>,
}

#[derive(Serialize)]
struct PhaseJson {
    name: &'static str,
    #[serde(flatten)]
    change: ChangeJson,
}

#[derive(Serialize)]
struct ChangeJson {
    before_ms: SpreadJson,
    after_ms: SpreadJson,
    delta_ms: f64,
    verdict: &'static str,
}

#[derive(Serialize)]
struct SpreadJson {
    p10: f64,
    p50: f64,
    p90: f64,
    max: f64,
}

impl<'a> ComparisonBody<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        ComparisonBody {
            against: &report.against,
            before_starts: report.starts,
            before_broken_lines: report.broken_lines,
            left_out: report.left_out,
            before_failed: report.comparison.failed_before,
            after_failed: report.comparison.failed_after,
            groups: report.comparison.groups.iter().map(GroupJson::of).collect(),
        }
    }
}

impl<'a> GroupJson<'a> {
    fn of(group: &'a Group) -> Self {
        let phases = group.change.iter().flat_map(|change| &change.phases);
        GroupJson {
            image: &group.key.image,
            t0: group.key.t0.name(),
            before_starts: group.before,
            after_starts: group.after,
            total: group.change.as_ref().map(|change| ChangeJson::of(&change.total)),
            why: group.change.is_none().then(|| format!("fewer than {MIN_STARTS} starts on a side")),
            phases: phases
                .map(|(name, change)| PhaseJson { name: name.name(), change: ChangeJson::of(change) })
                .collect(),
        }
    }
}

impl ChangeJson {
    fn of(change: &Change) -> Self {
        ChangeJson {
            before_ms: SpreadJson::of(&change.before),
            after_ms: SpreadJson::of(&change.after),
            delta_ms: change.delta_ns() as f64 / 1e6,
            verdict: change.verdict.name(),
        }
    }
}

impl SpreadJson {
    fn of(spread: &Spread) -> Self {
        SpreadJson { p10: ms(spread.p10), p50: ms(spread.p50), p90: ms(spread.p90), max: ms(spread.max) }
    }
}
