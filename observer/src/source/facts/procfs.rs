//! Processes as `/proc` shows them. Reads text and links only: nothing below `fd/` is ever opened, because
//! opening the end of a pipe makes the observer its reader. A process that is gone is the normal case.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use observer_ebpf::control::role;

use super::HostRoot;
use crate::{
    input::ProcessFact,
    probes::{
        file::is_datastore,
        names::{keeps_a_datastore, role_of_comm, role_of_exe},
    },
    time::Time,
};

/// Descriptors of a process that are looked at.
const MAX_DESCRIPTORS: usize = 65_536;

/// Every process that is an engine, a shim, a runtime or a container begun inside a runtime, lowest pid
/// first. Start times have the granularity of a clock tick (10 ms).
///
/// # Errors
/// When `/proc` itself cannot be listed.
pub fn snapshot(host: &HostRoot) -> io::Result<Vec<ProcessFact>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(host.proc(""))? {
        let Some(pid) = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok()) else {
            continue;
        };
        found.extend(process(host, pid));
    }
    found.sort_by_key(|process| process.tgid);
    Ok(found)
}

/// One process, if it is there and of interest by its name.
pub fn process(host: &HostRoot, pid: u32) -> Option<ProcessFact> {
    let stat = stat(host, pid)?;
    let exe = exe(host, pid);
    let by_comm = role_of_comm(&stat.comm);
    // The file name says more than the 15 bytes of comm: which shims are their own runtime.
    let role = by_comm | exe.as_deref().map_or(0, role_of_exe);
    if role == 0 {
        return None;
    }
    let runtime = role & role::RUNTIME != 0 && role & role::SHIM == 0;
    let role = match runtime && has_changed_root(host, pid, stat.ppid) {
        false => role,
        // A runtime's file under another name, inside a container: the payload runs in the runtime (Wasm).
        true if by_comm == 0 => role::PAYLOAD,
        true => role | role::ROOTFS,
    };
    let datastore = keeps_a_datastore(&stat.comm).then(|| datastore(host, pid)).flatten();
    Some(ProcessFact { tgid: pid, ppid: stat.ppid, start: stat.start, comm: stat.comm, exe, role, datastore })
}

/// The cluster's database that a process has open, by the links of its descriptors.
fn datastore(host: &HostRoot, pid: u32) -> Option<String> {
    let links = descriptors(host, pid).ok()?;
    links.filter_map(|link| link.into_os_string().into_string().ok()).find(|path| is_datastore(path))
}

/// What the descriptors of a process refer to, as their links say.
pub(super) fn descriptors(host: &HostRoot, pid: u32) -> io::Result<impl Iterator<Item = PathBuf>> {
    let folder = fs::read_dir(host.proc(format!("{pid}/fd")))?;
    Ok(folder.flatten().take(MAX_DESCRIPTORS).filter_map(|entry| fs::read_link(entry.path()).ok()))
}

/// The parts of `/proc/PID/stat` that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub comm: String,
    pub ppid: u32,
    /// CLOCK_BOOTTIME, to the clock tick.
    pub start: Time,
}

pub fn stat(host: &HostRoot, pid: u32) -> Option<Stat> {
    let text = host.read_proc(format!("{pid}/stat")).ok()?;
    parse_stat(&text, rustix::param::clock_ticks_per_second())
}

/// comm may hold spaces and parentheses: it ends at the last closing one.
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<Stat> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_, comm) = head.split_once('(')?;
    // The fields from the third on: state, ppid, ..., starttime is the 22nd.
    let mut fields = tail.split_ascii_whitespace();
    let ppid = fields.nth(1)?.parse().ok()?;
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    let start = Time(ticks.checked_mul(1_000_000_000 / ticks_per_second)?);
    Some(Stat { comm: comm.to_owned(), ppid, start })
}

/// The file a process runs. `None` when it is gone or may not be seen.
pub fn exe(host: &HostRoot, pid: u32) -> Option<String> {
    link(host, pid, "exe")
}

/// The working directory of a process, as it sees it itself.
pub fn cwd(host: &HostRoot, pid: u32) -> Option<String> {
    link(host, pid, "cwd")
}

fn link(host: &HostRoot, pid: u32, name: &str) -> Option<String> {
    let target: PathBuf = fs::read_link(host.proc(format!("{pid}/{name}"))).ok()?;
    Some(target.to_string_lossy().into_owned())
}

/// Whether a process has another root than its parent: it is inside a container's root file system already.
fn has_changed_root(host: &HostRoot, pid: u32, parent: u32) -> bool {
    let root = |pid: u32| fs::metadata(host.proc(format!("{pid}/root"))).ok().map(|of| (of.dev(), of.ino()));
    matches!((root(pid), root(parent)), (Some(own), Some(parents)) if own != parents)
}

/// Where a process is in the hierarchies that identify a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupPaths {
    /// The v1 memory hierarchy, absent on pure v2.
    pub memory: Option<String>,
    pub unified: Option<String>,
}

impl CgroupPaths {
    /// The path that names the container: v1's on v1 and hybrid machines, where the unified one is `/`.
    pub fn container(&self) -> Option<&str> {
        self.memory.as_deref().or(self.unified.as_deref())
    }
}

pub fn cgroup(host: &HostRoot, pid: u32) -> Option<CgroupPaths> {
    host.read_proc(format!("{pid}/cgroup")).ok().map(|text| parse_cgroup(&text))
}

/// Lines are `hierarchy:controllers:path`; the path may hold colons and end in ` (deleted)`.
pub fn parse_cgroup(text: &str) -> CgroupPaths {
    let mut paths = CgroupPaths::default();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let path = path.strip_suffix(" (deleted)").unwrap_or(path).to_owned();
        if id == "0" && controllers.is_empty() {
            paths.unified = Some(path);
        } else if controllers.split(',').any(|name| name == "memory") {
            paths.memory = Some(path);
        }
    }
    paths
}

/// The words of a process's command line, for programs of the node itself (kubelet, k3s).
pub(super) fn command_line(host: &HostRoot, pid: u32) -> Option<Vec<String>> {
    let text = host.read_proc(Path::new(&pid.to_string()).join("cmdline")).ok()?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.add(1, 0, "systemd", "/usr/lib/systemd/systemd", "/");
            tree
        }

        fn add(&self, pid: u32, ppid: u32, comm: &str, exe: &str, root: &str) {
            let dir = self.0.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&dir).unwrap();
            let zeros = "0 ".repeat(17);
            fs::write(dir.join("stat"), format!("{pid} ({comm}) S {ppid} {zeros}{pid}00 0 0\n")).unwrap();
            symlink(exe, dir.join("exe")).unwrap();
            let root = self.0.path().join(root.trim_start_matches('/'));
            fs::create_dir_all(&root).unwrap();
            symlink(root, dir.join("root")).unwrap();
        }

        fn snapshot(&self) -> Vec<(u32, u32)> {
            let found = snapshot(&HostRoot::at(self.0.path())).unwrap();
            found.into_iter().map(|process| (process.tgid, process.role)).collect()
        }
    }

    #[test]
    fn engines_shims_and_runtimes_are_found() {
        let tree = Tree::new();
        tree.add(20, 1, "containerd", "/usr/bin/containerd", "/");
        tree.add(30, 1, "containerd-shim", "/usr/bin/containerd-shim-runc-v2", "/");
        tree.add(31, 1, "containerd-shim", "/usr/bin/containerd-shim-wasmtime-v1", "/");
        tree.add(40, 30, "crun", "/usr/bin/crun", "/");
        tree.add(50, 1, "bash", "/usr/bin/bash", "/");
        fs::create_dir(tree.0.path().join("proc/60")).unwrap();
        assert_eq!(
            tree.snapshot(),
            [(20, role::ENGINE), (30, role::SHIM), (31, role::SELF_RUNTIME), (40, role::RUNTIME)]
        );
    }

    #[test]
    fn a_created_container_is_told_from_the_runtime_that_makes_it() {
        let tree = Tree::new();
        tree.add(30, 1, "containerd-shim", "/usr/bin/containerd-shim-runc-v2", "/");
        tree.add(41, 30, "runc:[2:INIT]", "/", "/rootfs");
        tree.add(42, 30, "wasmedge", "/usr/bin/crun", "/rootfs");
        let roles = tree.snapshot();
        assert_eq!(roles[1..], [(41, role::RUNTIME | role::ROOTFS), (42, role::PAYLOAD)]);
    }

    #[test]
    fn whoever_keeps_a_cluster_is_known_by_what_it_has_open() {
        const DATASTORE: &str = "/var/lib/rancher/k3s/server/db/state.db";
        let tree = Tree::new();
        let links = ["socket:[7]", "/var/lib/rancher/k3s/server/db/state.db-wal", DATASTORE];
        let opens = |pid: u32, comm, links: &[&str]| {
            tree.add(pid, 1, comm, &format!("/usr/bin/{comm}"), "/");
            let folder = tree.0.path().join(format!("proc/{pid}/fd"));
            fs::create_dir(&folder).unwrap();
            for (fd, link) in links.iter().enumerate() {
                symlink(link, folder.join(fd.to_string())).unwrap();
            }
        };
        opens(20, "k3s-server", &links);
        opens(21, "k3s-agent", &links);
        opens(22, "kine", &links[..2]);
        let found = snapshot(&HostRoot::at(tree.0.path())).unwrap();
        let of: Vec<_> = found.iter().map(|process| (process.tgid, process.datastore.as_deref())).collect();
        assert_eq!(of, [(20, Some(DATASTORE)), (21, None), (22, None)]);
    }

    #[test]
    fn stat_survives_any_name() {
        let zeros = "0 ".repeat(17);
        let stat = parse_stat(&format!("7 (a) R (b)) S 3 {zeros}250 9 9"), 100).unwrap();
        let start = Time(2_500_000_000);
        assert_eq!(stat, Stat { comm: "a) R (b)".to_owned(), ppid: 3, start });
        for broken in ["", "7 (a", "7 (a) S", "7 (a) S 3 4", "7 a S 3"] {
            assert_eq!(parse_stat(broken, 100), None, "{broken}");
        }
    }

    #[test]
    fn the_observer_itself_is_read_right() {
        let host = HostRoot::at("/");
        let own = stat(&host, std::process::id()).expect("this process");
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = Time(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64);
        assert!(own.start <= now);
        assert_eq!(own.ppid, std::os::unix::process::parent_id());
        assert_eq!(exe(&host, std::process::id()).as_deref(), std::env::current_exe().unwrap().to_str());
        assert_eq!(cwd(&host, std::process::id()).as_deref(), std::env::current_dir().unwrap().to_str());
    }

    #[test]
    fn cgroups_of_all_three_layouts() {
        let hybrid = parse_cgroup("9:name=systemd:/\n4:cpu,memory:/kubepods/pod1/abc\n0::/\n");
        assert_eq!(hybrid.container(), Some("/kubepods/pod1/abc"));
        assert_eq!(hybrid.unified.as_deref(), Some("/"));
        let v1 = parse_cgroup("4:memory:/libpod_parent/libpod-1 (deleted)\n");
        assert_eq!(v1.container(), Some("/libpod_parent/libpod-1"));
        assert_eq!(v1.unified, None);
        let v2 = parse_cgroup("0::/system.slice/cri:odd.scope\n");
        assert_eq!(v2.container(), Some("/system.slice/cri:odd.scope"));
        assert_eq!(parse_cgroup("nonsense\n1:memory\n"), CgroupPaths::default());
    }
}
