//! What `observer run` says of a connection that nobody takes, on every kernel: the tracepoints of connections, and the
//! numbers of reasons for drops, are not the same on all.

use super::command::expect;
use super::container::bundle_that;
use super::observed::objects;
use anyhow::{Context as _, Result, ensure};

/// Nobody listens in the container's network.
const SCRIPT: &str = "busybox nc -w 3 127.0.0.1 7000 </dev/null";

pub fn a_refusal_is_told() -> Result<String> {
    let bundle = bundle_that("dials", SCRIPT)?;
    // Emulated machines take long to attach: the container waits until that is said.
    let all = format!(
        "observer run --show events -o json 2>/tmp/net.err & watch=$!; n=0; \
         until busybox grep -q attached /tmp/net.err || [ $n -ge 120 ]; do busybox sleep 1; n=$((n+1)); done; \
         crun run --bundle {} dials >/dev/null 2>&1; busybox sleep 3; kill -TERM $watch; wait $watch",
        bundle.path
    );
    let said = objects(&expect(0, &["busybox", "sh", "-c", &all])?)?;
    let mut told =
        said.iter().filter(|object| object["probe"] == "net" && object["container"]["id"] == "dials");
    let refused = told.next().with_context(|| format!("nothing was told: {said:?}"))?;
    ensure!(told.next().is_none(), "more than one thing was told: {said:?}");
    ensure!(refused["outcome"] == "refused" && refused["errno_name"] == "ECONNREFUSED", "{refused}");
    ensure!(refused["server"]["port"] == 7000 && refused["process"]["comm"] == "busybox", "{refused}");
    ensure!(refused["drop"]["reason"] == "NO_SOCKET", "dropped by nobody: {refused}");
    Ok(refused.to_string())
}
