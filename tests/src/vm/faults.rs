//! What `observer run` says of a container that runs out of memory and crashes, on every kernel: the tracepoints of
//! it, and the structures behind them, are not the same on all.

use super::container::{MEMORY_LIMIT, bundle_that};
use super::observed::while_watching;
use anyhow::{Context as _, Result, ensure};

/// A child asks for more than the container may have; another ends itself by a signal that faults raise.
const SCRIPT: &str =
    "busybox dd if=/dev/zero of=/dev/null bs=128M count=1; busybox sh -c 'kill -SEGV $$'; exit 7";

pub fn faults_are_told() -> Result<String> {
    let bundle = bundle_that("faulty", SCRIPT)?;
    let script = format!("crun run --bundle {} faulty >/dev/null 2>&1", bundle.path);
    let objects = while_watching("--show events", &script, 5)?;
    let fault = |kind: &str| {
        let mut found = objects.iter().filter(|object| object["probe"] == "memory" && object["kind"] == kind);
        let first = found.next().with_context(|| format!("no {kind} among: {objects:?}"))?;
        ensure!(found.next().is_none() && first["count"] == 1, "more than one {kind}: {objects:?}");
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
