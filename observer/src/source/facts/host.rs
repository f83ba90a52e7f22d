//! The node itself: kernel, rights, control group layout, names, and the distance between its clocks.

use std::{collections::BTreeSet, env, fs, path::Path};

use rustix::time::{ClockId, Timespec, clock_gettime};

use super::{HostRoot, procfs};
use crate::{
    privileges::{self, CapabilitySet},
    time::ClockOffset,
};

/// Which hierarchies the node's init has mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupMode {
    /// None is mounted, or init's mounts may not be read.
    #[default]
    Unknown,
    V1,
    /// Controllers in v1, an empty v2 hierarchy beside them.
    Hybrid,
    V2,
}

impl CgroupMode {
    pub const fn name(self) -> &'static str {
        match self {
            CgroupMode::Unknown => "unknown",
            CgroupMode::V1 => "v1",
            CgroupMode::Hybrid => "hybrid",
            CgroupMode::V2 => "v2",
        }
    }
}

/// A right that some part of the observer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    DacReadSearch,
    NetAdmin,
    SysChroot,
    SysPtrace,
    SysAdmin,
    SysResource,
    Perfmon,
    Bpf,
}

impl Capability {
    pub const ALL: [Capability; 8] = [
        Capability::Bpf,
        Capability::Perfmon,
        Capability::NetAdmin,
        Capability::SysPtrace,
        Capability::DacReadSearch,
        Capability::SysChroot,
        Capability::SysAdmin,
        Capability::SysResource,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Capability::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Capability::NetAdmin => "CAP_NET_ADMIN",
            Capability::SysChroot => "CAP_SYS_CHROOT",
            Capability::SysPtrace => "CAP_SYS_PTRACE",
            Capability::SysAdmin => "CAP_SYS_ADMIN",
            Capability::SysResource => "CAP_SYS_RESOURCE",
            Capability::Perfmon => "CAP_PERFMON",
            Capability::Bpf => "CAP_BPF",
        }
    }

    /// Its bit in a capability set.
    const fn bit(self) -> u32 {
        match self {
            Capability::DacReadSearch => 2,
            Capability::NetAdmin => 12,
            Capability::SysChroot => 18,
            Capability::SysPtrace => 19,
            Capability::SysAdmin => 21,
            Capability::SysResource => 24,
            Capability::Perfmon => 38,
            Capability::Bpf => 39,
        }
    }
}

/// What is known of the node. `None` is "not known".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    pub kernel_release: String,
    pub arch: &'static str,
    pub page_size: usize,
    pub hostname: String,
    /// The content of machine-id, which is what `host.id` is by convention.
    pub host_id: Option<String>,
    /// Kubernetes' name for the node.
    pub node_name: Option<String>,
    pub cgroup_mode: CgroupMode,
    /// The kernel describes its own types.
    pub btf: bool,
    /// Tracepoints can be found where they are attached to: in the observer's own root, whatever the node's has.
    pub tracefs: bool,
    /// Those of [`Capability::ALL`] that this process has.
    pub capabilities: BTreeSet<Capability>,
    /// Libraries and programs can be attached to when they are found.
    pub uprobes: bool,
    /// The node's files are below a root of their own, as in a container.
    pub elsewhere: bool,
    /// Pids in `/proc` are those of the initial pid namespace, as in the kernel's records.
    pub initial_pids: bool,
}

impl HostFacts {
    pub fn read(host: &HostRoot) -> Self {
        let hostname = hostname(host);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            kernel_release: line(host.read_proc("sys/kernel/osrelease")).unwrap_or_default(),
            arch: env::consts::ARCH,
            page_size: rustix::param::page_size(),
            host_id: line(host.read("/etc/machine-id")),
            node_name: env::var("NODE_NAME").ok().filter(|name| !name.is_empty()).or_else(|| {
                let node = node_process(host)?;
                Some(node_name(&node, host.read(K3S_CONFIG).ok().as_deref(), &hostname))
            }),
            hostname,
            cgroup_mode: host.read_proc("1/mountinfo").map(|mounts| cgroup_mode(&mounts)).unwrap_or_default(),
            btf: host.path("/sys/kernel/btf/vmlinux").exists(),
            tracefs: TRACEFS.iter().any(|path| Path::new(path).join("events/sched").exists()),
            capabilities: capabilities(&status),
            uprobes: privileges::may_attach_to_libraries(CapabilitySet::all()),
            elsewhere: !host.is_slash(),
            initial_pids: host.shows_initial_pids(),
        }
    }

    /// Major and minor version of the kernel.
    pub fn kernel_version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.kernel_release.split(|of: char| !of.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const K3S_CONFIG: &str = "/etc/rancher/k3s/config.yaml";

fn line(text: std::io::Result<String>) -> Option<String> {
    let text = text.ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The kernel gives the reader's own name, which in a container is not the node's.
fn hostname(host: &HostRoot) -> String {
    let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let nodes = || line(host.read("/etc/hostname"));
    if host.is_slash() { own() } else { nodes().unwrap_or_else(own) }
}

fn cgroup_mode(mountinfo: &str) -> CgroupMode {
    // The file system's type is the first word after the separator.
    let types = || mountinfo.lines().filter_map(|mount| mount.split_once(" - ")?.1.split(' ').next());
    match (types().any(|kind| kind == "cgroup"), types().any(|kind| kind == "cgroup2")) {
        (true, true) => CgroupMode::Hybrid,
        (true, false) => CgroupMode::V1,
        (false, true) => CgroupMode::V2,
        (false, false) => CgroupMode::Unknown,
    }
}

fn capabilities(status: &str) -> BTreeSet<Capability> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    Capability::ALL.into_iter().filter(|capability| set & (1 << capability.bit()) != 0).collect()
}

/// The arguments of the kubelet, or of a k3s that holds one.
fn node_process(host: &HostRoot) -> Option<Vec<String>> {
    const NAMES: [&str; 5] = ["kubelet", "k3s", "k3s-server", "k3s-agent", "rke2"];
    let pids = fs::read_dir(host.proc("")).ok()?;
    let mut pids: Vec<u32> =
        pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let node = |pid: &u32| procfs::stat(host, *pid).is_some_and(|stat| NAMES.contains(&stat.comm.as_str()));
    procfs::command_line(host, pids.into_iter().find(node)?)
}

/// The kubelet registers under its option, else k3s's configured name, else the lower-case host name.
fn node_name(arguments: &[String], k3s: Option<&str>, hostname: &str) -> String {
    let option = |name: &str| {
        let position =
            arguments.iter().position(|word| word == name || word.starts_with(&format!("{name}=")))?;
        match arguments[position].split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => arguments.get(position + 1).cloned(),
        }
    };
    let configured = || {
        let value = k3s?.lines().find_map(|line| line.strip_prefix("node-name:"))?;
        Some(value.trim().trim_matches(['"', '\'']).to_owned())
    };
    option("--hostname-override")
        .or_else(|| option("--node-name"))
        .or_else(configured)
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| hostname.to_lowercase())
}

/// Measures how far the wall clock is from CLOCK_BOOTTIME: the tightest of several brackets.
pub fn clock_offset() -> ClockOffset {
    const TRIES: usize = 16;
    let bracket = || {
        let before = nanoseconds(clock_gettime(ClockId::Boottime));
        let wall = nanoseconds(clock_gettime(ClockId::Realtime));
        let after = nanoseconds(clock_gettime(ClockId::Boottime));
        offset(before, wall, after)
    };
    let first = bracket();
    (1..TRIES)
        .map(|_| bracket())
        .fold(first, |best, next| if next.error_ns < best.error_ns { next } else { best })
}

fn offset(before: i64, wall: i64, after: i64) -> ClockOffset {
    let half = (after - before) / 2;
    ClockOffset { wall_minus_boot_ns: wall - (before + half), error_ns: half.unsigned_abs() + 1 }
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_node_in_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["proc/1", "proc/sys/kernel", "proc/900", "etc", "sys/kernel/btf"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let write = |path: &str, text: &str| fs::write(dir.path().join(path), text).unwrap();
        write("proc/sys/kernel/osrelease", "6.1.0-38-cloud-amd64\n");
        write("proc/1/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n");
        write("proc/900/stat", &format!("900 (kubelet) S 1 {}55 0\n", "0 ".repeat(17)));
        write("proc/900/cmdline", "/usr/bin/kubelet\0--hostname-override=worker-1\0");
        write("etc/hostname", "Node-A\n");
        write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        write("sys/kernel/btf/vmlinux", "");
        let facts = HostFacts::read(&HostRoot::at(dir.path()));
        assert_eq!(facts.kernel_version(), Some((6, 1)));
        assert_eq!(facts.hostname, "Node-A");
        assert_eq!(facts.host_id.as_deref(), Some("0123456789abcdef0123456789abcdef"));
        assert_eq!(facts.node_name.as_deref(), Some("worker-1"));
        assert_eq!(facts.cgroup_mode, CgroupMode::V2);
        assert!(facts.btf && facts.elsewhere && !facts.initial_pids);
    }

    #[test]
    fn cgroup_modes() {
        let v1 = "40 30 0:35 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let v2 = "41 30 0:36 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 none rw\n";
        assert_eq!(cgroup_mode(v1), CgroupMode::V1);
        assert_eq!(cgroup_mode(&format!("{v1}{v2}")), CgroupMode::Hybrid);
        assert_eq!(cgroup_mode("1 0 0:1 / /cgroup rw - ext4 /dev/sda rw\n"), CgroupMode::Unknown);
    }

    #[test]
    fn rights_are_read_from_the_effective_set() {
        let without_resource =
            capabilities("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\n");
        assert_eq!(without_resource.len(), 7);
        assert!(!without_resource.contains(&Capability::SysResource));
        assert_eq!(capabilities("CapEff:\t0000000000000000\n"), BTreeSet::new());
        assert_eq!(
            capabilities("CapEff:\t000000c000000000\n"),
            BTreeSet::from([Capability::Bpf, Capability::Perfmon])
        );
    }

    #[test]
    fn node_names() {
        let name = |line, k3s| node_name(&words(line), k3s, "Host");
        assert_eq!(name("kubelet --hostname-override n1", None), "n1");
        assert_eq!(name("k3s server --node-name=n2", Some("node-name: x")), "n2");
        assert_eq!(name("k3s server", Some("token: y\nnode-name: \"n3\"\n")), "n3");
        assert_eq!(name("k3s server", None), "host");
    }

    #[test]
    fn a_bracket_gives_offset_and_error() {
        let measured = offset(1_000, 5_000_000, 1_100);
        assert_eq!(measured, ClockOffset { wall_minus_boot_ns: 4_998_950, error_ns: 51 });
        let now = clock_offset();
        let wall = nanoseconds(clock_gettime(ClockId::Realtime));
        let boot = nanoseconds(clock_gettime(ClockId::Boottime));
        // Two measurements of one constant: what lies between them is only the time between the two reads.
        assert!((now.wall_minus_boot_ns - (wall - boot)).abs() < 1_000_000_000);
    }

    #[test]
    fn kernel_versions() {
        let version = |release: &str| {
            HostFacts { kernel_release: release.to_owned(), ..HostFacts::default() }.kernel_version()
        };
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.8.0"), Some((5, 8)));
        assert_eq!(version(""), None);
    }
}
