//! A private mount and network namespace. It is kept by two file descriptors, not by a process, and goes when
//! they are closed and nothing runs in it.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    path::Path,
    process::Command,
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, anyhow};
use rustix::{
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};

/// State that engines and runtimes keep at fixed places: each gets an empty one of its own, so that nothing
/// of it is shared with, or left on, the machine.
pub const HIDDEN: &[&str] = &["/run", "/var/lib", "/dev/shm"];

/// Where hybrid systems mount cgroup2 beside the v1 controllers. Container runtimes refuse that mixture, and
/// without this mount they see plain v1.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

pub struct Space {
    mount: OwnedFd,
    net: OwnedFd,
    /// Inode of the mount namespace: what /proc/PID/ns/mnt of a process in it shows.
    pub mount_inode: u64,
}

impl Space {
    pub fn new() -> Result<Arc<Space>> {
        // Namespaces belong to threads: this one makes them, is gone, and leaves only the descriptors.
        let made = thread::spawn(make).join().map_err(|_| anyhow!("the thread that makes them died"))?;
        made.map(Arc::new)
            .context("cannot make a private mount and network namespace (that needs root with CAP_SYS_ADMIN)")
    }

    /// Makes `command` run inside.
    pub fn enter(self: &Arc<Self>, command: &mut Command) {
        let space = Arc::clone(self);
        let enter = move || -> io::Result<()> {
            move_into_link_name_space(space.mount.as_fd(), Some(LinkNameSpaceType::Mount))?;
            move_into_link_name_space(space.net.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes two system calls on descriptors that it keeps open;
        // it neither allocates nor takes a lock.
        unsafe { command.pre_exec(enter) };
    }
}

fn make() -> Result<Space> {
    // SAFETY: the descriptor table is not unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("mount --make-rprivate /")?;
    if is_mounted(UNIFIED)? {
        unmount(UNIFIED, UnmountFlags::DETACH).with_context(|| format!("umount {UNIFIED}"))?;
    }
    for path in HIDDEN.iter().filter(|path| Path::new(path).is_dir()) {
        mount("tmpfs", *path, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
            .with_context(|| format!("mount -t tmpfs tmpfs {path}"))?;
    }
    let own = |kind: &str| {
        let path = format!("/proc/thread-self/ns/{kind}");
        std::fs::File::open(&path).with_context(|| path)
    };
    let (mount, net) = (own("mnt")?, own("net")?);
    let mount_inode = mount.metadata().context("stat of the mount namespace")?.ino();
    Ok(Space { mount: mount.into(), net: net.into(), mount_inode })
}

fn is_mounted(path: &str) -> Result<bool> {
    let table =
        std::fs::read_to_string("/proc/thread-self/mountinfo").context("/proc/thread-self/mountinfo")?;
    Ok(table.lines().any(|line| line.split(' ').nth(4) == Some(path)))
}
