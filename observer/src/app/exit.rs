//! Exit codes: a contract that scripts rely on.

use observer_ebpf::Family;

use crate::{health::ProbePlan, health::Status, pipeline::Pipeline};

pub const RAN: i32 = 0;
pub const ERROR: i32 = 1;
pub const USAGE: i32 = 2;
/// A probe that was asked for or is needed failed, or was given up for a while; or records were lost.
pub const LESS_MEASURED: i32 = 3;
/// The filter never matched in a bounded run.
pub const NO_MATCH: i32 = 4;

/// A finding of the grade that was asked for was made.
pub const FOUND: i32 = 5;

/// The code of a run that came to its end. One without an end of its own may yet have matched.
pub fn code(pipeline: &Pipeline, plans: &[ProbePlan], asked: &[Family], is_bounded: bool) -> i32 {
    let failed = plans.iter().any(|plan| asked.contains(&plan.family) && plan.status == Status::Failed);
    if failed || pipeline.lost() > 0 || pipeline.has_shed() {
        LESS_MEASURED
    } else if is_bounded && pipeline.filter_never_matched() {
        NO_MATCH
    } else {
        RAN
    }
}
