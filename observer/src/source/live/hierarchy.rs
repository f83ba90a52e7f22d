//! The root of the unified control group hierarchy (v2), which programs that see packets are attached to: every
//! process is below it, also where the limits are those of v1.
//!
//! A mount that is there is used. Where none can be reached, the hierarchy is mounted once more, detached, without a
//! place in any tree, and with the options that it has: mounting it without them would reset them for the whole node
//! (`nsdelegate`, `memory_recursiveprot`; `cgroup_get_tree` of Linux).

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, StatxFlags, openat, statx},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsmount, fsopen},
};

use crate::source::facts::HostRoot;

/// The root's inode; control groups below it have others.
const ROOT_INODE: u64 = 1;

/// Opens the root of the hierarchy.
///
/// # Errors
/// Why it cannot be had, for people.
pub fn open_root(host: &HostRoot) -> Result<OwnedFd, String> {
    let tables = [(host.proc("1/mountinfo"), host.proc("1/root")), (host.proc("self/mountinfo"), "/".into())];
    let mut options = Vec::new();
    for (table, root) in tables {
        let Ok(text) = std::fs::read_to_string(table) else { continue };
        for mount in mounts(&text) {
            options = mount.options.split(',').map(str::to_owned).collect();
            let path = root.join(mount.point.strip_prefix("/").unwrap_or(mount.point));
            if let Some(found) = File::open(path).ok().filter(|found| is_root(found)) {
                return Ok(found.into());
            }
        }
    }
    detached(&options).map_err(|error| format!("the control group hierarchy (v2) cannot be mounted: {error}"))
}

/// Where the hierarchy is mounted, or something below it.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    point: &'a str,
    /// Of the hierarchy, not of this mount.
    options: &'a str,
}

fn mounts(table: &str) -> impl Iterator<Item = Mount<'_>> {
    table.lines().filter_map(|line| {
        // ID PARENT DEVICE ROOT POINT OPTIONS [TAGS..] - TYPE SOURCE OPTIONS
        let (place, kind) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?;
        let mut kind = kind.split(' ');
        (kind.next()? == "cgroup2").then_some(Mount { point, options: kind.nth(1)? })
    })
}

fn is_root(mount: impl AsFd) -> bool {
    let found = statx(mount, c"", AtFlags::EMPTY_PATH, StatxFlags::INO);
    found.is_ok_and(|found| found.stx_ino == ROOT_INODE)
}

fn detached(options: &[String]) -> io::Result<OwnedFd> {
    let context = fsopen(c"cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for option in options.iter().filter(|option| !matches!(option.as_str(), "rw" | "ro")) {
        fsconfig_set_flag(&context, option.as_str())?;
    }
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    // What a mount's descriptor refers to is a path only.
    let root = openat(&mount, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if is_root(&root) {
        Ok(root)
    } else {
        Err(io::Error::other("not its root: this is a control group namespace"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_unified_hierarchy_are_found_with_its_options() {
        let table = "\
            30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n\
            31 24 0:26 /kubepods /in/a/container ro shared:4 - cgroup2 cgroup2 rw,nsdelegate\n\
            32 24 0:27 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n\
            33 24 0:26 / /sys/fs/cgroup/unified rw shared:6 master:1 - cgroup2 none rw\n\
            garbage - cgroup2\n";
        let found: Vec<(&str, &str)> = mounts(table).map(|mount| (mount.point, mount.options)).collect();
        let expected = [
            ("/sys/fs/cgroup", "rw,nsdelegate,memory_recursiveprot"),
            ("/in/a/container", "rw,nsdelegate"),
            ("/sys/fs/cgroup/unified", "rw"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_root_is_not_taken_for_one() {
        assert!(!is_root(File::open("/proc/self/status").unwrap()));
    }
}
