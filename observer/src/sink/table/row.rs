//! One line a start.

use super::text::{Page, Tone, columns, cut, join, left, right};
use crate::{
    output::{ColdStart, Container, Ready},
    sink::{timeline, units},
};

const TIME: usize = 8;
const RUNTIME: usize = 7;
const KIND: usize = 4;
const T0: usize = 7;
const READY: usize = 6;
const TOTAL: usize = 8;
const COLD: usize = 4;
const FIXED: usize = TIME + RUNTIME + KIND + T0 + READY + TOTAL + COLD + 8;

/// Columns of the container's name and of the last cell.
fn flexible(page: Page) -> (usize, usize) {
    let room = page.width - FIXED;
    let name = (room * 9 / 20).clamp(12, 44);
    (name, room - name)
}

pub(super) fn header(page: Page) -> String {
    let (name, last) = flexible(page);
    let line = join(&[
        left("TIME", TIME),
        left("CONTAINER", name),
        left("RUNTIME", RUNTIME),
        left("KIND", KIND),
        left("T0", T0),
        left("READY", READY),
        right("TOTAL ms", TOTAL),
        left("COLD", COLD),
        left("LARGEST PHASE", last),
    ]);
    page.paint(Tone::Heading, line.trim_end()) + "\n"
}

pub(super) fn line(page: Page, start: &ColdStart) -> String {
    let (name, last) = flexible(page);
    let runtime = start.container.runtime.as_deref().unwrap_or("?");
    let ready = match start.ready {
        _ if start.failure.is_some() => "failed",
        Ready::FirstOutput => "output",
        ready => ready.name(),
    };
    let cold = if start.cold == Some(true) { Tone::Warn } else { Tone::Plain };
    join(&[
        units::time_of_day(start.time),
        name_cell(&start.container, name),
        left(runtime, RUNTIME),
        left(start.container.kind.name(), KIND),
        left(start.t0.name(), T0),
        left(ready, READY),
        right(&units::ms_text(start.total_ns), TOTAL),
        page.paint(cold, &left(timeline::cold(start.cold), COLD)),
        last_cell(page, start, last),
    ])
}

/// As much of the name as there is room for, the pod first.
pub(super) fn name_cell(container: &Container, width: usize) -> String {
    let names = [timeline::full_name(container), timeline::short_name(container)];
    let fitting = names.into_iter().find(|name| columns(name) <= width);
    let pod_or_name = || container.pod.clone().unwrap_or_else(|| timeline::short_name(container));
    left(&fitting.unwrap_or_else(pod_or_name), width)
}

/// The largest phase and its share, or the failure.
fn last_cell(page: Page, start: &ColdStart, width: usize) -> String {
    if let Some(failure) = &start.failure {
        let short = timeline::failure_in_short(failure);
        return page.paint(Tone::Bad, left(&format!("✗ {short}"), width).trim_end());
    }
    let Some((name, ns)) = timeline::largest(start) else {
        return String::new();
    };
    let share = format!(" {}", units::percent_text(ns, start.total_ns));
    cut(name.name(), width.saturating_sub(share.len())) + &share
}
