//! What a node must have, what it has, and what each lack costs. Pure: it judges what was found.

use super::Doctor;
use crate::source::facts::host::{Capability, CgroupMode, HostFacts};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    /// Expected to work, and shown by nobody.
    Untested,
    Lacks,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Untested => "untested",
            State::Lacks => "lacks",
        }
    }
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    pub found: String,
    /// What cannot be said without it.
    pub costs: Option<&'static str>,
    /// What to do about it.
    pub remedy: Option<&'static str>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), costs: None, remedy: None }
    }

    pub(super) fn lacks(
        name: &'static str,
        found: impl Into<String>,
        costs: &'static str,
        remedy: &'static str,
    ) -> Self {
        Self { name, state: State::Lacks, found: found.into(), costs: Some(costs), remedy: Some(remedy) }
    }
}

pub(super) fn checks(doctor: &Doctor) -> Vec<Check> {
    let host = &doctor.host;
    let mut checks = vec![kernel(host), btf(host), tracefs(host)];
    checks.extend(rights(host));
    checks.extend([cgroups(host), pids(host), runtimes(doctor), cri(doctor)]);
    checks
}

fn kernel(host: &HostFacts) -> Check {
    const NAME: &str = "kernel";
    let found = format!("{} {}, pages of {} bytes", host.kernel_release, host.arch, host.page_size);
    if !matches!(host.arch, "x86_64" | "aarch64") {
        return Check::lacks(NAME, found, "nothing can be observed", "use an x86-64 or arm64 machine");
    }
    match host.kernel_version() {
        Some(version) if version >= (6, 1) => Check::ok(NAME, found),
        Some(version) if version >= (5, 8) => Check {
            state: State::Untested,
            costs: Some("kernels 5.8 to 6.0 are expected to load the probes, but are not tested"),
            remedy: Some("use 6.1 or later"),
            ..Check::ok(NAME, found)
        },
        _ => Check::lacks(NAME, found, "no probe can be loaded before kernel 5.8", "use 6.1 or later"),
    }
}

fn btf(host: &HostFacts) -> Check {
    const NAME: &str = "BTF";
    if host.btf {
        return Check::ok(NAME, "/sys/kernel/btf/vmlinux");
    }
    Check::lacks(
        NAME,
        "no /sys/kernel/btf/vmlinux",
        "processes and control groups cannot be read from the kernel's structures",
        "use a kernel built with CONFIG_DEBUG_INFO_BTF, as the distributions' are, or name a file with its types: --btf",
    )
}

fn tracefs(host: &HostFacts) -> Check {
    const NAME: &str = "tracefs";
    if host.tracefs {
        return Check::ok(NAME, "mounted");
    }
    Check::lacks(
        NAME,
        "not mounted, or may not be read",
        "probes of system calls cannot attach until it is",
        "mount -t tracefs nodev /sys/kernel/tracing; in a container, mount the node's there",
    )
}

fn rights(host: &HostFacts) -> Vec<Check> {
    Capability::ALL.into_iter().map(|capability| right(host, capability)).collect()
}

fn right(host: &HostFacts, capability: Capability) -> Check {
    let name = capability.name();
    let has = |capability| host.capabilities.contains(&capability);
    if has(capability) {
        return Check::ok(name, "held");
    }
    let not_needed = |why: &str| Check::ok(name, format!("not held; {why}"));
    let lacks = |costs| {
        Check::lacks(name, "not held", costs, "run it as root, or let its container or service have it")
    };
    match capability {
        Capability::Bpf | Capability::Perfmon if has(Capability::SysAdmin) => {
            not_needed("CAP_SYS_ADMIN stands for it")
        }
        Capability::Bpf => lacks("no probe can be loaded"),
        Capability::Perfmon => lacks("no probe can attach"),
        Capability::NetAdmin => {
            lacks("look-ups, calls of webhooks and TLS handshakes cannot be seen: no packets")
        }
        Capability::SysPtrace => lacks(
            "executables, roots and streams of processes with other rights cannot be read: names, images and bundles \
             of containers, what they are blocked by, and TLS libraries",
        ),
        Capability::DacReadSearch => {
            lacks("bundles and logs below folders that are closed to others cannot be read: names and images")
        }
        Capability::SysChroot if !host.elsewhere => not_needed("only in a container"),
        Capability::SysChroot => lacks("runtimes cannot be asked for their version, nor for Wasm"),
        Capability::SysAdmin if !host.uprobes => lacks(
            "this kernel wants it for uprobes (Linux 6.16 and what is maintained of those before): what passes in TLS \
             libraries, and codes of Wasm engines, cannot be seen",
        ),
        Capability::SysAdmin if host.tracefs => not_needed("tracefs is mounted, and uprobes do without"),
        Capability::SysAdmin => lacks("tracefs cannot be mounted"),
        Capability::SysResource if host.kernel_version() >= Some((5, 11)) => {
            not_needed("only before kernel 5.11")
        }
        Capability::SysResource => Check::lacks(
            name,
            "not held",
            "the limit on locked memory may be too low for the probes' maps",
            "raise RLIMIT_MEMLOCK before it is started",
        ),
    }
}

fn cgroups(host: &HostFacts) -> Check {
    const NAME: &str = "cgroups";
    match host.cgroup_mode {
        CgroupMode::V1 | CgroupMode::Hybrid | CgroupMode::V2 => Check::ok(NAME, host.cgroup_mode.name()),
        CgroupMode::Unknown => Check::lacks(
            NAME,
            "none mounted, or init's mounts may not be read",
            "a container is known by its runtime's arguments only",
            "mount them, or give the observer the node's pid namespace",
        ),
    }
}

fn pids(host: &HostFacts) -> Check {
    const NAME: &str = "pid namespace";
    if host.initial_pids {
        return Check::ok(NAME, "the node's");
    }
    Check::lacks(
        NAME,
        "not the node's",
        "pids that the kernel reports mean other processes here: no bundle, executable or cgroup can be read",
        "run it with the host's pid namespace (hostPID: true)",
    )
}

fn runtimes(doctor: &Doctor) -> Check {
    const NAME: &str = "runtimes";
    match doctor.runtimes.len() {
        0 => Check::lacks(
            NAME,
            "none in the usual places",
            "nothing, if the runtime is installed elsewhere: starts are seen wherever it is",
            "install one, or look where the engine's configuration points",
        ),
        count => Check::ok(NAME, format!("{count} found")),
    }
}

fn cri(doctor: &Doctor) -> Check {
    const NAME: &str = "CRI";
    const COSTS: &str = "labels, attempt and handler of pods; names come from the bundles all the same";
    let answering = doctor.sockets.iter().filter(|socket| socket.answer.is_ok()).count();
    match (answering, doctor.sockets.len()) {
        (0, 0) => Check::lacks(NAME, "no engine's socket", COSTS, "none needed without Kubernetes"),
        (0, _) => Check::lacks(NAME, "no engine answers", COSTS, "see the engines below for the reason"),
        (count, _) => Check::ok(NAME, format!("{count} answering")),
    }
}
