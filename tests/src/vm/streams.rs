//! What containers say, as `observer run` tells it.

use super::container::bundle_that;
use super::observed::attached;
use super::watching::{health, probe};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

/// More than a pipe holds at once.
const SAID_BYTES: u64 = 300_000;
const LINES: u64 = 8;

/// Two containers are read to their end, the reader of another leaves after a line.
pub fn make() -> Result<()> {
    let mut read = start("read", &format!("head -c {SAID_BYTES} /dev/zero"))?;
    let mut taken = Vec::new();
    read.stdout.take().context("no pipe")?.read_to_end(&mut taken)?;
    ensure!(taken.len() as u64 == SAID_BYTES, "the container said {} bytes", taken.len());
    read.wait()?;

    // busybox sends files, which goes past the pipe's own functions.
    let mut sent = start("sent", &format!("head -c {SAID_BYTES} /dev/zero > /dev/said; cat /dev/said"))?;
    let mut taken = Vec::new();
    sent.stdout.take().context("no pipe")?.read_to_end(&mut taken)?;
    ensure!(taken.len() as u64 == SAID_BYTES, "the container sent {} bytes", taken.len());
    sent.wait()?;

    let script =
        format!("trap '' PIPE; i=0; while [ $i -lt {LINES} ]; do echo line; sleep 1; i=$((i+1)); done");
    let mut left = start("left", &script)?;
    let mut line = String::new();
    let mut reader = BufReader::new(left.stdout.take().context("no pipe")?);
    reader.read_line(&mut line)?;
    drop(reader);
    left.wait()?;
    Ok(())
}

fn start(name: &str, script: &str) -> Result<Child> {
    let bundle = bundle_that(name, script)?;
    Command::new("/usr/bin/crun")
        .args(["run", "--bundle", &bundle.path, name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run crun")
}

/// Every probe of `run` is attached; says by which rung.
pub fn run_probes_attached(said: &[Value]) -> Result<String> {
    // The family that reads TLS libraries waits for one, which is not on this machine.
    attached(health(said)?, &["waiting"])
}

/// Kernels that can hook their own functions do: the better rung is taken. arm64 can from 6.4 on; before, the calls are
/// hooked, and why is said.
pub fn pipe_functions_are_hooked(said: &[Value]) -> Result<String> {
    let stdio = probe(said, "stdio")?;
    let hook = stdio["hook"].as_str().unwrap_or_default();
    let why = stdio["why"].as_str().unwrap_or_default();
    let said_why = hook.contains("tracepoint") && why.contains("pipe functions");
    let refused = cfg!(target_arch = "aarch64") && said_why;
    ensure!(hook.contains("fexit") || refused, "stdio is hooked by {hook}: {why}");
    Ok(format!("{hook}; {why}"))
}

pub fn what_was_read_is_delivered(said: &[Value]) -> Result<String> {
    for id in ["read", "sent"] {
        let last = last(said, id)?;
        ensure!(last["outcome"] == "delivered", "{last}");
        ensure!(last["written_bytes"] == SAID_BYTES && last["delivered_bytes"] == SAID_BYTES, "{last}");
    }
    Ok(last(said, "sent")?.to_string())
}

pub fn nobody_reads_any_more(said: &[Value]) -> Result<String> {
    let last = last(said, "left")?;
    ensure!(last["outcome"] == "reader-gone", "{last}");
    let broken = last["broken_pipe_writes"].as_u64().unwrap_or(0);
    ensure!(broken > 0 && broken < LINES, "{last}");
    let while_alive = of(said, "left").any(|event| event["ended"] == false);
    ensure!(while_alive, "nothing was said while it lived");
    Ok(last.to_string())
}

/// What was said last of a container's standard output.
fn last<'a>(said: &'a [Value], id: &'a str) -> Result<&'a Value> {
    let last = of(said, id).last().with_context(|| format!("nothing was said of {id}"))?;
    ensure!(last["ended"] == true, "its end was not told: {last}");
    Ok(last)
}

fn of<'a>(said: &'a [Value], id: &'a str) -> impl Iterator<Item = &'a Value> {
    said.iter().filter(move |object| {
        object["type"] == "event"
            && object["probe"] == "stdio"
            && object["fd"] == 1
            && object["container"]["id"] == id
    })
}
