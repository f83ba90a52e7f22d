//! Which runtimes are installed on a node, where, and what they can do.

use std::{collections::BTreeSet, fs, path::Path};

use rustix::fs::fstat;

use crate::{
    input::{LookupError, RuntimeVersion},
    probes::invocation::Program,
    source::facts::{
        HostRoot,
        files::{self, Last},
        version::Versions,
    },
};

/// A runtime's binary. Paths are the node's.
#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    pub path: String,
    pub program: Program,
    pub version: Result<RuntimeVersion, LookupError>,
}

impl Runtime {
    /// Its Wasm engines as it names them; a runwasi shim is one itself.
    pub fn wasm(&self) -> Option<&str> {
        if self.program == Program::WasmShim {
            return self.path.split("containerd-shim-").nth(1)?.split('-').next();
        }
        let features = &self.version.as_ref().ok()?.features;
        features
            .iter()
            .find_map(|feature| feature.strip_prefix("+WASM"))
            .map(|rest| rest.trim_start_matches(':'))
    }
}

const FOLDERS: &[&str] =
    &["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/var/lib/rancher/k3s/data/current/bin"];

/// Below it each folder and its `bin` are looked into.
const OPT: &str = "/opt";

/// Where engines are told which binary to run.
const CONFIGURATIONS: &[&str] = &[
    "/etc/containerd/config.toml",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/etc/crio/crio.conf",
];
const BINARY_KEYS: [&str; 2] = ["BinaryName", "runtime_path"];

/// More than any node has; a folder is not read past it.
const MAX_ENTRIES: usize = 20_000;

pub(super) async fn find(host: &HostRoot) -> Vec<Runtime> {
    let mut versions = Versions::default();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for path in candidates(host) {
        let Some(program) = Program::from_path(&path) else { continue };
        let shim = program == Program::WasmShim;
        let file = host.open_root().and_then(|root| files::locate(root, Path::new(&path), Last::Follow));
        let Some(stat) = file.ok().and_then(|file| fstat(file).ok()) else { continue };
        // The same file by another name, or not a program.
        if stat.st_mode & 0o111 == 0 || !seen.insert((stat.st_dev, stat.st_ino)) {
            continue;
        }
        let version = if shim {
            let why = "not asked: only runtimes with a command line are".to_owned();
            Err(LookupError { what: path.clone(), why })
        } else {
            versions.lookup(host, None, &path).await
        };
        found.push(Runtime { path, program, version });
    }
    found
}

/// Paths of files that are called like a runtime, in a stable order.
fn candidates(host: &HostRoot) -> Vec<String> {
    let mut folders: Vec<String> = FOLDERS.iter().map(|folder| (*folder).to_owned()).collect();
    for name in list(host, OPT) {
        folders.push(format!("{OPT}/{name}"));
        folders.push(format!("{OPT}/{name}/bin"));
    }
    let mut paths = Vec::new();
    for folder in folders {
        let is_runtime = |name: &String| {
            Program::from_path(name).is_some_and(|program| {
                program.is_oci_runtime() && !name.starts_with("containerd-shim")
                    || program == Program::WasmShim
            })
        };
        paths.extend(
            list(host, &folder).into_iter().filter(is_runtime).map(|name| format!("{folder}/{name}")),
        );
    }
    for configuration in CONFIGURATIONS {
        paths.extend(host.read(configuration).map(|text| configured(&text)).unwrap_or_default());
    }
    paths
}

fn list(host: &HostRoot, folder: &str) -> Vec<String> {
    let handle = host.open_root().and_then(|root| files::locate(root, Path::new(folder), Last::Follow));
    let Ok(entries) = handle.and_then(|handle| fs::read_dir(files::own_link(&handle))) else {
        return Vec::new();
    };
    let names = entries.take(MAX_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The absolute paths that a configuration of containerd or CRI-O gives for runtimes.
fn configured(text: &str) -> Vec<String> {
    fn walk(value: &toml::Value, found: &mut Vec<String>) {
        let toml::Value::Table(table) = value else { return };
        for (key, value) in table {
            match value.as_str() {
                Some(path) if BINARY_KEYS.contains(&key.as_str()) && path.starts_with('/') => {
                    found.push(path.to_owned());
                }
                _ => walk(value, found),
            }
        }
    }
    let mut found = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        walk(&toml::Value::Table(table), &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn program(root: &Path, path: &str) {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[tokio::test]
    async fn runtimes_are_found_where_they_usually_are() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in [
            "usr/bin/crun",
            "usr/bin/runcon",
            "usr/bin/containerd",
            "usr/local/bin/containerd-shim-wasmedge-v1",
            "usr/local/bin/containerd-shim-runc-v2",
            "opt/kata/bin/kata-runtime",
            "var/lib/rancher/k3s/data/abc/bin/runc",
            "srv/tools/youki",
        ] {
            program(root, path);
        }
        symlink("crun", root.join("usr/bin/krun")).unwrap();
        symlink("/var/lib/rancher/k3s/data/abc", root.join("var/lib/rancher/k3s/data/current")).unwrap();
        fs::create_dir_all(root.join("etc/containerd")).unwrap();
        let config = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.youki.options]\n\
                      BinaryName = \"/srv/tools/youki\"\n";
        fs::write(root.join("etc/containerd/config.toml"), config).unwrap();

        let found = find(&HostRoot::at(root)).await;
        let paths: Vec<_> = found.iter().map(|runtime| runtime.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/usr/bin/crun",
                "/usr/local/bin/containerd-shim-wasmedge-v1",
                "/var/lib/rancher/k3s/data/current/bin/runc",
                "/opt/kata/bin/kata-runtime",
                "/srv/tools/youki",
            ]
        );
        assert!(found[0].version.as_ref().unwrap_err().why.contains("a script"));
        assert_eq!(found[1].wasm(), Some("wasmedge"));
    }

    #[test]
    fn wasm_engines_are_named() {
        let with = |features: &[&str]| Runtime {
            path: "/usr/bin/crun".to_owned(),
            program: Program::Crun,
            version: Ok(RuntimeVersion {
                version: "1.8.4".to_owned(),
                features: features.iter().map(|feature| (*feature).to_owned()).collect(),
            }),
        };
        assert_eq!(with(&["+CAP", "+WASM:wasmedge"]).wasm(), Some("wasmedge"));
        assert_eq!(with(&["+CAP"]).wasm(), None);
    }

    #[test]
    fn configurations_that_are_none_name_nothing() {
        assert_eq!(configured("not = [toml"), Vec::<String>::new());
        assert_eq!(configured("BinaryName = \"crun\""), Vec::<String>::new());
        assert_eq!(configured("[crio.runtime.runtimes.x]\nruntime_path = \"/bin/x\""), ["/bin/x"]);
    }
}
