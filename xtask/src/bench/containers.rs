//! Trivial containers, started one after the other: `crun run` of `/bin/true`, in a private mount namespace.
//! What they leave is a control group, removed at the end.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::{
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount},
    thread::{UnshareFlags, unshare_unsafe},
};
use serde_json::json;
use tempfile::TempDir;

use super::tracer::wait;
use crate::paths::find_program;

/// Where hybrid systems mount cgroup2 beside the v1 controllers: runtimes refuse that mixture.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// How long one start may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Containers {
    crun: PathBuf,
    /// The bundle, removed at the end.
    folder: TempDir,
    /// Of this process only.
    cgroup: String,
    /// Every container has a name and a control group of its own.
    started: AtomicUsize,
}

impl Containers {
    /// Writes the bundle below `parent`.
    pub(super) fn new(parent: &Path) -> Result<Containers> {
        let crun = find_program("crun").context("no crun on this machine (apt-get install crun)")?;
        let busybox =
            find_program("busybox").context("no busybox on this machine (apt-get install busybox-static)")?;
        let cgroup = format!("observer-bench-{}", std::process::id());
        let made = tempfile::tempdir_in(parent).with_context(|| parent.display().to_string())?;
        let folder = made.path();
        let bin = folder.join("rootfs/bin");
        for name in ["rootfs/bin", "rootfs/dev", "rootfs/proc", "state"] {
            fs::create_dir_all(folder.join(name)).with_context(|| folder.join(name).display().to_string())?;
        }
        fs::copy(&busybox, bin.join("busybox")).with_context(|| busybox.display().to_string())?;
        symlink("busybox", bin.join("true")).with_context(|| bin.display().to_string())?;
        Ok(Containers { crun, folder: made, cgroup, started: AtomicUsize::new(0) })
    }

    /// Starts that many, one after the other. Milliseconds from `crun run` to its end.
    pub(super) fn start(&self, count: usize) -> Result<Vec<f64>> {
        // Namespaces belong to threads: what this one starts is inside, the rest of us is not.
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter_private_mounts(&self.folder.path().join("state"))?;
                (0..count).map(|_| self.start_one()).collect()
            });
            inside.join().map_err(|_| anyhow!("the thread that starts containers died"))?
        })
    }

    /// Starts one that runs `program`, copied into it, and hands it over. Its standard output leads nowhere.
    pub(super) fn hold(&self, program: &Path, argument: &str) -> Result<Child> {
        let inside = self.folder.path().join("rootfs/bin/held");
        fs::copy(program, &inside).with_context(|| inside.display().to_string())?;
        thread::scope(|scope| {
            let held = scope.spawn(|| {
                enter_private_mounts(&self.folder.path().join("state"))?;
                let mut command = self.run(&["/bin/held", argument])?;
                command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
                command.spawn().context("cannot run crun")
            });
            held.join().map_err(|_| anyhow!("the thread that starts containers died"))?
        })
    }

    /// `crun run` of the next container.
    fn run(&self, arguments: &[&str]) -> Result<Command> {
        let id = format!("{}-{}", self.cgroup, self.started.fetch_add(1, Ordering::Relaxed));
        let config = config(&format!("/{}/{id}", self.cgroup), arguments);
        fs::write(self.folder.path().join("config.json"), config).context("config.json")?;
        let mut command = Command::new(&self.crun);
        command
            .arg("--root")
            .arg(self.folder.path().join("state"))
            .arg("run")
            .arg("--bundle")
            .arg(self.folder.path());
        command.arg(id);
        Ok(command)
    }

    fn start_one(&self) -> Result<f64> {
        let mut command = self.run(&["/bin/true"])?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot run crun")?;
        let status = wait(&mut child, PATIENCE).context("crun run")?;
        let took = begun.elapsed();
        ensure!(status.success(), "crun run failed: {status} (its words are above)");
        Ok(took.as_secs_f64() * 1e3)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let roots = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let group = root.join(&self.cgroup);
            if group.is_dir()
                && let Err(error) = fs::remove_dir(&group)
            {
                eprintln!("bench: {} is left behind: {error}", group.display());
            }
        }
    }
}

fn enter_private_mounts(state: &Path) -> Result<()> {
    // SAFETY: the descriptor table is not unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.context("cannot make a mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("mount --make-rprivate /")?;
    let table = fs::read_to_string("/proc/thread-self/mountinfo").context("/proc/thread-self/mountinfo")?;
    if table.lines().any(|line| line.split(' ').nth(4) == Some(UNIFIED)) {
        unmount(UNIFIED, UnmountFlags::DETACH).with_context(|| format!("umount {UNIFIED}"))?;
    }
    // As in /run: what a runtime keeps about a container is never on a disk.
    match mount("tmpfs", state, "tmpfs", MountFlags::empty(), Some(c"mode=700")) {
        Ok(()) => Ok(()),
        Err(error) => bail!("mount -t tmpfs tmpfs {}: {error}", state.display()),
    }
}

fn config(cgroup: &str, arguments: &[&str]) -> String {
    let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    let config = json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs" },
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": arguments,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
        ],
        "linux": { "namespaces": namespaces, "cgroupsPath": cgroup, "resources": {} },
    });
    config.to_string()
}
