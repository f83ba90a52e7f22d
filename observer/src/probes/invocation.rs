//! What a program was asked to do, from its arguments or environment. The words themselves stop here: only
//! what names a container, a bundle or a network namespace goes on.

mod arguments;

use serde::{Deserialize, Serialize};

pub use arguments::from_arguments;

/// A program this tool knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Program {
    Crun,
    Runc,
    Youki,
    Runsc,
    Kata,
    RuncShim,
    /// A shim that is runtime and engine in one (runwasi).
    WasmShim,
    OtherShim,
    Conmon,
    Containerd,
    Crio,
    Dockerd,
    K3s,
    Podman,
}

/// Basename prefixes, longest first, and what they are.
const PROGRAMS: &[(&str, Program)] = &[
    ("containerd-shim-wasmedge", Program::WasmShim),
    ("containerd-shim-wasmtime", Program::WasmShim),
    ("containerd-shim-wasmer", Program::WasmShim),
    ("containerd-shim-wamr", Program::WasmShim),
    ("containerd-shim-spin", Program::WasmShim),
    ("containerd-shim-runc", Program::RuncShim),
    ("containerd-shim-kata", Program::Kata),
    ("containerd-shim", Program::OtherShim),
    ("containerd", Program::Containerd),
    ("conmon", Program::Conmon),
    ("conmonrs", Program::Conmon),
    ("crio", Program::Crio),
    ("crun", Program::Crun),
    ("dockerd", Program::Dockerd),
    ("k3s", Program::K3s),
    ("kata-runtime", Program::Kata),
    ("krun", Program::Crun),
    ("podman", Program::Podman),
    ("runc", Program::Runc),
    ("runsc", Program::Runsc),
    ("youki", Program::Youki),
];

impl Program {
    pub fn from_path(path: &str) -> Option<Program> {
        let name = path.rsplit('/').next().unwrap_or(path);
        // A name goes on with a dash or a dot, not with a letter: runcon is not runc.
        let is = |prefix: &str| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
        };
        PROGRAMS.iter().find(|(prefix, _)| is(prefix)).map(|(_, program)| *program)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Program::Crun => "crun",
            Program::Runc => "runc",
            Program::Youki => "youki",
            Program::Runsc => "runsc",
            Program::Kata => "kata",
            Program::RuncShim => "containerd-shim-runc",
            Program::WasmShim => "runwasi",
            Program::OtherShim => "containerd-shim",
            Program::Conmon => "conmon",
            Program::Containerd => "containerd",
            Program::Crio => "cri-o",
            Program::Dockerd => "dockerd",
            Program::K3s => "k3s",
            Program::Podman => "podman",
        }
    }

    /// Whether it is an OCI runtime with the usual command line.
    pub const fn is_oci_runtime(self) -> bool {
        matches!(self, Program::Crun | Program::Runc | Program::Youki | Program::Runsc | Program::Kata)
    }
}

/// What an OCI runtime was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Create,
    Run,
    Start,
    Delete,
    Kill,
    State,
    Exec,
    /// runc's own second stage.
    Init,
    Other,
}

/// What a policy tool was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolCall {
    /// `opa build`.
    Build,
    /// `cosign verify`, of an image or of what is attested of it.
    Verify,
    Other,
}

impl ToolCall {
    pub const fn name(self) -> &'static str {
        match self {
            ToolCall::Build => "build",
            ToolCall::Verify => "verify",
            ToolCall::Other => "other",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invocation {
    #[default]
    Unknown,
    /// A known program whose arguments say nothing of use.
    Program(Program),
    Runtime {
        program: Program,
        command: Command,
        id: Option<String>,
        bundle: Option<String>,
    },
    /// A containerd shim. `starting`: its short-lived `start` invocation.
    Shim {
        program: Program,
        id: Option<String>,
        namespace: Option<String>,
        bundle: Option<String>,
        starting: bool,
    },
    Conmon {
        id: Option<String>,
        name: Option<String>,
        bundle: Option<String>,
        /// The file that it logs to.
        #[serde(default)]
        log_path: Option<String>,
    },
    /// A CNI plugin.
    Cni {
        command: CniCommand,
        container_id: Option<String>,
        netns: Option<String>,
        interface: Option<String>,
    },
    /// opa or cosign.
    Tool {
        call: ToolCall,
        /// What is to be verified.
        image: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CniCommand {
    Add,
    Del,
    Other,
}

impl Invocation {
    pub fn program(&self) -> Option<Program> {
        match self {
            Invocation::Program(program)
            | Invocation::Runtime { program, .. }
            | Invocation::Shim { program, .. } => Some(*program),
            Invocation::Conmon { .. } => Some(Program::Conmon),
            Invocation::Unknown | Invocation::Cni { .. } | Invocation::Tool { .. } => None,
        }
    }
}

/// Reads the CNI variables among NUL-separated `NAME=value` pairs; the first may be cut.
pub fn from_environment(environ: &[u8]) -> Invocation {
    let find = |name: &[u8]| {
        environ.split(|byte| *byte == 0).find_map(|pair| {
            let value = pair.strip_prefix(name)?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        })
    };
    let Some(command) = find(b"CNI_COMMAND") else { return Invocation::Unknown };
    let command = match command.as_str() {
        "ADD" => CniCommand::Add,
        "DEL" => CniCommand::Del,
        _ => CniCommand::Other,
    };
    Invocation::Cni {
        command,
        container_id: find(b"CNI_CONTAINERID"),
        netns: find(b"CNI_NETNS"),
        interface: find(b"CNI_IFNAME"),
    }
}

#[cfg(test)]
mod tests;
