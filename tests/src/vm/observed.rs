//! Container starts as the observer tells them: JSON lines, checked for what holds on every kernel.

use super::command::{self, expect};
use super::container::bundle;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::fs;

const RECORDING: &str = "/tmp/start.rec";
/// JSON numbers of milliseconds come from whole nanoseconds: a sum may be off by rounding, not by a phase.
const ROUNDING_MS: f64 = 1e-3;

/// Without a container: what a node's owner asks first. Says what it found about every probe.
pub fn doctor() -> Result<String> {
    let said = expect(0, &["observer", "doctor", "-o", "json"])?;
    let objects = objects(&said)?;
    ensure!(!objects.is_empty(), "doctor said nothing");
    Ok(said)
}

/// Starts a container under the observer, records it, and keeps what was said for the checks that follow.
pub fn observe_a_start() -> Result<Observed> {
    let bundle = bundle("observed", 7)?;
    let run = ["crun", "run", "--bundle", &bundle.path, "observed"];
    let observe = ["observer", "coldstart", "-o", "json", "--record", RECORDING, "--"];
    let stdout = expect(0, &[&observe[..], &run[..]].concat())?;
    Ok(Observed { objects: objects(&stdout)?, stdout, cgroup: bundle.cgroup })
}

pub struct Observed {
    /// As printed, container's output included.
    stdout: String,
    objects: Vec<Value>,
    cgroup: String,
}

impl Observed {
    /// Every probe is attached; says by which rung.
    pub fn every_probe_attached(&self) -> Result<String> {
        // `coldstart` asks for those that starts need; what it did not ask for is off.
        attached(self.last("health")?, &["off"])
    }

    /// One start, of our container, whose phases make up its whole time.
    pub fn start_is_broken_down(&self) -> Result<String> {
        let starts: Vec<_> = self.objects.iter().filter(|object| object["type"] == "coldstart").collect();
        let [start] = starts[..] else { bail!("{} starts were reported instead of one", starts.len()) };
        let container = &start["container"];
        ensure!(container["id"] == "observed", "the container is called {}", container["id"]);
        let cgroup = container["cgroup"].as_str().unwrap_or_default();
        ensure!(cgroup.ends_with(&self.cgroup), "its cgroup is `{cgroup}`, not {}", self.cgroup);
        ensure!(start["failure"].is_null(), "it is said to have failed: {}", start["failure"]);
        ensure!(start["lost"] == 0, "{} records were lost", start["lost"]);

        let total = number(start, "total_ms")?;
        let exec = number(&start["milestones_ms"], "exec")?;
        ensure!(0.0 < exec && exec <= total, "exec after {exec} ms is outside of {total} ms");
        let phases = start["phases"].as_array().context("there are no phases")?;
        let mut sum = number(start, "unattributed_ms")?;
        let mut end = 0.0;
        let mut said = format!("total {total:.2} ms, exec after {exec:.2} ms\n");
        for phase in phases {
            let (begin, duration) = (number(phase, "start_ms")?, number(phase, "duration_ms")?);
            ensure!(begin >= end - ROUNDING_MS, "{} begins before the phase ahead of it ends", phase["name"]);
            end = begin + duration;
            sum += duration;
            said += &format!("{begin:9.2} {duration:9.2} {}\n", phase["name"].as_str().unwrap_or("?"));
        }
        ensure!((sum - total).abs() < ROUNDING_MS, "the phases add up to {sum} ms of {total} ms");
        ensure!(phases.iter().any(|phase| phase["name"] == "exec"), "no phase is called exec: {said}");
        Ok(said)
    }

    /// The recording says the same again, byte by byte, and holds nothing for other users.
    pub fn replay_is_identical(&self) -> Result<String> {
        let replayed = command::run(&["observer", "replay", RECORDING, "-o", "json"])?;
        let complaint = String::from_utf8_lossy(&replayed.stderr);
        ensure!(replayed.status.success(), "replay ended with {}: {complaint}", replayed.status);
        let live = observer_lines(&self.stdout);
        let again = String::from_utf8(replayed.stdout).context("replay printed what is not UTF-8")?;
        if live != again {
            let differing = live.lines().zip(again.lines()).find(|(live, again)| live != again);
            let counts = (live.lines().count(), again.lines().count());
            bail!(
                "replay differs: {counts:?} lines, the first that differ are {differing:?}; it said: {complaint}"
            );
        }
        Ok(format!("{} bytes again from {} recorded", again.len(), fs::metadata(RECORDING)?.len()))
    }

    fn last(&self, kind: &str) -> Result<&Value> {
        self.objects
            .iter()
            .rfind(|object| object["type"] == kind)
            .with_context(|| format!("no `{kind}` object was printed"))
    }
}

/// Whether every probe is attached, or in one of the allowed states; says by which rung.
pub fn attached(health: &Value, allowed: &[&str]) -> Result<String> {
    let probes = health["probes"].as_array().context("health names no probes")?;
    ensure!(!probes.is_empty(), "health names no probes");
    let mut said = String::new();
    let mut missing = Vec::new();
    for probe in probes {
        let text = |key: &str| probe[key].as_str().unwrap_or("-").to_owned();
        let line = format!("{}: {} by {}; {}", text("name"), text("status"), text("hook"), text("why"));
        if probe["status"] == "attached" || allowed.contains(&text("status").as_str()) {
            said += &format!("{line}\n");
        } else {
            missing.push(line);
        }
    }
    ensure!(missing.is_empty(), "not attached: {}", missing.join(" | "));
    Ok(said)
}

/// Without what the container itself printed: the command shares the observer's stdout.
fn observer_lines(stdout: &str) -> String {
    stdout.split_inclusive('\n').filter(|line| line.starts_with('{')).collect()
}

pub fn objects(stdout: &str) -> Result<Vec<Value>> {
    let lines = observer_lines(stdout);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
        .collect()
}

fn number(object: &Value, key: &str) -> Result<f64> {
    object[key].as_f64().with_context(|| format!("{key} is {}", object[key]))
}
