//! The container that the cases start: one bundle, with a name, a cgroup and an exit code of its own for every
//! case, so that nothing seen of one can be taken for another's.

use anyhow::{Context as _, Result};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// What the container writes to its stdout.
pub const GREETING: &str = "hello from the container";

pub struct Bundle {
    pub path: String,
    pub cgroup: String,
}

/// Writes a bundle whose process prints [`GREETING`] and exits with `exit_code`.
pub fn bundle(name: &str, exit_code: i32) -> Result<Bundle> {
    bundle_that(name, &format!("echo {GREETING}; exit {exit_code}"))
}

/// Writes a bundle whose process runs a shell script.
pub fn bundle_that(name: &str, script: &str) -> Result<Bundle> {
    let bundle = Bundle { path: format!("/tmp/{name}"), cgroup: format!("/vm/{name}") };
    let bin = format!("{}/rootfs/bin", bundle.path);
    for dir in ["proc", "dev", "sys"] {
        fs::create_dir_all(format!("{}/rootfs/{dir}", bundle.path))?;
    }
    fs::create_dir_all(&bin)?;
    fs::copy("/bin/busybox", format!("{bin}/busybox")).context("cannot put busybox into the bundle")?;
    symlink("busybox", format!("{bin}/sh"))?;
    let config = serde_json::to_vec_pretty(&config(&bundle.cgroup, script))?;
    fs::write(format!("{}/config.json", bundle.path), config)?;
    Ok(bundle)
}

/// Bytes that the container may use.
pub const MEMORY_LIMIT: u64 = 64 << 20;

fn config(cgroup: &str, script: &str) -> serde_json::Value {
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] },
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "vm",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] },
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces,
            "resources": { "memory": { "limit": MEMORY_LIMIT }, "pids": { "limit": 32 } },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["reboot"], "action": "SCMP_ACT_ERRNO" }],
            },
        },
    })
}
