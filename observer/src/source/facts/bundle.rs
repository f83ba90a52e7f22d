//! The OCI bundle a runtime was given: who the container is, without asking anybody. config.json is read as
//! the runtime itself sees it, and only the fields that identify are kept: no environment, no arguments but
//! the first, no mounts.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::{
    HostRoot, failed,
    files::{self, Last},
    procfs,
};
use crate::{
    input::{Bundle, LookupError},
    model::identity::is_identifying,
};

const MAX_CONFIG: u64 = 1 << 20;
const MAX_ANNOTATIONS: usize = 64;
const MAX_TEXT: usize = 1024;

/// Reads the bundle that runtime process `tgid` was given: `path` if it was given one, else its working
/// directory. While the process lives its own root is looked into; afterwards the node's.
///
/// # Errors
/// Says which file, and why it could not be read or understood.
pub fn read_bundle(host: &HostRoot, tgid: u32, path: Option<&str>) -> Result<Bundle, LookupError> {
    let dir = directory(host, tgid, path)?;
    let config = dir.join("config.json");
    let what = || format!("bundle {}", config.display());
    let text = read_config(host, tgid, &config).map_err(|error| failed(what(), error))?;
    parse(&dir, &text).map_err(|error| failed(what(), error))
}

/// Opens what a container has at `path` in its root file system, where its bundle says that is: for a container whose
/// processes are gone, and with them its own view of it.
///
/// # Errors
/// The bundle or the file cannot be read, or something was mounted over the latter.
pub fn open_in_rootfs(host: &HostRoot, dir: &Path, path: &Path) -> io::Result<File> {
    let node = host.open_root()?;
    let text = files::read_regular(&node, &dir.join("config.json"), Last::Refuse, MAX_CONFIG)?;
    let config: Config = serde_json::from_slice(&text)?;
    let absolute = Path::new("/").join(config.process.cwd).join(path);
    if let Some(mount) = config.mounts.iter().find(|mount| absolute.starts_with(&mount.destination)) {
        let covered = format!("its container is gone, and with it what was mounted at {}", mount.destination);
        return Err(io::Error::new(io::ErrorKind::NotFound, covered));
    }
    let rootfs = config.root.path.ok_or_else(|| io::Error::other("its bundle names no root file system"))?;
    let rootfs = files::locate(&node, &dir.join(rootfs), Last::Follow)?;
    files::open_regular(rootfs, &absolute, Last::Follow)
}

fn directory(host: &HostRoot, tgid: u32, path: Option<&str>) -> Result<PathBuf, LookupError> {
    let path = Path::new(path.unwrap_or("."));
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let cwd = procfs::cwd(host, tgid).ok_or_else(|| {
        failed(
            format!("bundle {}", path.display()),
            "the runtime's working directory is not known: it is gone, or may not be looked at",
        )
    })?;
    Ok(Path::new(&cwd)
        .components()
        .chain(path.components())
        .filter(|part| *part != Component::CurDir)
        .collect())
}

fn read_config(host: &HostRoot, tgid: u32, config: &Path) -> io::Result<Vec<u8>> {
    let own = files::open_root(&host.proc(format!("{tgid}/root")));
    let root = own.or_else(|_| host.open_root())?;
    files::read_regular(root, config, Last::Refuse, MAX_CONFIG)
}

/// A field of the wrong type is as good as an absent one: runtimes differ in how strict they are.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::de::DeserializeOwned,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(deserialize_with = "lenient")]
    process: Process,
    #[serde(deserialize_with = "lenient")]
    root: Root,
    #[serde(deserialize_with = "lenient")]
    linux: Linux,
    #[serde(deserialize_with = "lenient")]
    annotations: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "lenient")]
    mounts: Vec<Mount>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Process {
    #[serde(deserialize_with = "lenient")]
    args: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    cwd: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Mount {
    #[serde(deserialize_with = "lenient")]
    destination: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Root {
    #[serde(deserialize_with = "lenient")]
    path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    #[serde(deserialize_with = "lenient")]
    cgroups_path: Option<String>,
    #[serde(deserialize_with = "lenient")]
    namespaces: Vec<Namespace>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespace {
    #[serde(rename = "type", deserialize_with = "lenient")]
    kind: String,
    #[serde(deserialize_with = "lenient")]
    path: String,
}

fn parse(dir: &Path, text: &[u8]) -> serde_json::Result<Bundle> {
    let config: Config = serde_json::from_slice(text)?;
    let network = config.linux.namespaces.into_iter().find(|namespace| namespace.kind == "network");
    let rootfs = config.root.path.map(|path| dir.join(path).to_string_lossy().into_owned());
    Ok(Bundle {
        path: dir.to_string_lossy().into_owned(),
        entrypoint: config.process.args.into_iter().next().and_then(bounded),
        rootfs: rootfs.and_then(bounded),
        cgroups_path: config.linux.cgroups_path.and_then(bounded),
        new_netns: network.as_ref().map(|namespace| namespace.path.is_empty()),
        netns_path: network.map(|namespace| namespace.path).filter(|path| !path.is_empty()).and_then(bounded),
        annotations: annotations(config.annotations),
    })
}

fn annotations(all: BTreeMap<String, serde_json::Value>) -> BTreeMap<String, String> {
    let text = |(key, value)| match value {
        serde_json::Value::String(value) => bounded(value).map(|value| (key, value)),
        _ => None,
    };
    all.into_iter().filter(|(key, _)| is_identifying(key)).filter_map(text).take(MAX_ANNOTATIONS).collect()
}

/// Half a path or name would be a wrong one: what is too long is left out.
fn bounded(text: String) -> Option<String> {
    (text.len() <= MAX_TEXT).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::{
        model::identity::identify,
        output::{Container, Kind},
    };

    fn parsed(text: &str) -> Bundle {
        parse(Path::new("/run/b"), text.as_bytes()).unwrap()
    }

    /// A node whose process 7 is a runtime with its working directory in `/run/b`.
    fn node() -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        for path in ["proc/1", "proc/7", "run/b"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        symlink("/run/b", dir.path().join("proc/7/cwd")).unwrap();
        let host = HostRoot::at(dir.path());
        (dir, host)
    }

    #[test]
    fn only_what_identifies_is_kept() {
        let bundle = parsed(
            r#"{"process":{"args":["/app","--token=secret"],"env":["PASSWORD=secret"]},
                "annotations":{"io.kubernetes.cri.sandbox-name":"web","team/token":"secret",
                               "io.kubernetes.cri-o.Annotations":"{\"x\":\"secret\"}",
                               "io.kubernetes.container.preStopHandler":"secret"}}"#,
        );
        assert_eq!(bundle.entrypoint.as_deref(), Some("/app"));
        assert!(!format!("{bundle:?}").contains("secret"), "{bundle:?}");
        assert_eq!(bundle.annotations.len(), 1);
    }

    #[test]
    fn odd_types_are_absent_fields() {
        let bundle = parsed(
            r#"{"process":{"args":"sh"},"root":[],"linux":{"cgroupsPath":7,"namespaces":{"a":1}},
                "annotations":{"run.oci.handler":1}}"#,
        );
        assert_eq!(bundle, Bundle { path: "/run/b".to_owned(), ..Bundle::default() });
        assert!(parse(Path::new("/"), b"{\"process\":").is_err());
        assert!(parse(Path::new("/"), b"7").is_err());
    }

    #[test]
    fn network_namespace_made_joined_or_the_hosts() {
        let with = |namespaces: &str| parsed(&format!(r#"{{"linux":{{"namespaces":{namespaces}}}}}"#));
        assert_eq!(with(r#"[{"type":"network"}]"#).new_netns, Some(true));
        let joined = with(r#"[{"type":"network","path":"/var/run/netns/x"}]"#);
        assert_eq!((joined.new_netns, joined.netns_path.as_deref()), (Some(false), Some("/var/run/netns/x")));
        assert_eq!(with(r#"[{"type":"pid"}]"#).new_netns, None);
    }

    #[test]
    fn size_is_bounded() {
        let many: Vec<String> =
            (0..200).map(|number| format!(r#""io.kubernetes.cri.x{number}":"v""#)).collect();
        let long = "x".repeat(MAX_TEXT + 1);
        let bundle = parsed(&format!(
            r#"{{"process":{{"args":["{long}"]}},"annotations":{{"run.oci.handler":"{long}",{}}}}}"#,
            many.join(",")
        ));
        assert_eq!(bundle.annotations.len(), MAX_ANNOTATIONS);
        assert_eq!(bundle.entrypoint, None);
    }

    #[test]
    fn relative_paths_are_the_runtimes() {
        let (dir, host) = node();
        fs::write(dir.path().join("run/b/config.json"), r#"{"root":{"path":"rootfs"}}"#).unwrap();
        for path in [None, Some("."), Some("./"), Some("/run/b")] {
            let bundle = read_bundle(&host, 7, path).unwrap();
            assert_eq!(bundle.path.trim_end_matches('/'), "/run/b", "{path:?}");
            assert_eq!(bundle.rootfs.as_deref(), Some("/run/b/rootfs"));
        }
        assert!(read_bundle(&host, 7, Some("../b")).is_ok());
        let error = read_bundle(&host, 8, None).unwrap_err();
        assert!(error.why.contains("working directory"), "{error}");
    }

    #[test]
    fn the_runtimes_own_root_comes_first() {
        let (dir, host) = node();
        fs::write(dir.path().join("run/b/config.json"), r#"{"process":{"args":["node"]}}"#).unwrap();
        fs::create_dir_all(dir.path().join("nested/run/b")).unwrap();
        symlink(dir.path().join("nested"), dir.path().join("proc/7/root")).unwrap();
        let error = read_bundle(&host, 7, Some("/run/b")).unwrap_err();
        assert!(error.why.contains("No such file"), "{error}");
        fs::write(dir.path().join("nested/run/b/config.json"), r#"{"process":{"args":["nested"]}}"#).unwrap();
        assert_eq!(read_bundle(&host, 7, Some("/run/b")).unwrap().entrypoint.as_deref(), Some("nested"));
    }

    #[test]
    fn a_link_for_a_config_is_refused() {
        let (dir, host) = node();
        fs::write(dir.path().join("run/secret"), "{}").unwrap();
        symlink("/run/secret", dir.path().join("run/b/config.json")).unwrap();
        let error = read_bundle(&host, 7, None).unwrap_err();
        assert_eq!(error.to_string(), "bundle /run/b/config.json: not a regular file");
    }

    /// A bundle that a real engine wrote, and the container it makes of it.
    fn real(text: &str) -> (Bundle, Container) {
        let bundle = parse(Path::new("/run/b"), text.as_bytes()).unwrap();
        assert!(!format!("{bundle:?}").contains("SECRET"), "{bundle:?}");
        let mut container = Container::default();
        identify(&mut container, Some(&bundle), None);
        (bundle, container)
    }

    macro_rules! fixture {
        ($name:literal) => {
            real(include_str!(concat!("../../../../tests/fixtures/bundles/", $name, ".json")))
        };
    }

    #[test]
    fn containerd_cri_container_of_a_pod() {
        let (bundle, container) = fixture!("containerd-web");
        assert_eq!(bundle.entrypoint.as_deref(), Some("/bin/sh"));
        assert_eq!(bundle.rootfs.as_deref(), Some("/run/b/rootfs"));
        assert_eq!(bundle.new_netns, Some(false));
        assert!(
            bundle.netns_path.is_some_and(|path| path.starts_with("/proc/") && path.ends_with("/ns/net"))
        );
        assert_eq!(container.name.as_deref(), Some("app"));
        assert_eq!(container.pod.as_deref(), Some("web"));
        assert_eq!(container.namespace.as_deref(), Some("shop"));
        assert_eq!(container.pod_uid.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
        assert_eq!(container.image.as_deref(), Some("lab.local/bb:1"));
        let sandbox = container.sandbox_id.unwrap();
        assert_eq!(sandbox.len(), 64);
        assert!(bundle.cgroups_path.is_some_and(|path| path.starts_with("/kubepods/burstable/pod11111111-")));
        assert_eq!(container.kind, Kind::Oci);
    }

    #[test]
    fn containerd_cri_sandbox() {
        let (bundle, container) = fixture!("containerd-web-sandbox");
        assert!(bundle.netns_path.is_some_and(|path| path.starts_with("/var/run/netns/cni-")));
        assert_eq!((container.kind, container.name), (Kind::Sandbox, None));
        assert_eq!(container.pod.as_deref(), Some("web"));
    }

    #[test]
    fn containerd_cri_wasm() {
        let (bundle, container) = fixture!("containerd-wasm");
        assert_eq!(bundle.entrypoint.as_deref(), Some("/app.wasm"));
        assert_eq!((container.kind, container.handler.as_deref()), (Kind::Wasm, Some("wasm")));
    }

    #[test]
    fn containerd_without_kubernetes() {
        let (bundle, container) = fixture!("ctr-run");
        assert_eq!(bundle.cgroups_path.as_deref(), Some("/default/demo1"));
        assert_eq!((bundle.new_netns, bundle.netns_path), (Some(true), None));
        assert_eq!(container, Container::default(), "nobody said who it is");
    }

    #[test]
    fn podman_with_and_without_a_pod() {
        let (bundle, container) = fixture!("podman");
        assert!(bundle.rootfs.is_some_and(|path| path.ends_with("/merged")));
        assert_eq!(container.engine.as_deref(), Some("podman"));
        assert_eq!((container.kind, container.sandbox_id), (Kind::Oci, None));
        let (_, container) = fixture!("podman-pod");
        assert_eq!(container.sandbox_id.unwrap().len(), 64);
        assert_eq!(container.kind, Kind::Oci);
    }
}
