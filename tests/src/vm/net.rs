//! What `observer run` says of a connection that nobody takes, on every kernel: the tracepoints of connections, and the
//! numbers of reasons for drops, are not the same on all.

use super::container::bundle_that;
use super::observed::while_watching;
use anyhow::{Context as _, Result, ensure};

/// Nobody listens in the container's network.
const SCRIPT: &str = "busybox nc -w 3 127.0.0.1 7000 </dev/null";

pub fn a_refusal_is_told() -> Result<String> {
    let bundle = bundle_that("dials", SCRIPT)?;
    let script = format!("crun run --bundle {} dials >/dev/null 2>&1", bundle.path);
    let said = while_watching("--show events", &script, 3)?;
    let mut told =
        said.iter().filter(|object| object["probe"] == "net" && object["container"]["id"] == "dials");
    let refused = told.next().with_context(|| format!("nothing was told: {said:?}"))?;
    ensure!(told.next().is_none(), "more than one thing was told: {said:?}");
    ensure!(refused["outcome"] == "refused" && refused["errno_name"] == "ECONNREFUSED", "{refused}");
    ensure!(refused["server"]["port"] == 7000 && refused["process"]["comm"] == "busybox", "{refused}");
    ensure!(refused["drop"]["reason"] == "NO_SOCKET", "dropped by nobody: {refused}");
    Ok(refused.to_string())
}
