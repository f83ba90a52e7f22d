//! OCI runtimes called by hand, as a shim would call them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;
use rustix::process::Signal;

use super::{Ran, Stage, bundle::Written};

/// How often, and how many times, youki is told to look at its children.
const BETWEEN_NUDGES: Duration = Duration::from_millis(250);
const NUDGES: u32 = 100;

/// A runtime binary, with its own state folder on the stage.
pub struct Runtime<'stage> {
    stage: &'stage Stage,
    program: PathBuf,
    state: PathBuf,
}

impl Stage {
    pub fn runtime(&self, program: impl Into<PathBuf>) -> Runtime<'_> {
        let program = program.into();
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Runtime { stage: self, program, state: self.path(format!("state-{name}")) }
    }
}

impl Runtime<'_> {
    /// youki 0.7 begins to wait for the end of its container only when that runs: if it is quicker, youki waits
    /// for ever for a SIGCHLD that has come, and one more makes it look.
    fn forgets_children(&self) -> bool {
        self.program.file_name().is_some_and(|name| name == "youki")
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The runtime with a subcommand, to be run or spawned on the stage.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = self.stage.command(&self.program);
        command.arg("--root").arg(&self.state).arg(subcommand);
        command
    }

    /// A whole life in the foreground: create, start, wait, delete.
    pub fn run(&self, bundle: &Written) -> Result<Ran> {
        let running = self.stage.spawn(&mut self.run_command(bundle))?;
        if self.forgets_children() {
            for _ in 0..NUDGES {
                if running.ends_within(BETWEEN_NUDGES)? {
                    break;
                }
                running.signal(Signal::CHILD)?;
            }
        }
        running.finish()
    }

    /// What [`Runtime::run`] runs.
    pub fn run_command(&self, bundle: &Written) -> Command {
        let mut command = self.command("run");
        command.arg("--bundle").arg(&bundle.folder).arg(&bundle.id);
        command
    }

    pub fn create(&self, bundle: &Written) -> Result<Ran> {
        self.stage.run(self.command("create").arg("--bundle").arg(&bundle.folder).arg(&bundle.id))
    }

    pub fn start(&self, id: &str) -> Result<Ran> {
        self.stage.run(self.command("start").arg(id))
    }

    pub fn state(&self, id: &str) -> Result<Ran> {
        self.stage.run(self.command("state").arg(id))
    }

    pub fn exec(&self, id: &str, args: &[&str]) -> Result<Ran> {
        self.stage.run(self.command("exec").arg(id).args(args))
    }

    pub fn kill(&self, id: &str) -> Result<Ran> {
        self.stage.run(self.command("kill").args([id, "KILL"]))
    }

    pub fn delete(&self, id: &str) -> Result<Ran> {
        self.stage.run(self.command("delete").args(["--force", id]))
    }
}
