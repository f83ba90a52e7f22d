//! What `observer run` says of a look-up, on every kernel: the programs at the packets, and the tracepoint of errors.

use super::command::expect;
use super::observed::while_watching;
use anyhow::{Context as _, Result, ensure};

/// Nobody serves names here, and the machine says so itself.
pub fn lookups_are_told() -> Result<String> {
    expect(0, &["busybox", "ip", "link", "set", "lo", "up"])?;
    let script = "busybox nslookup name.test 127.0.0.1 >/dev/null 2>&1";
    let objects = while_watching("--show dns", script, 5)?;
    let event = objects
        .iter()
        .find(|object| object["type"] == "event")
        .with_context(|| format!("nothing was told: {objects:?}"))?;
    ensure!(event["name"] == "name.test" && event["server"]["address"] == "127.0.0.1", "{event}");
    ensure!(event["outcome"] == "error" && event["errno_name"] == "ECONNREFUSED", "{event}");
    ensure!(event["container"].is_null() && event["process"]["comm"] == "busybox", "{event}");
    Ok(event.to_string())
}
