//! The phases of one start as bars on one line of time.

use anstyle::{AnsiColor, Style};

use super::text::{Page, Tone, columns, cut, join, left, right};
use crate::{
    layer::Layer,
    output::{ColdStart, Process},
    sink::{
        escape, timeline,
        timeline::Segment,
        units::{self, ms_text, percent_text},
    },
};

const NAME: usize = 16;
const LAYER: usize = 4;
const MS: usize = 8;
const SHARE: usize = 4;
/// Two of indentation, five spaces between six cells, two edges of the bar.
const FRAME: usize = 2 + 5 + 2;
/// Where details that did not fit go.
const INDENT: usize = 2 + NAME + 1;

pub(super) fn waterfall(page: Page, start: &ColdStart) -> String {
    let room = page.width - NAME - LAYER - MS - SHARE - FRAME;
    let bar = (room * 11 / 20).min(72);
    let mut text = heading(page, start);
    for segment in timeline::segments(start) {
        text.push_str(&segment_lines(page, start.total_ns, &segment, bar, room - bar));
    }
    text
}

fn heading(page: Page, start: &ColdStart) -> String {
    let container = &start.container;
    let name = escape::terminal(&timeline::full_name(container)).into_owned();
    let total = format!("  {} ms", ms_text(start.total_ns));
    let name = cut(&name, page.width - columns(&total));
    let mut text = page.paint(Tone::Heading, &format!("{name}{total}")) + "\n";
    let runtime = container.runtime.as_deref().unwrap_or("runtime unknown");
    let version = container.runtime_version.as_deref().map(|version| format!(" {version}"));
    let ready = match &start.failure {
        Some(_) => "failed".to_owned(),
        None => format!("ready at {}", start.ready.name()),
    };
    let engine = container.engine.as_deref().map(|engine| format!("by {engine}"));
    let facts = [
        Some(units::time_of_day(start.time)),
        container.image.clone(),
        Some(format!("{runtime}{}", version.unwrap_or_default())),
        engine,
        Some(container.kind.name().to_owned()),
        Some(format!("from {} on", start.t0.name())),
        Some(ready),
        Some(timeline::storage(start)),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    text.push_str(&page.wrapped(2, &facts.join(" · ")));
    if start.lost > 0 {
        let lost = units::count(start.lost, "record");
        let warning = format!("  {lost} lost while it lasted: a phase may be missing or too long");
        text.push_str(&(page.paint(Tone::Warn, &warning) + "\n"));
    }
    if let Some(failure) = &start.failure {
        let told = format!("failed in {}", timeline::failure_in_full(failure));
        for line in page.wrapped(2, &told).lines().chain(page.wrapped(2, &failure.text).lines()) {
            text.push_str(&(page.paint(Tone::Bad, line) + "\n"));
        }
    }
    text
}

fn segment_lines(page: Page, total_ns: u64, segment: &Segment, bar: usize, rest: usize) -> String {
    let process = segment.phase.and_then(|phase| phase.process.as_ref());
    let process = process.map(|process| process_cell(process, rest));
    let detail = segment.phase.and_then(|phase| phase.detail.clone());
    let both: Vec<String> = [&process, &detail].into_iter().flatten().cloned().collect();
    let both = both.join(" ");
    let fits = columns(&escape::terminal(&both)) <= rest;
    let last = if fits { both } else { process.unwrap_or_default() };
    let mut text = join(&[
        format!("  {}", left(segment.name(), NAME)),
        left(segment.layer(), LAYER),
        format!("│{}│", page.styled(style(segment), &bar_of(segment, total_ns, bar))),
        right(&ms_text(segment.duration_ns), MS),
        right(&percent_text(segment.duration_ns, total_ns), SHARE),
        left(&last, rest),
    ]);
    if let Some(detail) = detail.filter(|_| !fits) {
        for line in page.wrapped(INDENT, &detail).lines() {
            text.push_str(&(page.paint(Tone::Dim, line) + "\n"));
        }
    }
    text
}

/// A long name is cut, the pid is not.
fn process_cell(process: &Process, width: usize) -> String {
    let pid = format!("[{}]", process.pid);
    cut(&escape::terminal(&process.comm), width.saturating_sub(pid.len())) + &pid
}

fn style(segment: &Segment) -> Style {
    let color = match segment.phase.map(|phase| phase.layer) {
        Some(Layer::L3) => AnsiColor::Blue,
        Some(Layer::L4) => AnsiColor::Magenta,
        Some(Layer::Host) => AnsiColor::Cyan,
        Some(Layer::L0 | Layer::L1 | Layer::L2) => AnsiColor::Green,
        None => return Style::new().dimmed(),
    };
    color.on_default()
}

/// Whole cells where it lies; what is shorter than half a cell is a thin line, so that nothing vanishes.
fn bar_of(segment: &Segment, total_ns: u64, width: usize) -> String {
    let cell =
        |ns: u64| (u128::from(ns) * width as u128).checked_div(u128::from(total_ns)).unwrap_or(0) as usize;
    let half = total_ns / (2 * width as u64);
    let from = cell(segment.start_ns).min(width - 1);
    let to = cell(segment.start_ns.saturating_add(segment.duration_ns).saturating_add(half)).min(width);
    let mark = match segment.phase {
        Some(_) if segment.duration_ns < half => "▏",
        Some(_) => "█",
        None => "░",
    };
    let filled = to.saturating_sub(from).max(1);
    let filled = if mark == "▏" { 1 } else { filled };
    format!("{}{}{}", " ".repeat(from), mark.repeat(filled), " ".repeat(width - from - filled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Phase, PhaseName};

    fn bar(start_ns: u64, duration_ns: u64) -> String {
        let phase = Phase {
            name: PhaseName::Exec,
            layer: Layer::L3,
            start_ns,
            duration_ns,
            process: None,
            detail: None,
        };
        bar_of(&Segment { start_ns, duration_ns, phase: Some(&phase) }, 1000, 10)
    }

    #[test]
    fn bars_lie_where_their_time_lies() {
        assert_eq!(bar(0, 1000), "██████████");
        assert_eq!(bar(200, 300), "  ███     ");
        assert_eq!(bar(990, 10), "         ▏");
        assert_eq!(bar(400, 1), "    ▏     ");
    }

    #[test]
    fn impossible_times_stay_inside() {
        assert_eq!(bar(5000, u64::MAX), "         █");
        let nothing = Segment { start_ns: 0, duration_ns: 0, phase: None };
        assert_eq!(bar_of(&nothing, 0, 4), "░   ");
    }
}
