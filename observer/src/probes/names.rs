//! Which process names are of interest, and as what: the table the kernel's name map is filled from, and the
//! same question for a process that was there before. Pure; the names are `task->comm` or file names.

use observer_ebpf::control::{COMM_LEN, NAME_PREFIX_LENS, role};

use super::invocation::Program;

/// How a name is compared with `task->comm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    Exact,
    /// By its first bytes. The kernel tries only the lengths in [`NAME_PREFIX_LENS`], and an exact name of
    /// such a length is a prefix to it as well.
    Prefix,
}

/// One entry of the kernel's name map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedName {
    /// NUL-padded, as in the kernel.
    pub name: [u8; COMM_LEN],
    /// Bits of [`role`].
    pub role: u32,
    pub how: Match,
}

/// `containerd-shim` is what the kernel keeps of every `containerd-shim-*`: which shims are their own runtime
/// (runwasi) only the file name tells.
const NAMES: &[(&str, u32, Match)] = &[
    ("crun", role::RUNTIME, Match::Prefix),
    ("runc", role::RUNTIME, Match::Prefix),
    ("krun", role::RUNTIME, Match::Prefix),
    ("youki", role::RUNTIME, Match::Prefix),
    ("runsc", role::RUNTIME, Match::Prefix),
    ("kata-runtime", role::RUNTIME, Match::Exact),
    ("containerd-shim", role::SHIM, Match::Exact),
    ("conmon", role::SHIM, Match::Exact),
    ("conmonrs", role::SHIM, Match::Exact),
    ("containerd", role::ENGINE, Match::Exact),
    ("crio", role::ENGINE, Match::Prefix),
    ("dockerd", role::ENGINE, Match::Exact),
    ("k3s", role::ENGINE, Match::Exact),
    ("k3s-server", role::ENGINE, Match::Exact),
    ("k3s-agent", role::ENGINE, Match::Exact),
    ("podman", role::ENGINE, Match::Exact),
    (KUBE_APISERVER, role::CALLER, Match::Exact),
    (KUBELET, role::CALLER | role::SPEAKER, Match::Exact),
    ("etcd", role::SPEAKER, Match::Prefix),
    (KINE, role::SPEAKER, Match::Prefix),
    ("opa", role::SPEAKER, Match::Exact),
    ("cosign", role::SPEAKER, Match::Exact),
];

/// Roles of what has no part in making containers.
const NOT_OF_CONTAINERS: u32 = role::CALLER | role::SPEAKER;

const KUBE_APISERVER: &str = "kube-apiserver";
const KUBELET: &str = "kubelet";
const KINE: &str = "kine";

/// What the kernel's name map holds.
pub fn watched_names() -> Vec<WatchedName> {
    let entry = |&(name, role, how): &(&str, u32, Match)| {
        let mut padded = [0; COMM_LEN];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        WatchedName { name: padded, role, how }
    };
    NAMES.iter().map(entry).collect()
}

/// The role of a process by its `comm`, decided as the kernel program decides it; 0 for none.
pub fn role_of_comm(comm: &str) -> u32 {
    let exact = NAMES.iter().find(|(name, ..)| *name == comm);
    let prefix = || {
        let short = |name: &str| NAME_PREFIX_LENS.contains(&name.len());
        NAMES.iter().find(|(name, ..)| short(name) && comm.starts_with(name))
    };
    exact.or_else(prefix).map_or(0, |(_, role, _)| *role)
}

/// The role of a process by the file it runs; 0 for none.
pub fn role_of_exe(exe: &str) -> u32 {
    let name = exe.rsplit('/').next().unwrap_or_default();
    let of_the_node = NAMES.iter().find(|(known, role, _)| *known == name && role & NOT_OF_CONTAINERS != 0);
    if let Some((_, role, _)) = of_the_node {
        return *role;
    }
    let Some(program) = Program::from_path(exe) else { return 0 };
    match program {
        Program::WasmShim => role::SELF_RUNTIME,
        // One program for two names: the OCI command line, and the shim that replaced it.
        Program::Kata if exe.contains("containerd-shim") => role::SELF_RUNTIME,
        Program::Crun | Program::Runc | Program::Youki | Program::Runsc | Program::Kata => role::RUNTIME,
        Program::RuncShim | Program::OtherShim | Program::Conmon => role::SHIM,
        Program::Containerd | Program::Crio | Program::Dockerd | Program::K3s | Program::Podman => {
            role::ENGINE
        }
    }
}

/// Whether a process keeps a cluster's objects in a database of its own, by its name.
pub fn keeps_a_datastore(comm: &str) -> bool {
    comm == KINE || comm == "k3s" || comm == "k3s-server"
}

/// Whether a process calls admission webhooks, by its name.
pub fn calls_webhooks(comm: &str) -> bool {
    comm == KUBE_APISERVER || comm == "k3s" || comm == "k3s-server"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernels_map() {
        for entry in watched_names() {
            let len = entry.name.iter().position(|byte| *byte == 0).expect("NUL-terminated");
            let prefix = NAME_PREFIX_LENS.contains(&len);
            assert_eq!(entry.how == Match::Prefix, prefix, "{:?}", String::from_utf8_lossy(&entry.name));
        }
    }

    #[test]
    fn names_and_programs_agree() {
        for (name, role, _) in NAMES {
            assert_eq!(role_of_exe(&format!("/usr/bin/{name}")), *role, "{name}");
        }
    }

    #[test]
    fn later_stages_keep_the_role() {
        assert_eq!(role_of_comm("runc:[2:INIT]"), role::RUNTIME);
        assert_eq!(role_of_comm("youki:[2:INIT]"), role::RUNTIME);
        assert_eq!(role_of_comm("crun-wasm"), role::RUNTIME);
        assert_eq!(role_of_comm("containerd"), role::ENGINE);
        assert_eq!(role_of_comm("containerd-shim"), role::SHIM);
        assert_eq!(role_of_comm("bash"), 0);
        assert_eq!(role_of_comm("run"), 0);
    }

    #[test]
    fn a_shim_that_is_its_own_runtime_is_known_by_its_file() {
        assert_eq!(role_of_exe("/usr/local/bin/containerd-shim-wasmedge-v1"), role::SELF_RUNTIME);
        assert_eq!(role_of_exe("/opt/kata/bin/containerd-shim-kata-v2"), role::SELF_RUNTIME);
        assert_eq!(role_of_exe("/usr/bin/containerd-shim-runc-v2"), role::SHIM);
        assert_eq!(role_of_exe("/usr/bin/bash"), 0);
    }
}
