//! One module a command, and what they share. Exit policy lives in `main`.

mod answers;
mod budget;
mod catalogue;
pub mod coldstart;
pub mod config;
mod courtesy;
pub mod demo;
pub mod describe;
pub mod doctor;
mod edge;
mod ending;
pub mod exit;
pub mod explain;
mod follow;
mod groups;
mod hardware;
mod kube;
mod learning;
mod linear;
mod listening;
pub mod matrix;
mod metering;
mod node;
mod pipes;
mod reload;
pub mod replay;
pub mod report;
mod routes;
pub mod run;
mod sinks;
mod spans;
mod storage;
mod talk;
mod tracking;
mod until;
mod watching;
mod webhooks;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{
    compare::{Samples, baseline::Baseline, usual::Usual},
    sink::compare,
    time::Wall,
};

/// The user asked for something that there is not: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Where the baseline of this node is kept.
fn baseline_path() -> PathBuf {
    state_directory().join("baseline.json")
}

/// Where what outlives a run is kept.
fn state_directory() -> PathBuf {
    std::env::var_os("STATE_DIRECTORY").map_or_else(|| PathBuf::from("/var/lib/observer"), PathBuf::from)
}

/// Where an observer that runs as a service records to, unless told otherwise.
fn service_recording() -> PathBuf {
    state_directory().join("recording")
}

/// Whoever starts services says where their state is to be: then it is one. A directory of segments.
fn recording_of_a_service() -> Option<PathBuf> {
    std::env::var_os("STATE_DIRECTORY")?;
    Some(service_recording().join(""))
}

/// Adds a run's starts, and what else was usual in it, to the baseline of this node.
fn learn(samples: &Samples, usual: &Usual) -> Result<()> {
    let path = baseline_path();
    let mut baseline = compare::load(&path)?.unwrap_or_else(Baseline::default);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let now = Wall(now.tv_sec * 1_000_000_000 + now.tv_nsec);
    for sample in samples.kept() {
        baseline.learn(now, sample.clone());
    }
    baseline.usual.add(usual);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    compare::save(&path, &baseline)?;
    Ok(())
}
