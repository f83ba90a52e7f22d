//! OCI bundles: a folder with config.json and a root made of busybox; sound ones, and ones with one thing wrong.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Stage;

/// What a container may do by default: what engines give.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Commands that are links to busybox in every root.
pub const APPLETS: &[&str] = &["sh", "sleep", "echo", "cat", "nc", "true", "dd", "ls"];

/// A bundle to be written. What is not asked for is as an engine would have it.
#[derive(Clone, Debug)]
pub struct Bundle {
    config: Value,
    files: Vec<(String, Vec<u8>)>,
    has_root: bool,
}

impl Bundle {
    /// A container that runs `args`, with all namespaces but the user's.
    pub fn new(args: &[&str]) -> Bundle {
        let config = json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs" },
            "hostname": "stage",
            "process": {
                "terminal": false,
                "user": { "uid": 0, "gid": 0 },
                "args": args,
                "env": ["PATH=/bin"],
                "cwd": "/",
                "capabilities": {
                    "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
                },
                "noNewPrivileges": true,
            },
            "mounts": mounts(),
            "annotations": {},
            "linux": {
                "namespaces": [
                    { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                    { "type": "mount" },
                ],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
                "resources": {},
            },
        });
        Bundle { config, files: Vec::new(), has_root: true }
    }

    /// A container whose first argument is a Wasm module; `handled` if a runtime that can is to run it itself.
    pub fn wasm(module: &[u8], handled: bool) -> Bundle {
        let bundle = Bundle::new(&["/app.wasm"]).file("app.wasm", module);
        if handled { bundle.annotation("run.oci.handler", "wasm") } else { bundle }
    }

    /// A file in the root, executable.
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Bundle {
        self.files.push((path.to_owned(), bytes.to_vec()));
        self
    }

    pub fn annotation(mut self, key: &str, value: &str) -> Bundle {
        self.config["annotations"][key] = json!(value);
        self
    }

    /// As whom it runs, without any capability.
    pub fn user(mut self, id: u32) -> Bundle {
        self.config["process"]["user"] = json!({ "uid": id, "gid": id });
        self.config["process"]["capabilities"] = json!({});
        self
    }

    pub fn memory_limit(mut self, bytes: i64) -> Bundle {
        self.config["linux"]["resources"]["memory"] = json!({ "limit": bytes });
        self
    }

    /// How much CPU time it may have in each period.
    pub fn cpu_limit(mut self, quota_us: i64, period_us: u64) -> Bundle {
        self.config["linux"]["resources"]["cpu"] = json!({ "quota": quota_us, "period": period_us });
        self
    }

    pub fn pids_limit(mut self, count: i64) -> Bundle {
        self.config["linux"]["resources"]["pids"] = json!({ "limit": count });
        self
    }

    /// How many files each of its processes may have open.
    pub fn open_files(mut self, count: u64) -> Bundle {
        self.config["process"]["rlimits"] =
            json!([{ "type": "RLIMIT_NOFILE", "soft": count, "hard": count }]);
        self
    }

    /// Another command.
    pub fn words(mut self, args: &[&str]) -> Bundle {
        self.config["process"]["args"] = json!(args);
        self
    }

    /// A limit on the CPUs that it may use, whether or not there are such.
    pub fn cpus(mut self, list: &str) -> Bundle {
        self.config["linux"]["resources"]["cpu"] = json!({ "cpus": list });
        self
    }

    /// A program of this machine that the runtime runs when the namespaces are there and the root is not yet.
    pub fn hook(mut self, words: &[&str]) -> Bundle {
        let hook = json!({ "path": words.first(), "args": words });
        self.config["hooks"] = json!({ "createRuntime": [hook] });
        self
    }

    /// A filter like that of an engine: a list of calls that fail.
    pub fn seccomp(mut self) -> Bundle {
        self.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [{
                "names": ["kexec_load", "init_module", "open_by_handle_at", "ptrace"],
                "action": "SCMP_ACT_ERRNO",
            }],
        });
        self
    }

    /// One more mount, whether or not it can be done.
    pub fn mount(mut self, destination: &str, kind: &str, source: &str, options: &[&str]) -> Bundle {
        let mount = json!({ "destination": destination, "type": kind, "source": source, "options": options });
        if let Some(mounts) = self.config["mounts"].as_array_mut() {
            mounts.push(mount);
        }
        self
    }

    /// The network namespace of whoever runs the runtime.
    pub fn host_network(mut self) -> Bundle {
        if let Some(namespaces) = self.config["linux"]["namespaces"].as_array_mut() {
            namespaces.retain(|namespace| namespace["type"] != "network");
        }
        self
    }

    /// A namespace that is there already, instead of one of its own.
    pub fn joins(mut self, kind: &str, path: &str) -> Bundle {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().into_iter().flatten();
        for namespace in namespaces.filter(|namespace| namespace["type"] == kind) {
            namespace["path"] = json!(path);
        }
        self
    }

    /// The root is named, but there is none.
    pub fn without_root(mut self) -> Bundle {
        self.has_root = false;
        self
    }

    /// Writes it to the stage. The container's control group is named like the bundle.
    pub fn write(mut self, stage: &Stage, name: &str) -> Result<Written> {
        self.config["linux"]["cgroupsPath"] = json!(format!("/{}/{name}", stage.id()));
        let folder = stage.path(format!("bundle-{name}"));
        let root = folder.join("rootfs");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        if self.has_root {
            write_root(stage, &root)?;
            for (path, bytes) in &self.files {
                write_program(&root.join(path), bytes)?;
            }
        }
        let config = folder.join("config.json");
        fs::write(&config, serde_json::to_vec_pretty(&self.config)?)
            .with_context(|| config.display().to_string())?;
        Ok(Written { folder, id: name.to_owned() })
    }
}

/// A bundle on the stage, and the id its container will have.
#[derive(Clone, Debug)]
pub struct Written {
    pub folder: std::path::PathBuf,
    pub id: String,
}

/// A root with busybox, its links and the places where things are mounted.
pub fn write_root(stage: &Stage, root: &Path) -> Result<()> {
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let busybox = root.join("bin/busybox");
    // Hundreds of bundles share one file: the stage's own copy, which a container may spoil.
    fs::hard_link(stage.busybox(), &busybox).with_context(|| busybox.display().to_string())?;
    for applet in APPLETS {
        let link = root.join("bin").join(applet);
        std::os::unix::fs::symlink("busybox", &link).with_context(|| link.display().to_string())?;
    }
    Ok(())
}

fn write_program(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, bytes)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    write().with_context(|| path.display().to_string())
}

fn mounts() -> Value {
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
          "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs",
          "options": ["nosuid", "noexec", "nodev", "ro"] },
    ])
}
