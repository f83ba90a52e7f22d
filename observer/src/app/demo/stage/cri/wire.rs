//! The part of the CRI (`runtime.v1`) that a kubelet needs to run a pod, by field number.

use std::collections::HashMap;

use prost::Message;

macro_rules! messages {
    ($($name:ident { $($(#[$meta:meta])* $field:ident: $ty:ty,)* })*) => {
        $(
            #[derive(Clone, PartialEq, Message)]
            pub struct $name { $($(#[$meta])* pub $field: $ty,)* }
        )*
    };
}

messages! {
    Empty {}
    StatusReply {
        #[prost(message, optional, tag = "1")]
        status: Option<RuntimeStatus>,
    }
    RuntimeStatus {
        #[prost(message, repeated, tag = "1")]
        conditions: Vec<Condition>,
    }
    Condition {
        #[prost(string, tag = "1")]
        kind: String,
        #[prost(bool, tag = "2")]
        status: bool,
        #[prost(string, tag = "4")]
        message: String,
    }
    RunPodRequest {
        #[prost(message, optional, tag = "1")]
        config: Option<PodConfig>,
        #[prost(string, tag = "2")]
        runtime_handler: String,
    }
    PodReference {
        #[prost(string, tag = "1")]
        pod_sandbox_id: String,
    }
    PodConfig {
        #[prost(message, optional, tag = "1")]
        metadata: Option<PodMetadata>,
        #[prost(string, tag = "2")]
        hostname: String,
        #[prost(string, tag = "3")]
        log_directory: String,
        #[prost(map = "string, string", tag = "6")]
        labels: HashMap<String, String>,
        #[prost(map = "string, string", tag = "7")]
        annotations: HashMap<String, String>,
        #[prost(message, optional, tag = "8")]
        linux: Option<PodLinux>,
    }
    PodMetadata {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        uid: String,
        #[prost(string, tag = "3")]
        namespace: String,
        #[prost(uint32, tag = "4")]
        attempt: u32,
    }
    PodLinux {
        #[prost(string, tag = "1")]
        cgroup_parent: String,
        #[prost(message, optional, tag = "2")]
        security: Option<PodSecurity>,
    }
    PodSecurity {
        #[prost(message, optional, tag = "1")]
        namespaces: Option<Namespaces>,
    }
    Namespaces {
        #[prost(int32, tag = "1")]
        network: i32,
        #[prost(int32, tag = "2")]
        pid: i32,
        #[prost(int32, tag = "3")]
        ipc: i32,
    }
    CreateRequest {
        #[prost(string, tag = "1")]
        pod_sandbox_id: String,
        #[prost(message, optional, tag = "2")]
        config: Option<ContainerConfig>,
        #[prost(message, optional, tag = "3")]
        pod: Option<PodConfig>,
    }
    ContainerReference {
        #[prost(string, tag = "1")]
        container_id: String,
    }
    ContainerConfig {
        #[prost(message, optional, tag = "1")]
        metadata: Option<ContainerMetadata>,
        #[prost(message, optional, tag = "2")]
        image: Option<ImageSpec>,
        #[prost(string, repeated, tag = "3")]
        command: Vec<String>,
        #[prost(message, repeated, tag = "7")]
        mounts: Vec<Mount>,
        #[prost(map = "string, string", tag = "9")]
        labels: HashMap<String, String>,
        #[prost(map = "string, string", tag = "10")]
        annotations: HashMap<String, String>,
        #[prost(string, tag = "11")]
        log_path: String,
        #[prost(message, optional, tag = "15")]
        linux: Option<ContainerLinux>,
    }
    Mount {
        #[prost(string, tag = "1")]
        container_path: String,
        #[prost(string, tag = "2")]
        host_path: String,
        #[prost(bool, tag = "3")]
        readonly: bool,
    }
    ContainerMetadata {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(uint32, tag = "2")]
        attempt: u32,
    }
    ImageSpec {
        #[prost(string, tag = "1")]
        image: String,
    }
    ContainerLinux {
        #[prost(message, optional, tag = "1")]
        resources: Option<Resources>,
        #[prost(message, optional, tag = "2")]
        security: Option<ContainerSecurity>,
    }
    Resources {
        #[prost(int64, tag = "4")]
        memory_limit_in_bytes: i64,
    }
    ContainerSecurity {
        #[prost(message, optional, tag = "3")]
        namespaces: Option<Namespaces>,
    }
    StopRequest {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(int64, tag = "2")]
        timeout: i64,
    }
    ExecRequest {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(string, repeated, tag = "2")]
        command: Vec<String>,
        #[prost(int64, tag = "3")]
        timeout: i64,
    }
    ExecReply {
        #[prost(bytes = "vec", tag = "1")]
        stdout: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        stderr: Vec<u8>,
        #[prost(int32, tag = "3")]
        exit_code: i32,
    }
    ImageRequest {
        #[prost(message, optional, tag = "1")]
        image: Option<ImageSpec>,
    }
    PullReply {
        #[prost(string, tag = "1")]
        image: String,
    }
    ImageReply {
        #[prost(message, optional, tag = "1")]
        image: Option<Image>,
    }
    Image {
        #[prost(string, tag = "1")]
        id: String,
    }
    ContainerStatusReply {
        #[prost(message, optional, tag = "1")]
        status: Option<ContainerStatus>,
    }
    ContainerStatus {
        #[prost(int32, tag = "3")]
        state: i32,
        #[prost(int32, tag = "7")]
        exit_code: i32,
        #[prost(string, tag = "10")]
        reason: String,
        #[prost(string, tag = "11")]
        message: String,
    }
}

/// Values of [`Namespaces`]: shared by the pod, the container's own, the node's.
pub mod namespace {
    pub const POD: i32 = 0;
    pub const CONTAINER: i32 = 1;
    pub const NODE: i32 = 2;
}

/// Value of [`ContainerStatus::state`].
pub const EXITED: i32 = 2;
