//! Whether the node is fit for what runs on it: what Kubernetes and K3s ask of a machine, and the room that is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    time::UNIX_EPOCH,
};

use super::{Runtime, checks::Check};
use crate::{
    input::{Certificate, NodeFilesystem, Tracked},
    probes::{invocation::Program, packet::Transport},
    source::facts::{HostRoot, certificates, conntrack, procfs, sockets, storage},
};

/// What Kubernetes and K3s want at least. A machine sold as 4 GB has a little less.
const PROCESSORS: usize = 2;
const MEMORY_BYTES: u64 = 3_600_000_000;
const DISK_BYTES: u64 = 20_000_000_000;
/// Before it Wasm modules were not always recognised.
const CRUN: [u64; 3] = [1, 8, 5];
/// When a kubelet evicts, unless it was told otherwise: bytes, inodes.
const EVICTS_AT: (u64, u64) = (10, 5);
/// Certificates are renewed well before.
const SOON_DAYS: i64 = 30;
const BACKUP_HOURS: u64 = 24;

const API: u16 = 6443;
const KUBELET: u16 = 10250;
const VXLAN: u16 = 8472;

/// Processes, and descriptors of each, that are looked at for watches of files.
const MAX_PROCESSES: usize = 32_768;
const MAX_DESCRIPTORS: usize = 4_096;

/// What was found of it. `None`: not known, or there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fitness {
    pub processors: usize,
    pub memory_bytes: Option<u64>,
    pub filesystems: Vec<NodeFilesystem>,
    /// Of the components that make it a node of Kubernetes, the names of those that run.
    pub agents: BTreeSet<String>,
    /// Where somebody listens in the node's own network.
    pub listening: BTreeSet<(Transport, u16)>,
    /// flannel has joined it, and carries packets by VXLAN unless told otherwise.
    pub has_flannel: bool,
    pub certificates: Vec<Certificate>,
    pub tracked: Option<Tracked>,
    /// Of the user who has the most: how many, and how many are allowed.
    pub watches: Option<(u64, u64)>,
    /// Hours since the datastore was last backed up; `None` twice: it never was.
    pub backup_hours: Option<Option<u64>>,
}

impl Fitness {
    pub fn read(host: &HostRoot, now_seconds: u64) -> Self {
        Self {
            processors: host.read_proc("cpuinfo").map(|text| processors(&text)).unwrap_or_default(),
            memory_bytes: host.read_proc("meminfo").ok().and_then(|text| memory(&text)),
            filesystems: storage::of_node(host),
            agents: agents(host),
            listening: listening(host),
            has_flannel: host.path("/run/flannel/subnet.env").exists(),
            certificates: certificates::read(host),
            tracked: conntrack::counts(host, 1),
            watches: watches(host),
            backup_hours: backup_hours(host, now_seconds),
        }
    }
}

fn processors(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count()
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1_024)
}

fn agents(host: &HostRoot) -> BTreeSet<String> {
    const NAMES: &[&str] = &["kubelet", "kube-apiserver", "k3s", "k3s-server", "k3s-agent", "rke2", "k0s"];
    let names = pids(host).into_iter().filter_map(|pid| Some(procfs::stat(host, pid)?.comm));
    names.filter(|comm| NAMES.contains(&comm.as_str())).collect()
}

fn pids(host: &HostRoot) -> Vec<u32> {
    let entries = fs::read_dir(host.proc("")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(MAX_PROCESSES).collect()
}

fn listening(host: &HostRoot) -> BTreeSet<(Transport, u16)> {
    const TABLES: [(&str, Transport); 4] = [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ];
    let of = |(table, transport): (&str, Transport)| {
        let text = host.read_proc(format!("1/net/{table}")).unwrap_or_default();
        text.lines().skip(1).filter_map(|line| port(line, transport)).map(|port| (transport, port)).collect()
    };
    TABLES.into_iter().flat_map(|table| -> Vec<_> { of(table) }).collect()
}

/// Of a line of `net/tcp` or `net/udp`, if somebody listens there.
fn port(line: &str, transport: Transport) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    let is_bound = match transport {
        Transport::Tcp => state == "0A",
        Transport::Udp => remote.ends_with(":0000"),
    };
    sockets::place(local).filter(|_| is_bound).map(|place| place.port())
}

/// Sets of watched files that processes have, by user: the limit is for each.
fn watches(host: &HostRoot) -> Option<(u64, u64)> {
    let allowed = host.read_proc("sys/fs/inotify/max_user_instances").ok()?.trim().parse().ok()?;
    let mut by_user: BTreeMap<u32, u64> = BTreeMap::new();
    for pid in pids(host) {
        let folder = host.proc(format!("{pid}/fd"));
        let (Ok(owner), Ok(entries)) = (fs::metadata(&folder), fs::read_dir(&folder)) else { continue };
        let links = entries.flatten().take(MAX_DESCRIPTORS).filter_map(|one| fs::read_link(one.path()).ok());
        let count = links.filter(|link| link.as_os_str() == "anon_inode:inotify").count();
        *by_user.entry(owner.uid()).or_default() += count as u64;
    }
    Some((by_user.into_values().max()?, allowed))
}

/// Of the datastore inside K3s and RKE2, where there is one.
fn backup_hours(host: &HostRoot, now_seconds: u64) -> Option<Option<u64>> {
    let server = ["/var/lib/rancher/k3s/server/db", "/var/lib/rancher/rke2/server/db"];
    let db = server.into_iter().find(|db| host.path(format!("{db}/etcd")).exists())?;
    let entries = fs::read_dir(host.path(format!("{db}/snapshots"))).into_iter().flatten().flatten();
    let made = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    let latest = made.filter_map(|time| time.duration_since(UNIX_EPOCH).ok()).max();
    Some(latest.map(|latest| now_seconds.saturating_sub(latest.as_secs()) / 3_600))
}

/// What is to be said of it.
pub(super) fn checks(fit: &Fitness, runtimes: &[Runtime], now_seconds: i64) -> Vec<Check> {
    let mut checks = vec![processors_check(fit)];
    checks.extend(memory_check(fit));
    checks.extend(disk_checks(fit));
    checks.extend(crun_check(runtimes));
    checks.extend(ports_check(fit));
    checks.extend(certificates_check(fit, now_seconds));
    checks.extend(room_checks(fit));
    checks.extend(backup_check(fit));
    checks
}

fn check(
    name: &'static str,
    is_fit: bool,
    found: String,
    costs: &'static str,
    remedy: &'static str,
) -> Check {
    if is_fit { Check::ok(name, found) } else { Check::lacks(name, found, costs, remedy) }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(100)
}

fn processors_check(fit: &Fitness) -> Check {
    let costs = "a server of Kubernetes or K3s wants 2: components starve one another, and leases are lost";
    check(
        "processors",
        fit.processors >= PROCESSORS,
        fit.processors.to_string(),
        costs,
        "use a larger machine",
    )
}

fn memory_check(fit: &Fitness) -> Option<Check> {
    let bytes = fit.memory_bytes?;
    let costs = "a server of Kubernetes or K3s wants 4 GB: containers are ended for want of memory";
    Some(check("memory", bytes >= MEMORY_BYTES, gigabytes(bytes), costs, "use a larger machine"))
}

fn disk_checks(fit: &Fitness) -> Vec<Check> {
    let largest = fit.filesystems.iter().map(|one| one.filesystem.room.total_bytes).max();
    let size = largest.map(|bytes| {
        let costs = "images and logs fill it: 20 GB are advised";
        check("disk", bytes >= DISK_BYTES, gigabytes(bytes), costs, "use a larger disk")
    });
    let room = fit.filesystems.iter().map(|one| {
        let room = &one.filesystem.room;
        let bytes = percent(room.available_bytes, room.total_bytes);
        let inodes = (room.total_inodes > 0).then(|| percent(room.free_inodes, room.total_inodes));
        let is_fit = bytes >= EVICTS_AT.0 && inodes.is_none_or(|inodes| inodes >= EVICTS_AT.1);
        let of_inodes = inodes.map(|free| format!(", {free} % of its inodes")).unwrap_or_default();
        let found = format!("{}: {bytes} % free{of_inodes}", one.filesystem.mount);
        let costs = "a kubelet evicts pods and removes images below 10 % of a disk, or 5 % of its inodes";
        check(
            "disk room",
            is_fit,
            found,
            costs,
            "see what fills it: du -x, crictl images; crictl rmi --prune",
        )
    });
    size.into_iter().chain(room).collect()
}

/// Of those that are installed, the oldest.
fn crun_check(runtimes: &[Runtime]) -> Option<Check> {
    let versions = runtimes.iter().filter(|runtime| runtime.program == Program::Crun);
    let oldest = versions.filter_map(|runtime| Some(runtime.version.as_ref().ok()?.version.as_str()));
    let oldest = oldest.min_by_key(|version| numbers(version))?;
    let costs = "Wasm modules may not be recognised, and wasmer's output is held until they end";
    let remedy = "install crun 1.8.5 or later";
    Some(check("crun", numbers(oldest) >= CRUN, oldest.to_owned(), costs, remedy))
}

/// `1.8` is `1.8.0`; what is no number is 0.
fn numbers(version: &str) -> [u64; 3] {
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Nothing where no component of Kubernetes runs.
fn ports_check(fit: &Fitness) -> Option<Check> {
    if fit.agents.is_empty() {
        return None;
    }
    let is_server = ["kube-apiserver", "k3s-server", "rke2"].iter().any(|name| fit.agents.contains(*name));
    let wanted = [
        Some((Transport::Tcp, KUBELET)),
        is_server.then_some((Transport::Tcp, API)),
        fit.has_flannel.then_some((Transport::Udp, VXLAN)),
    ];
    let wanted: Vec<(Transport, u16)> = wanted.into_iter().flatten().collect();
    let name = |(transport, port): &(Transport, u16)| match transport {
        Transport::Tcp => format!("{port}/tcp"),
        Transport::Udp => format!("{port}/udp"),
    };
    let closed: Vec<String> =
        wanted.iter().filter(|place| !fit.listening.contains(place)).map(name).collect();
    let found = match &closed[..] {
        [] => format!("{} open", wanted.iter().map(name).collect::<Vec<_>>().join(", ")),
        closed => format!("nobody listens at {}", closed.join(", ")),
    };
    let costs = "10250 is the kubelet's (logs, exec), 6443 the API's, 8472/udp flannel's between nodes";
    Some(check(
        "ports",
        closed.is_empty(),
        found,
        costs,
        "see why it does not run: journalctl -u k3s -u kubelet",
    ))
}

fn certificates_check(fit: &Fitness, now_seconds: i64) -> Option<Check> {
    let first = fit.certificates.iter().min_by_key(|certificate| certificate.not_after)?;
    let days = (first.not_after - now_seconds).div_euclid(86_400);
    let found = match days {
        ..0 => format!("{} has expired {} days ago", first.path, -days),
        _ => format!("{} expires in {days} days, the first of {}", first.path, fit.certificates.len()),
    };
    let costs = "components refuse one another once it has expired";
    let remedy = "restart k3s, which renews what expires within 90 days; kubeadm certs renew all";
    Some(check("certificates", days >= SOON_DAYS, found, costs, remedy))
}

fn room_checks(fit: &Fitness) -> Vec<Check> {
    const ALMOST: u64 = 80;
    let tracked = fit.tracked.filter(|tracked| tracked.max > 0).map(|tracked| {
        let used = percent(tracked.entries, tracked.max);
        let found = format!("{} of {} ({used} %)", tracked.entries, tracked.max);
        let costs = "new connections are dropped when the table is full";
        check("conntrack", used < ALMOST, found, costs, "raise net.netfilter.nf_conntrack_max")
    });
    let watches = fit.watches.map(|(most, allowed)| {
        let found = format!("{most} of {allowed} of one user");
        let costs = "kubectl logs -f, kubelets and engines fail with `too many open files`";
        let is_fit = percent(most, allowed) < ALMOST;
        check("inotify", is_fit, found, costs, "raise fs.inotify.max_user_instances")
    });
    tracked.into_iter().chain(watches).collect()
}

fn backup_check(fit: &Fitness) -> Option<Check> {
    let latest = fit.backup_hours?;
    let found = latest.map_or("never".to_owned(), |hours| format!("{hours} h ago"));
    let costs = "what was changed since then is lost with the datastore";
    let is_fit = latest.is_some_and(|hours| hours < BACKUP_HOURS);
    Some(check("backup", is_fit, found, costs, "k3s etcd-snapshot save"))
}

#[cfg(test)]
mod tests;
