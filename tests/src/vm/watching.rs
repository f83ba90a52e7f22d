//! One `observer run` that watches all that is made to happen on a machine: emulated machines take long to attach.

use super::observed::objects;
use super::{command::expect, faults, lookups, net, streams, webhook};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Longer than anything takes to be told once it has happened.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// What was said while all of it happened, one thing after the other.
pub fn watch() -> Result<Vec<Value>> {
    expect(0, &["busybox", "ip", "link", "set", "lo", "up"])?;
    let mut observer = Command::new("/usr/bin/observer")
        .args(["run", "-o", "json", "--show", "events,health", "--webhook", webhook::NAMED])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run the observer")?;
    let stdout = observer.stdout.take().context("no standard output")?;
    let printed = std::thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(stdout).read_to_string(&mut text).map(|_| text)
    });
    wait_until_attached(&mut observer)?;

    streams::make()?;
    faults::make()?;
    lookups::make()?;
    net::make()?;
    webhook::make()?;

    sleep(TOLD_WITHIN);
    kill_process(Pid::from_child(&observer), Signal::INT)?;
    let printed = printed.join().ok().context("the reading thread failed")??;
    let status = observer.wait()?;
    ensure!(status.success(), "the observer ended with {status}");
    objects(&printed)
}

fn wait_until_attached(observer: &mut Child) -> Result<()> {
    let stderr = observer.stderr.take().context("no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let attached = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("attached")));
    ensure!(attached.is_some(), "the observer ended before it was attached");
    // Whatever else it says must not block it.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(())
}

/// What was said last of the state of the probes.
pub fn health(said: &[Value]) -> Result<&Value> {
    said.iter().rfind(|object| object["type"] == "health").context("no health was printed")
}

/// A probe in it.
pub fn probe<'a>(said: &'a [Value], name: &str) -> Result<&'a Value> {
    let probes = health(said)?["probes"].as_array().context("health names no probes")?;
    probes.iter().find(|probe| probe["name"] == name).with_context(|| format!("no probe {name}"))
}
