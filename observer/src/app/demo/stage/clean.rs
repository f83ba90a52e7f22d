//! Leaving nothing behind: processes that outlive their starter, and control groups.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long leftovers may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends every process that runs in the mount namespace, or in the control group or below it. Both are the
/// stage's own, so nobody else's process can be in either. Says how many are still there.
pub fn end_processes(mount_inode: u64, cgroup: &str) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ours = processes(mount_inode, cgroup);
        if ours.is_empty() || Instant::now() > deadline {
            return ours.len();
        }
        for process in &ours {
            // It may have ended since: then there is nothing to do.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn processes(mount_inode: u64, cgroup: &str) -> Vec<OwnedFd> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        // Opened before it is looked at: the signal then goes to what was looked at, or nowhere.
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        is_ours(pid, mount_inode, cgroup).then_some(process)
    })
    .collect()
}

fn is_ours(pid: i32, mount_inode: u64, cgroup: &str) -> bool {
    let lives_here = fs::metadata(format!("/proc/{pid}/ns/mnt")).is_ok_and(|ns| ns.ino() == mount_inode);
    lives_here
        || fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|table| {
            table.lines().filter_map(|line| line.splitn(3, ':').nth(2)).any(|path| is_below(path, cgroup))
        })
}

fn is_below(path: &str, cgroup: &str) -> bool {
    let below = path.trim_start_matches('/').strip_prefix(cgroup);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Removes a control group and everything below it in every hierarchy of this machine.
pub fn remove_cgroup(group: &str) {
    for path in hierarchies().iter().map(|root| root.join(group)) {
        let deadline = Instant::now() + PATIENCE;
        // A group is busy for a moment after its last process has ended.
        while remove_tree(&path).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy) {
            if Instant::now() > deadline {
                eprintln!("{} is still busy and was left behind", path.display());
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Where control groups are mounted.
fn hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of_cgroups = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let kind = filesystem.split(' ').next()?;
        let path = mount.split(' ').nth(4)?;
        (kind == "cgroup" || kind == "cgroup2").then(|| PathBuf::from(path))
    };
    table.lines().filter_map(of_cgroups).collect()
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn a_group_is_below_itself_and_its_parents_but_not_below_a_namesake() {
        assert!(is_below("/observer-a1", "observer-a1"));
        assert!(is_below("/observer-a1/hello", "observer-a1"));
        assert!(!is_below("/observer-a12/hello", "observer-a1"));
        assert!(!is_below("/kubepods/observer-a1", "observer-a1"));
    }
}
