//! The root of the unified control group hierarchy (v2), which programs that see packets are attached to: every
//! process is below it, also where the limits are those of v1.
//!
//! A mount that is there is used. Only where there is none is the hierarchy mounted, detached, without a place in
//! any tree: mounting it again where it is in use would reset its options for the whole node (`nsdelegate`,
//! `memory_recursiveprot`; `cgroup_get_tree` of Linux).

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, StatxFlags, openat, statx},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
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
    let mut is_mounted = false;
    for (table, root) in tables {
        let Ok(text) = std::fs::read_to_string(table) else { continue };
        for point in mount_points(&text) {
            is_mounted = true;
            let path = root.join(point.strip_prefix("/").unwrap_or(&point));
            if let Ok(found) = File::open(path)
                && is_root(&found)
            {
                return Ok(found.into());
            }
        }
    }
    if is_mounted {
        return Err(
            "its root is mounted nowhere that could be opened, only control groups below it".to_owned()
        );
    }
    detached().map_err(|error| format!("the control group hierarchy (v2) cannot be mounted: {error}"))
}

/// Where the hierarchy's root is mounted, not something below it.
fn mount_points(table: &str) -> impl Iterator<Item = PathBuf> + '_ {
    table.lines().filter_map(|line| {
        // ID PARENT DEVICE ROOT POINT OPTIONS [TAGS..] - TYPE SOURCE OPTIONS
        let (place, kind) = line.split_once(" - ")?;
        let mut words = place.split(' ').skip(3);
        let (root, point) = (words.next()?, words.next()?);
        (kind.starts_with("cgroup2 ") && root == "/").then(|| Path::new(point).to_owned())
    })
}

fn is_root(mount: impl AsFd) -> bool {
    let found = statx(mount, c"", AtFlags::EMPTY_PATH, StatxFlags::INO);
    found.is_ok_and(|found| found.stx_ino == ROOT_INODE)
}

fn detached() -> io::Result<OwnedFd> {
    let context = fsopen(c"cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
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
    fn only_the_root_of_the_unified_hierarchy_counts() {
        let table = "\
            30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
            31 24 0:26 /kubepods /in/a/container rw shared:4 - cgroup2 cgroup2 rw\n\
            32 24 0:27 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n\
            33 24 0:26 / /sys/fs/cgroup/unified rw shared:6 master:1 - cgroup2 none rw\n\
            garbage\n";
        let found: Vec<PathBuf> = mount_points(table).collect();
        assert_eq!(found, [Path::new("/sys/fs/cgroup"), Path::new("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn what_is_no_root_is_not_taken_for_one() {
        assert!(!is_root(File::open("/proc/self/status").unwrap()));
    }
}
