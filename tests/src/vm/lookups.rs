//! What `observer run` says of a look-up, on every kernel: the programs at the packets, and the tracepoint of errors.

use super::command::expect;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Nobody serves names here, and the machine says so itself.
pub fn lookups_are_told() -> Result<String> {
    expect(0, &["busybox", "ip", "link", "set", "lo", "up"])?;
    // Emulated machines take long to attach: nothing is asked until that is said.
    let both = "observer run --show dns -o json 2>/tmp/dns.err & watch=$!; n=0; \
         until busybox grep -q attached /tmp/dns.err || [ $n -ge 120 ]; do busybox sleep 1; n=$((n+1)); done; \
         busybox nslookup name.test 127.0.0.1 >/dev/null 2>&1; busybox sleep 5; kill -TERM $watch; wait $watch";
    let said = expect(0, &["busybox", "sh", "-c", both])?;
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let objects: Vec<Value> =
        lines.map(serde_json::from_str).collect::<Result<_, _>>().context("not JSON")?;
    let event = objects.iter().find(|object| object["type"] == "event").with_context(|| said.clone())?;
    ensure!(event["name"] == "name.test" && event["server"]["address"] == "127.0.0.1", "{event}");
    ensure!(event["outcome"] == "error" && event["errno_name"] == "ECONNREFUSED", "{event}");
    ensure!(event["container"].is_null() && event["process"]["comm"] == "busybox", "{event}");
    Ok(event.to_string())
}
