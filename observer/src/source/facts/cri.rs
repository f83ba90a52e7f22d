//! What a container engine says of a container, over the CRI's v1 API on its socket. Asked only for reading;
//! every call is bounded in time, and an engine that hangs or is not there is an answer, not an obstacle.

mod list;
mod wire;

#[cfg(test)]
mod live_test;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{HostRoot, failed};
use crate::input::{CriContainer, LookupError};
pub use list::{Listed, MAX_ASKED};

/// Where engines listen: containerd, K3s's containerd, CRI-O.
const SOCKETS: &[&str] =
    &["/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/run/crio/crio.sock"];

/// The longest that one call may take.
const PATIENCE: Duration = Duration::from_secs(2);

const MAX_LABELS: usize = 64;
const MAX_TEXT: usize = 1024;

/// The engines' sockets: the configured one alone, or those of the usual ones that exist on the node.
pub fn sockets(host: &HostRoot, configured: Option<&Path>) -> Vec<PathBuf> {
    match configured {
        Some(path) => vec![path.to_owned()],
        None => SOCKETS.iter().map(|path| host.path(path)).filter(|path| path.exists()).collect(),
    }
}

/// The engines of this node. Connections are kept, and made again when they broke.
#[derive(Debug)]
pub struct Cri {
    engines: Vec<Engine>,
}

impl Cri {
    /// Connects to nothing yet. Must be called inside a tokio runtime.
    pub fn new(sockets: &[PathBuf]) -> Self {
        Self { engines: sockets.iter().map(|socket| Engine::new(socket)).collect() }
    }

    /// Whether there is no engine that could be asked.
    pub fn is_alone(&self) -> bool {
        self.engines.is_empty()
    }

    /// What the first engine that knows `id` says of it.
    ///
    /// # Errors
    /// When none knows it: what each of them answered.
    pub async fn lookup(&self, id: &str) -> Result<CriContainer, LookupError> {
        let mut answers = Vec::new();
        for engine in &self.engines {
            match engine.lookup(id).await {
                Ok(Some(container)) => return Ok(container),
                Ok(None) => answers.push(format!("{}: does not know it", engine.socket.display())),
                Err(error) => answers.push(error.to_string()),
            }
        }
        if answers.is_empty() {
            answers.push("no container engine's socket was found".to_owned());
        }
        Err(failed(format!("CRI container {id}"), answers.join("; ")))
    }
}

/// Name and version of the engine behind a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineVersion {
    pub name: String,
    pub version: String,
}

/// One engine's socket.
#[derive(Debug)]
pub struct Engine {
    socket: PathBuf,
    channel: Channel,
}

impl Engine {
    /// Connects at the first call. Must be called inside a tokio runtime.
    pub fn new(socket: &Path) -> Self {
        let path = socket.to_owned();
        let connect = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The address is only a form: the connector knows where to go.
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect);
        Self { socket: socket.to_owned(), channel }
    }

    /// # Errors
    /// When the engine does not answer, or not in this protocol.
    pub async fn version(&self) -> Result<EngineVersion, LookupError> {
        let request = wire::VersionRequest { version: "v1".to_owned() };
        let answer: wire::VersionResponse = self.call("Version", request).await?;
        Ok(EngineVersion { name: answer.runtime_name, version: answer.runtime_version })
    }

    /// A container or a pod sandbox by its full id; `None` when the engine knows neither.
    ///
    /// # Errors
    /// When the engine does not answer, or not in this protocol.
    pub async fn lookup(&self, id: &str) -> Result<Option<CriContainer>, LookupError> {
        let filter = wire::IdFilter { id: id.to_owned() };
        let request = wire::ListContainersRequest { filter: Some(filter) };
        let answer: wire::ListContainersResponse = self.call("ListContainers", request).await?;
        match answer.containers.into_iter().find(|container| container.id == id) {
            Some(container) => {
                let sandbox = self.sandbox(&container.pod_sandbox_id).await.unwrap_or_default();
                let log_path = self.log_path(id).await;
                Ok(Some(CriContainer { log_path, ..merge(Some(container), sandbox) }))
            }
            None => Ok(self.sandbox(id).await?.map(|sandbox| merge(None, Some(sandbox)))),
        }
    }

    /// Only asked of containers; without an answer the rest is still worth having.
    async fn log_path(&self, id: &str) -> Option<String> {
        let request = wire::ContainerStatusRequest { container_id: id.to_owned() };
        let answer: wire::ContainerStatusResponse = self.call("ContainerStatus", request).await.ok()?;
        said(answer.status?.log_path)
    }

    async fn sandbox(&self, id: &str) -> Result<Option<wire::PodSandbox>, LookupError> {
        let filter = wire::IdFilter { id: id.to_owned() };
        let request = wire::ListPodSandboxRequest { filter: Some(filter) };
        let answer: wire::ListPodSandboxResponse = self.call("ListPodSandbox", request).await?;
        Ok(answer.items.into_iter().find(|sandbox| sandbox.id == id))
    }

    async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, LookupError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.call_within(PATIENCE, method, request).await
    }

    async fn call_within<Q, A>(
        &self,
        patience: Duration,
        method: &'static str,
        request: Q,
    ) -> Result<A, LookupError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let what = || format!("CRI {method} at {}", self.socket.display());
        let path =
            format!("/runtime.v1.RuntimeService/{method}").parse().map_err(|why| failed(what(), why))?;
        let mut client = Grpc::new(self.channel.clone());
        let exchange = async {
            client.ready().await.map_err(|why| Status::unavailable(causes(&why)))?;
            client.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await
        };
        match timeout(patience, exchange).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(failed(what(), reason(&status))),
            Err(_) => Err(failed(what(), format!("no answer within {} s", patience.as_secs()))),
        }
    }
}

fn reason(status: &Status) -> String {
    match status.code() {
        tonic::Code::Unimplemented => "the engine does not speak CRI v1 here".to_owned(),
        code => {
            let cause = std::error::Error::source(status).map(causes);
            format!("{code:?}: {}", cause.unwrap_or_else(|| status.message().to_owned()))
        }
    }
}

/// The innermost cause: the others say only that there was one.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn merge(container: Option<wire::Container>, sandbox: Option<wire::PodSandbox>) -> CriContainer {
    let is_sandbox = container.is_none();
    let container = container.unwrap_or_default();
    let sandbox = sandbox.unwrap_or_default();
    let labelled = |key: &str| container.labels.get(key).cloned().unwrap_or_default();
    let pod = sandbox.metadata.unwrap_or_else(|| wire::PodSandboxMetadata {
        name: labelled("io.kubernetes.pod.name"),
        uid: labelled("io.kubernetes.pod.uid"),
        namespace: labelled("io.kubernetes.pod.namespace"),
        attempt: 0,
    });
    let (name, attempt) = match container.metadata {
        Some(metadata) => (said(metadata.name), Some(metadata.attempt)),
        None => (None, is_sandbox.then_some(pod.attempt)),
    };
    let sandbox_id = if is_sandbox { sandbox.id } else { container.pod_sandbox_id };
    CriContainer {
        is_sandbox,
        name,
        pod: said(pod.name),
        namespace: said(pod.namespace),
        pod_uid: said(pod.uid),
        sandbox_id: said(sandbox_id),
        attempt,
        image: container.image.and_then(|image| said(image.image)),
        image_ref: said(container.image_ref),
        handler: said(sandbox.runtime_handler),
        // A container's own win over its pod's.
        labels: bounded(sandbox.labels.into_iter().chain(container.labels).collect()),
        log_path: None,
    }
}

/// proto3 has no absent text; half a name would be a wrong one.
fn said(text: String) -> Option<String> {
    (!text.is_empty() && text.len() <= MAX_TEXT).then_some(text)
}

/// The first ones by name, so that the same labels are kept each time.
fn bounded(labels: HashMap<String, String>) -> BTreeMap<String, String> {
    let fits = |(key, value): &(String, String)| key.len() <= MAX_TEXT && value.len() <= MAX_TEXT;
    let sorted: BTreeMap<_, _> = labels.into_iter().filter(fits).collect();
    sorted.into_iter().take(MAX_LABELS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> wire::Container {
        let labels = [("io.kubernetes.pod.name", "labelled"), ("app", "web")];
        wire::Container {
            id: "c1".to_owned(),
            pod_sandbox_id: "s1".to_owned(),
            metadata: Some(wire::ContainerMetadata { name: "app".to_owned(), attempt: 2 }),
            image: Some(wire::ImageSpec { image: "lab.local/bb:1".to_owned() }),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ..wire::Container::default()
        }
    }

    #[test]
    fn a_container_without_its_sandbox_is_known_by_its_labels() {
        let merged = merge(Some(container()), None);
        assert_eq!(merged.pod.as_deref(), Some("labelled"));
        assert_eq!((merged.pod_uid, merged.handler), (None, None));
        assert_eq!((merged.name.as_deref(), merged.attempt), (Some("app"), Some(2)));
        assert!(!merged.is_sandbox);
    }

    #[test]
    fn labels_are_bounded_and_always_the_same() {
        let many: HashMap<_, _> = (0..500).map(|number| (format!("{number:03}"), String::new())).collect();
        let kept = bounded(many);
        assert_eq!(kept.len(), MAX_LABELS);
        assert_eq!(kept.keys().next_back().map(String::as_str), Some("063"));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_an_answer() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("containerd.sock");
        let error = Cri::new(std::slice::from_ref(&socket)).lookup("c1").await.unwrap_err();
        assert_eq!(error.what, "CRI container c1");
        assert!(error.why.contains(&socket.display().to_string()), "{error}");
        assert!(error.why.contains("No such file"), "{error}");
        let none = Cri::new(&[]).lookup("c1").await.unwrap_err();
        assert!(none.why.contains("no container engine's socket"), "{none}");
    }

    #[tokio::test]
    async fn an_engine_that_hangs_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("hangs.sock");
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let error = Engine::new(&socket).version().await.unwrap_err();
        assert!(error.why.contains("no answer within"), "{error}");
    }

    #[test]
    fn sockets_are_those_that_exist_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostRoot::at(dir.path());
        assert!(sockets(&host, None).is_empty());
        std::fs::create_dir_all(dir.path().join("run/k3s/containerd")).unwrap();
        let k3s = dir.path().join("run/k3s/containerd/containerd.sock");
        std::fs::write(&k3s, "").unwrap();
        assert_eq!(sockets(&host, None), [k3s]);
        assert_eq!(sockets(&host, Some(Path::new("/x.sock"))), [Path::new("/x.sock")]);
    }
}
