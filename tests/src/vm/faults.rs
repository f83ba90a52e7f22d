//! What `observer run` says of a container that runs out of memory and crashes, on every kernel: the tracepoints of
//! it, and the structures behind them, are not the same on all.

use super::command::run;
use super::container::{MEMORY_LIMIT, bundle_that};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// A child asks for more than the container may have; another ends itself by a signal that faults raise.
const SCRIPT: &str =
    "busybox dd if=/dev/zero of=/dev/null bs=128M count=1; busybox sh -c 'kill -SEGV $$'; exit 7";

pub fn make() -> Result<()> {
    let bundle = bundle_that("faulty", SCRIPT)?;
    run(&["crun", "run", "--bundle", &bundle.path, "faulty"])?;
    Ok(())
}

pub fn faults_are_told(said: &[Value]) -> Result<String> {
    let fault = |kind: &str| {
        let mut found = said.iter().filter(|object| object["probe"] == "memory" && object["kind"] == kind);
        let first = found.next().with_context(|| format!("no {kind} among: {said:?}"))?;
        ensure!(found.next().is_none() && first["count"] == 1, "more than one {kind}: {said:?}");
        ensure!(first["container"]["id"] == "faulty", "it is of another container: {first}");
        Ok(first)
    };
    let killed = fault("oom-kill")?;
    ensure!(killed["scope"] == "memcg" && killed["limit_bytes"] == MEMORY_LIMIT, "{killed}");
    let rss =
        killed["rss_bytes"].as_u64().with_context(|| format!("resident memory is not known: {killed}"))?;
    ensure!((MEMORY_LIMIT / 2..=MEMORY_LIMIT * 2).contains(&rss), "resident: {killed}");
    let crashed = fault("fault")?;
    ensure!(crashed["signal"] == 11 && crashed["handled"] == false, "{crashed}");
    ensure!(crashed["code"] == 0 && crashed["address"].is_null(), "somebody sent it: {crashed}");
    Ok(format!("{killed}\n{crashed}"))
}
