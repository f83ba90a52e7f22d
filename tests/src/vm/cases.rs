//! What is shown on every kernel.

use super::command::expect;
use super::container::{GREETING, bundle};
use super::{faults, lookups, net, observed, report::Report, streams, watching, webhook};
use anyhow::{Result, ensure};
use std::fs;

pub fn run_all(report: &mut Report) {
    report.case("pure-cgroup-v2", pure_cgroup_v2);
    report.case("container-runs", container_runs);
    report.case("doctor", observed::doctor);
    match observed::observe_a_start() {
        Ok(observed) => {
            report.case("probes-attach", || observed.every_probe_attached());
            report.case("coldstart", || observed.start_is_broken_down());
            report.case("replay", || observed.replay_is_identical());
        }
        Err(error) => report.failed("coldstart", &format!("{error:#}")),
    }
    match watching::watch() {
        Ok(said) => {
            report.case("run-probes-attach", || streams::run_probes_attached(&said));
            report.case("pipe-functions", || streams::pipe_functions_are_hooked(&said));
            report.case("stdio-delivered", || streams::what_was_read_is_delivered(&said));
            report.case("stdio-reader-gone", || streams::nobody_reads_any_more(&said));
            report.case("faults", || faults::faults_are_told(&said));
            report.case("lookups", || lookups::lookups_are_told(&said));
            report.case("connections", || net::a_refusal_is_told(&said));
            report.case("webhook", || webhook::a_call_is_told(&said));
        }
        Err(error) => report.failed("run", &format!("{error:#}")),
    }
}

/// The premise of all that follows: one hierarchy, and the controllers that limits need.
fn pure_cgroup_v2() -> Result<String> {
    let membership = fs::read_to_string("/proc/self/cgroup")?;
    ensure!(membership == "0::/\n", "the cgroups are not the unified hierarchy alone: {membership}");
    let enabled = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control")?;
    for controller in ["cpu", "memory", "pids"] {
        ensure!(
            enabled.split_whitespace().any(|on| on == controller),
            "{controller} is not among `{}`",
            enabled.trim()
        );
    }
    Ok(format!("controllers: {}", enabled.trim()))
}

/// Without the observer: what fails here is the machine's fault.
fn container_runs() -> Result<String> {
    let bundle = bundle("plain", 7)?;
    let said = expect(7, &["crun", "run", "--bundle", &bundle.path, "plain"])?;
    ensure!(said.trim() == GREETING, "the container said `{said}`");
    let version = expect(0, &["crun", "--version"])?;
    Ok(version.lines().next().unwrap_or_default().to_owned())
}
