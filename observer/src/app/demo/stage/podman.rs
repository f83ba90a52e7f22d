//! podman with conmon on the stage, with storage and network configuration of its own.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit};

use super::{Ran, Stage, image::Image, tools};

pub struct Podman<'stage> {
    stage: &'stage Stage,
    program: std::path::PathBuf,
}

impl Stage {
    /// # Errors
    /// podman, or conmon without which it runs nothing, is missing.
    pub fn podman(&self) -> Result<Podman<'_>> {
        let program = tools::find("podman").context("podman is not on this machine")?;
        tools::find("conmon").context("conmon is not on this machine")?;
        fs::write(self.path("containers.conf"), configuration(&self.path("podman-net"))?)?;
        fs::write(self.path("policy.json"), r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#)?;
        Ok(Podman { stage: self, program })
    }
}

impl Podman<'_> {
    /// podman with the options that keep it on the stage, and a subcommand.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = self.stage.command(&self.program);
        command
            .env("CONTAINERS_CONF", self.stage.path("containers.conf"))
            .arg("--root")
            .arg(self.stage.path("podman-root"))
            .arg("--runroot")
            .arg(self.stage.path("podman-run"))
            .args(["--cgroup-manager=cgroupfs", "--events-backend=file"])
            .arg(subcommand);
        command
    }

    /// `podman run` by the named runtime; `args` are options, image and command.
    pub fn run(&self, runtime: &Path, args: &[&str]) -> Result<Ran> {
        self.stage.run(&mut self.run_command(runtime, args))
    }

    /// What [`Podman::run`] runs.
    pub fn run_command(&self, runtime: &Path, args: &[&str]) -> Command {
        // The global option stands before the subcommand.
        let mut command = self.command("--runtime");
        command.arg(runtime).arg("run").arg(format!("--cgroup-parent=/{}", self.stage.id()));
        command.args(args);
        command
    }

    pub fn import(&self, image: &Image) -> Result<()> {
        let mut load = self.command("load");
        load.arg("--signature-policy").arg(self.stage.path("policy.json"));
        self.stage.run(load.arg("--input").arg(&image.archive))?.success().map(drop)
    }

    /// Removes a container at once.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.stage.run(self.command("rm").args(["--force", "--time", "0", name]))?.success().map(drop)
    }
}

/// Limits no higher than this process's own: raising one needs CAP_SYS_RESOURCE, which root may lack.
fn configuration(networks: &Path) -> Result<String> {
    let limit = |name: &str, resource: Resource, most: u64| {
        let maximum = getrlimit(resource).maximum.unwrap_or(most).min(most);
        format!(r#""{name}={maximum}:{maximum}""#)
    };
    fs::create_dir_all(networks)?;
    Ok(format!(
        "[containers]\ndefault_ulimits = [{}, {}]\npids_limit = 0\n[network]\nnetwork_config_dir = \"{}\"\n",
        limit("nofile", Resource::Nofile, 20_000),
        limit("nproc", Resource::Nproc, 16_384),
        networks.display(),
    ))
}
