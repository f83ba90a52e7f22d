//! What a kubelet does to a container engine: pods, containers, exec, over the CRI socket.

pub mod wire;

use std::{collections::HashMap, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::UnixStream, runtime::Runtime};
use tonic::{
    Request,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::Stage;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection. Calls block; concurrent callers open one each.
pub struct Cri {
    runtime: Runtime,
    channel: Channel,
}

/// A pod to be run.
#[derive(Clone, Debug)]
pub struct PodSpec<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    /// Which of the engine's runtimes.
    pub handler: &'a str,
    pub host_network: bool,
}

/// A pod that runs.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Of its sandbox: the pause container's.
    pub id: String,
    pub uid: String,
    config: wire::PodConfig,
}

/// A container to be run in a pod.
#[derive(Clone, Debug, Default)]
pub struct ContainerSpec<'a> {
    pub name: &'a str,
    pub image: &'a str,
    pub command: &'a [&'a str],
    /// What it may read of this machine: where it sees it, and where that is.
    pub mounts: &'a [(&'a str, &'a str)],
    /// A Wasm module as its command, to be run by the runtime itself.
    pub is_wasm: bool,
    /// 0: none.
    pub memory_limit: i64,
    /// How often it was started before.
    pub attempt: u32,
}

impl Cri {
    pub fn connect(socket: &Path) -> Result<Cri> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
        let path = socket.to_path_buf();
        // The address of a Unix socket is in the connector; tonic wants a URI all the same.
        let connector = service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let connect = async { Endpoint::from_static("http://cri").connect_with_connector(connector).await };
        let channel = runtime.block_on(connect).with_context(|| socket.display().to_string())?;
        Ok(Cri { runtime, channel })
    }

    /// What keeps the engine from running pods, if anything does.
    pub fn unready(&self) -> Result<Vec<String>> {
        let reply: wire::StatusReply = self.call("RuntimeService/Status", wire::Empty {})?;
        let conditions = reply.status.unwrap_or_default().conditions;
        let unready = conditions.into_iter().filter(|condition| !condition.status);
        Ok(unready.map(|condition| format!("{}: {}", condition.kind, condition.message)).collect())
    }

    pub fn has_image(&self, name: &str) -> Result<bool> {
        let image = Some(wire::ImageSpec { image: name.into() });
        let reply: wire::ImageReply = self.call("ImageService/ImageStatus", wire::ImageRequest { image })?;
        Ok(reply.image.is_some())
    }

    /// Pulls an image from its registry; what the engine calls it.
    pub fn pull(&self, name: &str) -> Result<String> {
        let image = Some(wire::ImageSpec { image: name.into() });
        let reply: wire::PullReply = self.call("ImageService/PullImage", wire::ImageRequest { image })?;
        Ok(reply.image)
    }

    pub fn run_pod(&self, stage: &Stage, spec: &PodSpec) -> Result<Pod> {
        let uid = pod_uid(stage, spec);
        let labels = [
            ("io.kubernetes.pod.name", spec.name),
            ("io.kubernetes.pod.namespace", spec.namespace),
            ("io.kubernetes.pod.uid", &uid),
        ];
        let config = wire::PodConfig {
            metadata: Some(wire::PodMetadata {
                name: spec.name.into(),
                uid: uid.clone(),
                namespace: spec.namespace.into(),
                attempt: 0,
            }),
            // A pod in the node's network has the node's name.
            hostname: if spec.host_network { String::new() } else { spec.name.into() },
            log_directory: stage.path(format!("logs-{uid}")).display().to_string(),
            labels: owned(&labels),
            annotations: HashMap::new(),
            linux: Some(wire::PodLinux {
                cgroup_parent: format!("/{}/kubepods/burstable/pod{uid}", stage.id()),
                security: Some(wire::PodSecurity { namespaces: Some(namespaces(spec.host_network)) }),
            }),
        };
        let request =
            wire::RunPodRequest { config: Some(config.clone()), runtime_handler: spec.handler.into() };
        let reply: wire::PodReference = self.call("RuntimeService/RunPodSandbox", request)?;
        Ok(Pod { id: reply.pod_sandbox_id, uid, config })
    }

    /// Creates and starts a container; its id.
    pub fn run_container(&self, pod: &Pod, spec: &ContainerSpec) -> Result<String> {
        let id = self.create_container(pod, spec)?;
        self.start_container(&id)?;
        Ok(id)
    }

    pub fn create_container(&self, pod: &Pod, spec: &ContainerSpec) -> Result<String> {
        let mut labels = pod.config.labels.clone();
        labels.insert("io.kubernetes.container.name".into(), spec.name.into());
        let annotations: &[_] = if spec.is_wasm { &[("run.oci.handler", "wasm")] } else { &[] };
        let host_network = pod.config.hostname.is_empty();
        let config = wire::ContainerConfig {
            metadata: Some(wire::ContainerMetadata { name: spec.name.into(), attempt: spec.attempt }),
            image: Some(wire::ImageSpec { image: spec.image.into() }),
            command: spec.command.iter().map(|word| (*word).to_owned()).collect(),
            mounts: spec.mounts.iter().map(|(to, from)| mount(to, from)).collect(),
            labels,
            annotations: owned(annotations),
            log_path: format!("{}.log", spec.name),
            linux: Some(wire::ContainerLinux {
                resources: Some(wire::Resources { memory_limit_in_bytes: spec.memory_limit }),
                security: Some(wire::ContainerSecurity { namespaces: Some(namespaces(host_network)) }),
            }),
        };
        let request = wire::CreateRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            pod: Some(pod.config.clone()),
        };
        let reply: wire::ContainerReference = self.call("RuntimeService/CreateContainer", request)?;
        Ok(reply.container_id)
    }

    pub fn start_container(&self, id: &str) -> Result<()> {
        self.call("RuntimeService/StartContainer", wire::ContainerReference { container_id: id.into() })
            .map(|wire::Empty {}| ())
    }

    pub fn container_status(&self, id: &str) -> Result<wire::ContainerStatus> {
        let request = wire::ContainerReference { container_id: id.into() };
        let reply: wire::ContainerStatusReply = self.call("RuntimeService/ContainerStatus", request)?;
        reply.status.context("the engine gave a container no status")
    }

    pub fn exec(&self, id: &str, command: &[&str]) -> Result<String> {
        let request = wire::ExecRequest {
            container_id: id.into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            timeout: 10,
        };
        let reply: wire::ExecReply = self.call("RuntimeService/ExecSync", request)?;
        if reply.exit_code != 0 {
            bail!("{command:?} ended with {}: {}", reply.exit_code, String::from_utf8_lossy(&reply.stderr));
        }
        Ok(String::from_utf8_lossy(&reply.stdout).into_owned())
    }

    /// Ends a container at once, and removes it.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        let stop = wire::StopRequest { container_id: id.into(), timeout: 0 };
        let wire::Empty {} = self.call("RuntimeService/StopContainer", stop)?;
        let wire::Empty {} = self
            .call("RuntimeService/RemoveContainer", wire::ContainerReference { container_id: id.into() })?;
        Ok(())
    }

    /// Ends a pod with all that is in it.
    pub fn remove_pod(&self, pod: &Pod) -> Result<()> {
        let sandbox = wire::PodReference { pod_sandbox_id: pod.id.clone() };
        let wire::Empty {} = self.call("RuntimeService/StopPodSandbox", sandbox.clone())?;
        let wire::Empty {} = self.call("RuntimeService/RemovePodSandbox", sandbox)?;
        Ok(())
    }

    fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/runtime.v1.{method}")).context(method)?;
        let mut grpc = Grpc::new(self.channel.clone());
        let call = async {
            grpc.ready().await.context("the engine's socket is closed")?;
            let codec: ProstCodec<Q, A> = ProstCodec::default();
            let reply = tokio::time::timeout(PATIENCE, grpc.unary(Request::new(request), path, codec)).await;
            let reply = reply.context("no answer")?;
            reply.map(tonic::Response::into_inner).map_err(|status| anyhow::anyhow!("{}", status.message()))
        };
        self.runtime.block_on(call).context(method)
    }
}

fn namespaces(host_network: bool) -> wire::Namespaces {
    use wire::namespace::{CONTAINER, NODE, POD};
    wire::Namespaces { network: if host_network { NODE } else { POD }, pid: CONTAINER, ipc: POD }
}

/// As the API server would form it; the same pod of another stage has another one.
fn pod_uid(stage: &Stage, spec: &PodSpec) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (stage.id(), spec.namespace, spec.name).hash(&mut hasher);
    let hash = hasher.finish();
    format!("{:08x}-{:04x}-4000-8000-{:012x}", hash >> 32, hash >> 16 & 0xffff, hash & 0xffff_ffff_ffff)
}

fn mount(container_path: &str, host_path: &str) -> wire::Mount {
    wire::Mount { container_path: container_path.into(), host_path: host_path.into(), readonly: true }
}

fn owned(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
