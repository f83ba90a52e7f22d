//! From the kernel's hand-over to a system in which a container can be started: a tmpfs as root, the kernel's
//! file systems, and one cgroup hierarchy with its controllers on.

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount, mount_move};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const NEW_ROOT: &str = "/newroot";

/// Source, target, type, options.
const MOUNTS: [(&str, &str, &str, &str); 10] = [
    ("proc", "/proc", "proc", ""),
    ("sysfs", "/sys", "sysfs", ""),
    ("devtmpfs", "/dev", "devtmpfs", ""),
    ("devpts", "/dev/pts", "devpts", ""),
    ("tmpfs", "/dev/shm", "tmpfs", "mode=1777"),
    ("tmpfs", "/run", "tmpfs", "mode=755"),
    ("tmpfs", "/tmp", "tmpfs", "mode=1777"),
    ("cgroup2", "/sys/fs/cgroup", "cgroup2", ""),
    ("tracefs", "/sys/kernel/tracing", "tracefs", ""),
    ("bpf", "/sys/fs/bpf", "bpf", ""),
];

/// Returns the kernel's release.
pub fn prepare() -> Result<String> {
    leave_the_initramfs()?;
    for (source, target, fstype, options) in MOUNTS {
        mount_at(source, target, fstype, options)?;
    }
    enable_controllers()?;
    Ok(rustix::system::uname().release().to_string_lossy().into_owned())
}

/// Moves everything to a tmpfs: pivot_root, which container runtimes call, refuses the initramfs as old root.
fn leave_the_initramfs() -> Result<()> {
    mount_at("tmpfs", NEW_ROOT, "tmpfs", "mode=755")?;
    for entry in fs::read_dir("/").context("cannot list the initramfs")? {
        let path = entry?.path();
        if path != Path::new(NEW_ROOT) {
            move_tree(&path, &Path::new(NEW_ROOT).join(path.strip_prefix("/")?))
                .with_context(|| format!("cannot move {} out of the initramfs", path.display()))?;
        }
    }
    rustix::process::chdir(NEW_ROOT)?;
    mount_move(".", "/").context("cannot make the tmpfs the root")?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Removes each file as it is copied, so that nothing is in memory twice. Device nodes are left behind:
/// devtmpfs brings its own.
fn move_tree(from: &Path, to: &Path) -> Result<()> {
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            move_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_file() {
        fs::copy(from, to)?;
        fs::remove_file(from)?;
    }
    Ok(())
}

fn mount_at(source: &str, target: &str, fstype: &str, options: &str) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot make {target}"))?;
    let options = std::ffi::CString::new(options)?;
    mount(source, target, fstype, MountFlags::empty(), options.as_c_str())
        .with_context(|| format!("cannot mount {fstype} at {target}"))
}

/// What systemd does on a node: without it a container's limits have nothing to act on.
fn enable_controllers() -> Result<()> {
    const ROOT: &str = "/sys/fs/cgroup";
    for controller in fs::read_to_string(format!("{ROOT}/cgroup.controllers"))?.split_whitespace() {
        fs::write(format!("{ROOT}/cgroup.subtree_control"), format!("+{controller}"))
            .with_context(|| format!("cannot enable the cgroup controller {controller}"))?;
    }
    Ok(())
}
