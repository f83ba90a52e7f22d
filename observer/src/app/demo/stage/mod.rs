//! A stage: a private corner of this machine in which real runtimes and engines make real containers, and of
//! which nothing is left when it is dropped. It owns namespaces, a work folder, control groups and whatever
//! process runs in them; it observes nothing.
//!
//! The pid namespace is the machine's: the observer runs outside and sees what it would see on a node.

pub mod bundle;
mod clean;
pub mod containerd;
pub mod cri;
pub mod image;
pub mod podman;
pub mod runtime;
mod space;
pub mod tools;

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use tempfile::TempDir;

use space::Space;

/// How long a command on the stage may take: much more than any needs.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage {
    folder: TempDir,
    id: String,
    space: Arc<Space>,
    busybox: PathBuf,
    logs: AtomicU64,
}

impl Stage {
    /// # Errors
    /// Not root, no busybox that runs in an empty root, no space left.
    pub fn new() -> Result<Stage> {
        let found = tools::static_busybox().map_err(anyhow::Error::msg)?;
        let folder = tempfile::Builder::new().prefix("observer-stage-").tempdir().context("work folder")?;
        if let Some(hidden) = space::HIDDEN.iter().find(|hidden| folder.path().starts_with(hidden)) {
            bail!("TMPDIR is below {hidden}, which is private on the stage: set it to /tmp or /var/tmp");
        }
        let suffix = folder.path().to_string_lossy().chars().rev().take(6).collect::<String>();
        let busybox = folder.path().join("busybox");
        fs::copy(&found, &busybox).with_context(|| format!("copy of {}", found.display()))?;
        // Engines put ids into host names and paths: lower case throughout.
        let id = format!("observer-{}", suffix.to_lowercase());
        let stage = Stage { folder, id, space: Space::new()?, busybox, logs: AtomicU64::new(0) };
        stage.run(stage.command(&stage.busybox).args(["ip", "link", "set", "lo", "up"]))?.success()?;
        Ok(stage)
    }

    /// Unlike that of any other stage; also the name of the control group that holds all its containers.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A place in the work folder, which is the same path inside and outside.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The stage's own copy.
    pub fn busybox(&self) -> &Path {
        &self.busybox
    }

    /// A command that runs on the stage, with nothing to read and an environment like a service's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env_clear().env("PATH", tools::search_path()).env("HOME", "/root");
        self.space.enter(&mut command);
        command
    }

    /// Runs a command to its end. Its output goes to files: what it leaves running (a created container, a
    /// shim) keeps them open, and would keep a pipe open for ever.
    pub fn run(&self, command: &mut Command) -> Result<Ran> {
        self.spawn(command)?.finish()
    }

    /// Starts a command.
    pub fn spawn(&self, command: &mut Command) -> Result<Running> {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        let (stdout, stderr) = (self.path(format!("{number}.out")), self.path(format!("{number}.err")));
        command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let what = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        let child = command.spawn().with_context(|| what.clone())?;
        Ok(Running { what, child, stdout, stderr })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let left = clean::end_processes(self.space.mount_inode, &self.id);
        if left > 0 {
            eprintln!("{left} processes of {} did not end", self.id);
        }
        clean::remove_cgroup(&self.id);
    }
}

/// A command that may still run, and the files that its output goes to.
#[derive(Debug)]
pub struct Running {
    what: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        lossy(&self.stdout)
    }

    pub fn stderr(&self) -> String {
        lossy(&self.stderr)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // It has not been waited for, so its pid is still its own.
        kill_process(self.pid(), signal).with_context(|| self.what.clone())
    }

    /// Whether it ends within this time.
    pub fn ends_within(&self, patience: Duration) -> Result<bool> {
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).context("pidfd_open")?;
        let timeout = Timespec::try_from(patience).context("patience")?;
        let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).context("poll")?;
        Ok(ended > 0)
    }

    /// Waits for its end; kills it when that takes too long.
    pub fn finish(mut self) -> Result<Ran> {
        if !self.ends_within(PATIENCE)? {
            self.child.kill().context("kill")?;
            self.child.wait().context("wait")?;
            bail!(
                "{} did not end within {} s and was killed: {}",
                self.what,
                PATIENCE.as_secs(),
                self.stderr()
            );
        }
        let status = self.child.wait().context("wait")?;
        let (stdout, stderr) = (self.stdout(), self.stderr());
        Ok(Ran { what: self.what, status, stdout, stderr })
    }
}

fn lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    pub what: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// # Errors
    /// It did not end with 0: what it printed.
    pub fn success(self) -> Result<Ran> {
        if self.status.success() {
            return Ok(self);
        }
        bail!("{} ended with {}: {}{}", self.what, self.status, self.stderr, self.stdout)
    }

    /// As a shell would say it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}
