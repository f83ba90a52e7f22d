//! The client against a real containerd with a real pod. The engine is private: its own folders and socket,
//! its own mount and network namespaces. Needs root, containerd, crun and a static busybox; skips aloud.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use prost::Message;

use super::*;

const NEEDED: &[&str] = &["/usr/bin/containerd", "/usr/bin/ctr", "/usr/bin/crun", "/bin/busybox"];
const IMAGE: &str = "observer.test/busybox:1";
const UID: &str = "11111111-2222-3333-4444-555555555555";

/// How long making and removing a pod may take on a busy machine.
const CREATION: Duration = Duration::from_secs(60);

/// What the test asks of the engine, and the client never does.
mod ask {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct RunPodSandbox {
        #[prost(message, optional, tag = "1")]
        pub config: Option<Sandbox>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Sandbox {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<wire::PodSandboxMetadata>,
        #[prost(string, tag = "3")]
        pub log_directory: String,
        #[prost(map = "string, string", tag = "6")]
        pub labels: HashMap<String, String>,
        #[prost(message, optional, tag = "8")]
        pub linux: Option<Linux>,
    }

    /// Of a sandbox and, with only the second field, of a container.
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Linux {
        #[prost(string, tag = "1")]
        pub cgroup_parent: String,
        #[prost(message, optional, tag = "2")]
        pub security: Option<Security>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Security {
        #[prost(message, optional, tag = "1")]
        pub namespaces: Option<Namespaces>,
    }

    /// 2 is the node's.
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Namespaces {
        #[prost(int32, tag = "1")]
        pub network: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct CreateContainer {
        #[prost(string, tag = "1")]
        pub pod_sandbox_id: String,
        #[prost(message, optional, tag = "2")]
        pub config: Option<Container>,
        #[prost(message, optional, tag = "3")]
        pub sandbox_config: Option<Sandbox>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Container {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<wire::ContainerMetadata>,
        #[prost(message, optional, tag = "2")]
        pub image: Option<wire::ImageSpec>,
        #[prost(map = "string, string", tag = "9")]
        pub labels: HashMap<String, String>,
        #[prost(string, tag = "11")]
        pub log_path: String,
    }

    /// One id: the answer to what creates, and what asks to stop or remove.
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Id {
        #[prost(string, tag = "1")]
        pub id: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Nothing {}
}

/// A containerd that ends with the test.
struct Containerd {
    dir: tempfile::TempDir,
    process: Child,
}

impl Containerd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let config = format!(
            r#"version = 2
root = "{at}/root"
state = "{at}/state"
[grpc]
  address = "{at}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "crun"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
        BinaryName = "/usr/bin/crun"
"#
        );
        fs::write(dir.path().join("config.toml"), config).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        // crun refuses a machine with both kinds of control groups: the empty one is hidden from it.
        let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec containerd -c \"$0\"";
        let process = Command::new("unshare")
            .args(["-m", "-n", "sh", "-c", script])
            .arg(dir.path().join("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { dir, process }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("c.sock")
    }

    /// Waits until it answers.
    async fn engine(&self) -> Engine {
        for _ in 0..200 {
            if self.socket().exists() {
                let engine = Engine::new(&self.socket());
                if engine.version().await.is_ok() {
                    return engine;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("containerd does not answer: {}", fs::read_to_string(self.dir.path().join("log")).unwrap());
    }

    fn import_image(&self) {
        let script = r#"set -e; cd "$0"; mkdir -p image/layer/bin; cp /bin/busybox image/layer/bin; cd image
tar -C layer -cf layer.tar bin
cat >config.json <<END
{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/busybox"],"Cmd":["sleep","60"]},
"rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum layer.tar | cut -d' ' -f1)"]}}
END
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$1" >manifest.json
tar -cf ../image.tar config.json manifest.json layer.tar; cd ..
ctr -a c.sock -n k8s.io image import --snapshotter native image.tar"#;
        let output =
            Command::new("sh").args(["-c", script]).arg(self.dir.path()).arg(IMAGE).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn sandbox_config(dir: &Path) -> ask::Sandbox {
    let security = ask::Security { namespaces: Some(ask::Namespaces { network: 2 }) };
    ask::Sandbox {
        metadata: Some(wire::PodSandboxMetadata {
            name: "web".to_owned(),
            uid: UID.to_owned(),
            namespace: "shop".to_owned(),
            attempt: 0,
        }),
        log_directory: dir.join("logs").display().to_string(),
        labels: HashMap::from([("app".to_owned(), "web".to_owned())]),
        linux: Some(ask::Linux { cgroup_parent: "/observer-cri-test".to_owned(), security: Some(security) }),
    }
}

async fn create(engine: &Engine, dir: &Path) -> (String, String) {
    let config = sandbox_config(dir);
    let request = ask::RunPodSandbox { config: Some(config.clone()) };
    let sandbox: ask::Id = engine.call_within(CREATION, "RunPodSandbox", request).await.unwrap();
    let container = ask::Container {
        metadata: Some(wire::ContainerMetadata { name: "app".to_owned(), attempt: 2 }),
        image: Some(wire::ImageSpec { image: IMAGE.to_owned() }),
        labels: HashMap::from([("tier".to_owned(), "front".to_owned())]),
        log_path: "app.log".to_owned(),
    };
    let request = ask::CreateContainer {
        pod_sandbox_id: sandbox.id.clone(),
        config: Some(container),
        sandbox_config: Some(config),
    };
    let container: ask::Id = engine.call_within(CREATION, "CreateContainer", request).await.unwrap();
    (sandbox.id, container.id)
}

async fn remove(engine: &Engine, sandbox: &str) {
    for method in ["StopPodSandbox", "RemovePodSandbox"] {
        let id = ask::Id { id: sandbox.to_owned() };
        let _: ask::Nothing = engine.call_within(CREATION, method, id).await.unwrap();
    }
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let _ = fs::remove_dir(hierarchy.path().join("observer-cri-test"));
    }
}

#[tokio::test]
async fn a_real_pod_is_identified() {
    let absent = NEEDED.iter().find(|path| !Path::new(path).exists());
    if absent.is_some() || !rustix::process::geteuid().is_root() {
        let why = format!("needs root and {NEEDED:?}; missing: {absent:?}");
        return crate::skips::skip("a_real_pod_is_identified", &why);
    }
    let containerd = Containerd::start();
    let engine = containerd.engine().await;
    assert_eq!(engine.version().await.unwrap().name, "containerd");
    containerd.import_image();
    let (sandbox_id, container_id) = create(&engine, containerd.dir.path()).await;
    let cri = Cri::new(&[containerd.dir.path().join("absent.sock"), containerd.socket()]);
    let container = cri.lookup(&container_id).await;
    let sandbox = cri.lookup(&sandbox_id).await;
    let other = cri.lookup("no-such-container").await;
    remove(&engine, &sandbox_id).await;

    let container = container.unwrap();
    let some = |text: &str| Some(text.to_owned());
    let common = CriContainer {
        pod: some("web"),
        namespace: some("shop"),
        pod_uid: some(UID),
        sandbox_id: Some(sandbox_id),
        ..CriContainer::default()
    };
    let app = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let mut both = app.clone();
    both.insert("tier".to_owned(), "front".to_owned());
    let image = container.image.clone();
    assert!(image.as_deref().is_some_and(|image| image.contains("busybox")), "{image:?}");
    let image_ref = container.image_ref.clone();
    assert!(image_ref.as_deref().is_some_and(|image_ref| image_ref.contains("sha256:")), "{image_ref:?}");
    let log_path = container.log_path.clone();
    assert!(log_path.as_deref().is_some_and(|path| path.ends_with("/app.log")), "{log_path:?}");
    let (name, attempt) = (some("app"), Some(2));
    let expected = CriContainer { name, attempt, image, image_ref, labels: both, log_path, ..common.clone() };
    assert_eq!(container, expected);
    let expected = CriContainer { is_sandbox: true, attempt: Some(0), labels: app, ..common };
    assert_eq!(sandbox.unwrap(), expected);
    let other = other.unwrap_err().to_string();
    assert!(other.contains("does not know it") && other.contains("absent.sock"), "{other}");
}
