//! What is usual on this node: known at the beginning of a run from earlier ones, learned while it goes on. A service does
//! so by itself.

use std::{sync::Mutex, time::Duration};

use super::{edge::Edge, talk};
use crate::{
    compare::{Samples, usual::Usual},
    input::Normal,
    sink::compare::{self, CompareError},
};

/// How often what was learned is kept.
pub const EVERY: Duration = Duration::from_secs(600);

/// One after the other: what is kept is added to what is there.
static KEEPING: Mutex<()> = Mutex::new(());

/// Whether a run learns: told to, or as a service, which has a state.
pub fn is_wanted(asked: bool) -> bool {
    asked || std::env::var_os("STATE_DIRECTORY").is_some()
}

/// What earlier runs have learned. What cannot be read is said, and, by who learns, put aside to begin anew.
pub fn known(learns: bool) -> Vec<Normal> {
    let path = super::baseline_path();
    let error = match compare::load(&path) {
        Ok(baseline) => return baseline.map(|baseline| baseline.normals()).unwrap_or_default(),
        Err(error) => error,
    };
    talk::say(format_args!("what is usual here is not known: {error}"));
    if learns && matches!(error, CompareError::Damaged { .. } | CompareError::Version { .. }) {
        let aside = path.with_extension("json.broken");
        match std::fs::rename(&path, &aside) {
            Ok(()) => talk::say(format_args!("it was put aside as {}, and is learned anew", aside.display())),
            Err(error) => talk::say(format_args!("it cannot be put aside as {}: {error}", aside.display())),
        }
    }
    Vec::new()
}

/// What this run has seen to be usual since this was asked last.
pub struct Learned(Samples, Usual);

impl Learned {
    pub fn of(edge: &mut Edge) -> Learned {
        Learned(edge.sinks.take_samples(), edge.pipeline.take_learned())
    }

    /// Adds it to the baseline of this node; says so if that cannot be.
    pub fn keep(&self) {
        let _one = KEEPING.lock();
        if let Err(error) = super::learn(&self.0, &self.1) {
            talk::say(format_args!("what is usual here is not kept: {error:#}"));
        }
    }

    /// The same, meanwhile.
    pub fn keep_meanwhile(self) {
        tokio::task::spawn_blocking(move || self.keep());
    }
}
