//! All signals and labels there are. A rule may name no other.

use observer_ebpf::Family;

/// What a signal is, for those who write rules and those who judge whether it can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct SignalSpec {
    /// `area.noun_unit`.
    pub name: &'static str,
    pub what: &'static str,
    /// The probes that it comes from: without them it is unknown.
    pub needs: &'static [Family],
}

macro_rules! signals {
    ($($variant:ident $name:literal [$($family:ident)*] $what:literal)*) => {
        /// A named value that rules are made of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Signal { $($variant),* }

        impl Signal {
            pub const ALL: &'static [Signal] = &[$(Signal::$variant),*];

            pub const fn spec(self) -> SignalSpec {
                match self {
                    $(Signal::$variant => SignalSpec {
                        name: $name, what: $what, needs: &[$(Family::$family),*],
                    }),*
                }
            }
        }
    };
}

signals! {
    RuntimeStart "runtime.start_count" [Process] "a container's payload began"
    RuntimeExit "runtime.exit_count" [Process] "a container's init ended"
    StartFailed "start.failed_count" [Process] "a container's start came to nothing"
    StartTotal "start.total_ms" [Process] "from a start's beginning until it was ready, without pulling its image"
    StartSlow "start.slow_ratio" [Process] "a start against the median of earlier starts of its image, where it took at least 100 ms more"
    WasmLoad "wasm.load_ms" [Process File Memory] "loading and instantiating a Wasm module"
    WasmLoadSlow "wasm.load_ratio" [Process File Memory] "the same against the median of earlier loads of the image"
    StdioBroken "stdio.broken_write_count" [Stdio] "writes of a container that failed as nobody reads its log pipe"
    StdioBlocked "stdio.blocked_ms" [Stdio] "how long a writer has waited for room in its log pipe"
    StdioUndelivered "stdio.undelivered_bytes" [Stdio] "written to the log pipe and never taken out"
    StdioLogStuck "stdio.log_stuck_bytes" [Stdio] "taken out of the log pipe, and not in the log"
    StdioHeld "stdio.held_bytes" [Stdio] "written all at once, just before the end of a long life"
    StdioDelivered "stdio.delivered_bytes" [Stdio] "taken out of the log pipe"
    MemoryTrap "memory.trap_count" [Fault] "a Wasm engine caught its code touching what it may not"
    MemoryOomKill "memory.oom_kill_count" [Fault] "killed for want of memory"
    MemoryMapFailed "memory.map_failed_count" [Memory] "address space was refused"
    MemoryLimit "memory.limit_percent" [] "how much of its limit a container's working set is"
    MemoryLinear "memory.linear_bytes" [Memory] "how much of its linear memories a container's Wasm modules may access"
    DnsFailed "dns.lookup_failed_count" [Dns] "look-ups of names that could not be done, or came to nothing"
    DnsAnswered "dns.lookup_answered_count" [Dns] "look-ups of names that were answered"
    DnsLatency "dns.latency_ms" [Dns] "how long a look-up took that was answered"
    NetFailed "net.connect_failed_count" [Net] "connections that could not be made"
    NetOk "net.connect_ok_count" [Net] "connections that were made"
    IngressRefused "ingress.refused_count" [Net] "connections to a port of the node by which its cluster is entered, which nobody listens at any more"
    IngressServed "ingress.served_count" [] "such a port is listened at, or answers"
    ProxyAnswer "proxy.answer_count" [] "answers of a proxy, by its spans, that it had to give itself: by no route, or as nobody behind it could"
    ProxyFailed "proxy.failed_percent" [] "share of a proxy's answers of the last minute that are 502, 503 or 504"
    ProxyMemory "proxy.memory_bytes" [] "memory of a proxy beside an application, without pages of files"
    NetTxTimeout "net.tx_timeout_count" [Hardware] "a network device did not send in time what it was given"
    MachineCheck "node.machine_check_count" [Hardware] "the machine reported an error of its hardware"
    NetStalled "net.stalled_count" [Net] "connections on which nothing is acknowledged any more"
    WebhookFailed "webhook.call_failed_count" [Webhook] "calls of webhooks without an answer"
    WebhookAnswered "webhook.call_answered_count" [Webhook] "calls of webhooks that were answered"
    WebhookSlow "webhook.call_slow_count" [Webhook] "calls of webhooks that were answered, after more than half of their deadline"
    WebhookServerCpu "webhook.server_cpu_ms" [Webhook Cpu] "for how long the server of a call that was answered was on a CPU"
    WebhookDenied "webhook.call_denied_count" [Tls] "calls of webhooks that were answered with a no"
    TlsFailed "tls.handshake_failed_count" [Net] "TLS handshakes that came to nothing"
    TlsOk "tls.handshake_ok_count" [Net] "TLS handshakes that were completed"
    TextLine "text.line_count" [Text] "lines of text that a keyword of the catalogue matches"
    ToolFailed "tool.failed_count" [Process Text] "a policy tool that was run outside of containers ended with an error, and has said why"
    FileFailed "file.failed_count" [Storage] "operations on files that failed for want of room, or as the device failed"
    FileDenied "file.denied_count" [Storage] "operations on files that a container is not permitted, or whose file system is read-only"
    CpuThrottled "cpu.throttled_percent" [] "share of a container's periods in which it was throttled"
    CpuUsed "cpu.used_percent" [] "of one CPU"
    CpuRunqueue "cpu.runqueue_p99_ms" [Cpu] "how long tasks of the node wait for a CPU"
    CpuSteal "cpu.steal_percent" [] "CPU time that the hypervisor gave to others"
    IoMost "io.latency_p90_ms" [Hardware] "how long requests to a block device take that somebody waits for: 90 of 100"
    IoLatency "io.latency_p99_ms" [Hardware] "the same: 99 of 100"
    IoSync "io.fsync_p99_ms" [Hardware] "how long a component waits until its files are on their device"
    CertificateValid "node.certificate_valid_days" [] "for how long a certificate of the control plane or the kubelet is valid"
    KubeUnplaced "kube.pod_unplaced_count" [] "a pod for which the scheduler finds no node"
    KubeRefused "kube.pod_refused_count" [] "a pod that a node refuses that has as many as it takes, and little to do"
    KubeNoSidecar "kube.sidecar_missing_count" [] "a pod that asks for a proxy beside it, and has none"
    KubeNoClass "kube.runtimeclass_missing_count" [] "a pod of this node that waits, and names a RuntimeClass that there is not"
    KubePodEvent "kube.pod_event_count" [] "a pod of this node that waits, and of which a kubelet says of late what keeps it from beginning"
    KubeBlind "kube.autoscaler_blind_count" [] "an autoscaler of pods of this node that has nothing to go by"
    KubeForbidden "kube.forbidden_connection_count" [Net] "connections that were made although a policy allows none"
    TrackedCollided "net.conntrack_insert_failed_count" [] "packets dropped as their connection collided with another in the table of connections"
    TrackedFull "net.conntrack_full_count" [] "packets dropped, and connections forgotten, as the table of connections was full"
    FilesystemFree "node.filesystem_free_percent" [] "bytes"
    InodesFree "node.inodes_free_percent" [] "inodes"
}

impl Signal {
    pub fn of(name: &str) -> Option<Signal> {
        Signal::ALL.iter().copied().find(|signal| signal.name() == name)
    }

    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The hook of its probe that it comes from, where the probe is something without it.
    pub const fn hook(self) -> Option<&'static str> {
        match self {
            Signal::TlsFailed | Signal::TlsOk => Some("packets"),
            _ => None,
        }
    }

    /// Whether it is counted; others are measured.
    pub fn is_count(self) -> bool {
        self.unit() == "count"
    }

    /// Of its values: the last part of its name.
    pub fn unit(self) -> &'static str {
        self.name().rsplit('_').next().unwrap_or_default()
    }
}

macro_rules! labels {
    ($($variant:ident $name:literal)*) => {
        /// By what observations of a signal are told apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Label { $($variant),* }

        impl Label {
            pub const ALL: &'static [Label] = &[$(Label::$variant),*];

            pub const fn name(self) -> &'static str {
                match self { $(Label::$variant => $name),* }
            }
        }
    };
}

labels! {
    Alert "alert"
    AtMaximum "at_maximum"
    Backend "backend"
    Call "call"
    Client "client"
    Code "code"
    Cold "cold"
    Component "component"
    Container "container"
    Datastore "datastore"
    Deadline "deadline"
    Device "device"
    Drop "drop"
    Endpoints "endpoints"
    Errno "errno"
    Exit "exit"
    Fd "fd"
    Features "features"
    Filesystem "filesystem"
    Flags "flags"
    Handled "handled"
    Handler "handler"
    Host "host"
    Image "image"
    Instance "instance"
    Keyword "keyword"
    Kind "kind"
    Limit "limit"
    Message "message"
    Name "name"
    Object "object"
    Oom "oom"
    Outcome "outcome"
    Path "path"
    Phase "phase"
    Place "place"
    Pod "pod"
    Policy "policy"
    Port "port"
    Process "process"
    Proxy "proxy"
    Qtype "qtype"
    Reader "reader"
    Region "region"
    Runtime "runtime"
    Scope "scope"
    Seen "seen"
    Serves "serves"
    Server "server"
    ServerState "server_state"
    Signal "signal"
    State "state"
    Status "status"
    Top "top"
    Version "version"
    Webhook "webhook"
    Zone "zone"
}

impl Label {
    pub fn of(name: &str) -> Option<Label> {
        Label::ALL.iter().copied().find(|label| label.name() == name)
    }
}
