//! What `observer run` says of a look-up, on every kernel: the programs at the packets, and the tracepoint of errors.

use super::command::run;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Nobody serves names here, and the machine says so itself.
pub fn make() -> Result<()> {
    run(&["busybox", "nslookup", "name.test", "127.0.0.1"])?;
    Ok(())
}

pub fn lookups_are_told(said: &[Value]) -> Result<String> {
    let event = said
        .iter()
        .find(|object| object["type"] == "event" && object["probe"] == "dns")
        .with_context(|| format!("nothing was told: {said:?}"))?;
    ensure!(event["name"] == "name.test" && event["server"]["address"] == "127.0.0.1", "{event}");
    ensure!(event["outcome"] == "error" && event["errno_name"] == "ECONNREFUSED", "{event}");
    ensure!(event["container"].is_null() && event["process"]["comm"] == "busybox", "{event}");
    Ok(event.to_string())
}
