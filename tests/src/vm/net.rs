//! What `observer run` says of a connection that nobody takes, on every kernel: the tracepoints of connections, and the
//! numbers of reasons for drops, are not the same on all.

use super::command::run;
use super::container::bundle_that;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Nobody listens in the container's network.
const SCRIPT: &str = "busybox nc -w 3 127.0.0.1 7000 </dev/null";

pub fn make() -> Result<()> {
    let bundle = bundle_that("dials", SCRIPT)?;
    run(&["crun", "run", "--bundle", &bundle.path, "dials"])?;
    Ok(())
}

pub fn a_refusal_is_told(said: &[Value]) -> Result<String> {
    let mut told =
        said.iter().filter(|object| object["probe"] == "net" && object["container"]["id"] == "dials");
    let refused = told.next().with_context(|| format!("nothing was told: {said:?}"))?;
    ensure!(told.next().is_none(), "more than one thing was told: {said:?}");
    ensure!(refused["outcome"] == "refused" && refused["errno_name"] == "ECONNREFUSED", "{refused}");
    ensure!(refused["server"]["port"] == 7000 && refused["process"]["comm"] == "busybox", "{refused}");
    ensure!(refused["drop"]["reason"] == "NO_SOCKET", "dropped by nobody: {refused}");
    Ok(refused.to_string())
}
