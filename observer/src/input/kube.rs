//! What the Kubernetes API says: lists of objects, each cut down to what is asked of it.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

/// An answer. A later one of the same kind replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kube {
    Node(Box<KubeNode>),
    /// Pods of this node.
    Pods(Vec<KubePod>),
    /// Pods that have no node yet.
    Unplaced(Vec<KubePod>),
    Namespaces(Vec<KubeNamespace>),
    Services(Vec<KubeService>),
    Slices(Vec<KubeSlice>),
    Policies(Vec<KubePolicy>),
    Autoscalers(Vec<KubeAutoscaler>),
    Webhooks(Vec<KubeWebhook>),
    RuntimeClasses(Vec<KubeRuntimeClass>),
    /// Warnings about pods.
    Events(Vec<KubeEvent>),
}

/// What is asked for, one list each. They are asked in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KubeKind {
    Node,
    Pods,
    Unplaced,
    Namespaces,
    Services,
    Slices,
    Policies,
    Autoscalers,
    ValidatingWebhooks,
    MutatingWebhooks,
    RuntimeClasses,
    Events,
}

impl KubeKind {
    pub const ALL: [KubeKind; 12] = [
        KubeKind::Node,
        KubeKind::Pods,
        KubeKind::Unplaced,
        KubeKind::Namespaces,
        KubeKind::Services,
        KubeKind::Slices,
        KubeKind::Policies,
        KubeKind::Autoscalers,
        KubeKind::ValidatingWebhooks,
        KubeKind::MutatingWebhooks,
        KubeKind::RuntimeClasses,
        KubeKind::Events,
    ];

    /// As people say it.
    pub const fn name(self) -> &'static str {
        match self {
            KubeKind::Node => "this node",
            KubeKind::Pods => "pods of this node",
            KubeKind::Unplaced => "pods without a node",
            KubeKind::Namespaces => "namespaces",
            KubeKind::Services => "services",
            KubeKind::Slices => "endpoint slices",
            KubeKind::Policies => "network policies",
            KubeKind::Autoscalers => "autoscalers",
            KubeKind::ValidatingWebhooks => "validating webhooks",
            KubeKind::MutatingWebhooks => "mutating webhooks",
            KubeKind::RuntimeClasses => "runtime classes",
            KubeKind::Events => "events of pods",
        }
    }
}

/// What the node offers to pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeNode {
    pub name: String,
    /// How many pods it takes. `None`: not said.
    pub max_pods: Option<u64>,
    pub milli_cpus: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub addresses: Vec<IpAddr>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubePod {
    pub namespace: String,
    pub name: String,
    pub phase: String,
    /// It is being deleted.
    pub is_ending: bool,
    pub ips: Vec<IpAddr>,
    pub host_network: bool,
    /// Kind and name of what made it.
    pub owner: Option<(String, String)>,
    pub labels: BTreeMap<String, String>,
    /// Only those that meshes read.
    pub annotations: BTreeMap<String, String>,
    /// Of `PodScheduled`, where that is false: reason and message.
    pub unplaced: Option<(String, String)>,
    /// Names, those of containers that begin before the others included.
    pub containers: Vec<String>,
    /// It may ask the API who it is. Proxies of some meshes cannot do without.
    pub has_token: bool,
    /// What it asks for, all its containers together.
    pub milli_cpus: u64,
    pub memory_bytes: u64,
    /// The RuntimeClass that it names.
    #[serde(default)]
    pub runtime_class: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeRuntimeClass {
    pub name: String,
    /// What engines know it by.
    pub handler: String,
}

/// What was said of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeEvent {
    pub namespace: String,
    pub pod: String,
    pub reason: String,
    pub message: String,
    pub count: u64,
    /// When it was said last, seconds since the epoch.
    pub last: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeNamespace {
    pub name: String,
    /// Only those that meshes read.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeService {
    pub namespace: String,
    pub name: String,
    /// Its addresses within the cluster.
    pub addresses: Vec<IpAddr>,
    /// Name, port, and the number of the port of its pods where that is no name.
    pub ports: Vec<(String, u16)>,
}

/// Where a service is to be found, or a part of where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeSlice {
    pub namespace: String,
    pub service: String,
    /// Of those that are ready.
    pub ready: Vec<IpAddr>,
    /// Names of ports and their numbers at these addresses.
    pub ports: Vec<(String, u16)>,
}

/// A NetworkPolicy, as far as it says who may not speak to anybody at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubePolicy {
    pub namespace: String,
    pub name: String,
    /// Seconds since the epoch.
    pub created: i64,
    pub selector: Vec<KubeRequirement>,
    /// What it says of what comes in, and of what goes out. `None`: nothing.
    pub ingress: Option<Allows>,
    pub egress: Option<Allows>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allows {
    Nothing,
    /// Whatever its rules say.
    Some,
}

/// What the labels of a pod have to be like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KubeRequirement {
    pub key: String,
    pub how: Requires,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Requires {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    /// Something that came after this was written: nobody knows whom it selects.
    Other,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeAutoscaler {
    pub namespace: String,
    pub name: String,
    /// Kind and name of what it scales.
    pub target: (String, String),
    /// Of `ScalingActive`, where that is false: reason and message.
    pub inactive: Option<(String, String)>,
}

/// A webhook of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubeWebhook {
    pub name: String,
    pub timeout_s: u64,
    /// Requests fail with it.
    pub fails: bool,
    /// Namespace, name, port and path of its service; of one that is named by a URL: none.
    pub service: Option<(String, String, u16, Option<String>)>,
}
