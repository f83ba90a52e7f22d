//! What holds of every start that is reported, and of every table, whatever made it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// JSON numbers of milliseconds come from whole nanoseconds: a sum may be off by rounding, not by a phase.
const ROUNDING_MS: f64 = 1e-3;

/// Phases lie on one line, do not overlap, and with what is unattributed add up to the total; milestones are
/// within it, or behind it when the start was over before them.
///
/// # Errors
/// What does not hold.
pub fn breakdown(start: &Value) -> Result<()> {
    let total = number(start, "total_ms")?;
    let phases = start["phases"].as_array().context("there are no phases")?;
    let (mut sum, mut end) = (number(start, "unattributed_ms")?, 0.0);
    for phase in phases {
        let (begin, duration) = (number(phase, "start_ms")?, number(phase, "duration_ms")?);
        ensure!(begin >= end - ROUNDING_MS, "{} begins before the phase ahead of it ends", phase["name"]);
        ensure!(duration >= 0.0, "{} takes {duration} ms", phase["name"]);
        ensure!(
            phase["layer"].as_str().is_some_and(|layer| !layer.is_empty()),
            "{} has no layer",
            phase["name"]
        );
        end = begin + duration;
        // An `unattributed` stretch shown in its place is counted once, by the total of them.
        sum += if phase["name"] == "unattributed" { 0.0 } else { duration };
    }
    ensure!(end <= total + ROUNDING_MS, "phases end at {end} ms of {total} ms");
    ensure!((sum - total).abs() < ROUNDING_MS, "phases add up to {sum} ms of {total} ms");
    let ready = start["ready"].as_str().context("nothing ended it")?;
    let milestone = start["milestones_ms"][ready.replace('-', "_")].as_f64();
    ensure!(
        milestone.is_none_or(|at| (at - total).abs() < ROUNDING_MS),
        "{ready} is said to have ended it, but came at {milestone:?} ms of {total} ms"
    );
    Ok(())
}

/// A field that is a number.
///
/// # Errors
/// It is something else.
pub fn number(object: &Value, key: &str) -> Result<f64> {
    object[key].as_f64().with_context(|| format!("{key} is {}", object[key]))
}

/// The names of a start's phases, in order, each as often as it occurs.
pub fn phase_names(start: &Value) -> Vec<&str> {
    start["phases"].as_array().into_iter().flatten().filter_map(|phase| phase["name"].as_str()).collect()
}

/// The errno by which a start failed, by name.
pub fn errno(start: &Value) -> Option<&str> {
    start["failure"]["errno_name"].as_str()
}

/// No line is wider than the page, and nothing in it can act on a terminal.
///
/// # Panics
/// What does not hold.
pub fn table(text: &str, width: usize) {
    for line in text.lines() {
        assert!(line.chars().count() <= width, "{} columns: {line}", line.chars().count());
    }
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "control characters are escaped");
}
