//! What `observer run` says of a call of a webhook, on every kernel: not each verifier takes as long a program, and not
//! each kernel lets programs that see packets ask the same.

use super::command::expect;
use super::watching::probe;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Serves what a script says.
const SERVER: &str = "busybox mkdir -p /tmp/www/cgi-bin; \
    printf '#!/bin/busybox sh\\nprintf \"Content-Type: text/plain\\r\\n\\r\\nok\"\\n' >/tmp/www/cgi-bin/admit; \
    busybox chmod 755 /tmp/www/cgi-bin/admit; busybox httpd -p 127.0.0.1:7080 -h /tmp/www";

/// What the observer is told to look for.
pub const NAMED: &str = "127.0.0.1:7080/cgi-bin/admit,name=hook";

pub fn make() -> Result<()> {
    let script = format!(
        "{SERVER}; busybox sleep 1; busybox wget -q -O /dev/null --post-data '{{}}' \
         'http://127.0.0.1:7080/cgi-bin/admit?timeout=5s' >/dev/null 2>&1"
    );
    expect(0, &["busybox", "sh", "-c", &script])?;
    Ok(())
}

pub fn a_call_is_told(said: &[Value]) -> Result<String> {
    let probe = probe(said, "webhook")?;
    ensure!(probe["status"] == "attached" && probe["lost"] == 0, "{probe}");
    let mut told = said.iter().filter(|object| object["probe"] == "webhook");
    let call = told.next().with_context(|| format!("nothing was told: {said:?}"))?;
    ensure!(told.next().is_none(), "more than one thing was told: {said:?}");
    ensure!(call["outcome"] == "answered" && call["status"] == 200 && call["name"] == "hook", "{call}");
    ensure!(
        call["method"] == "POST" && call["path"] == "/cgi-bin/admit" && call["deadline_ms"] == 5000.0,
        "{call}"
    );
    ensure!(call["phases_ms"]["connect"].is_number() && call["process"]["comm"] == "busybox", "{call}");
    Ok(call.to_string())
}
