//! What a program was asked to do, from its arguments or environment. The words themselves stop here: only
//! what names a container, a bundle or a network namespace goes on.

use serde::{Deserialize, Serialize};

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
    },
    /// A CNI plugin.
    Cni {
        command: CniCommand,
        container_id: Option<String>,
        netns: Option<String>,
        interface: Option<String>,
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
            Invocation::Unknown | Invocation::Cni { .. } => None,
        }
    }
}

/// Reads NUL-terminated arguments. A last one without its NUL was cut: half an id is no id.
pub fn from_arguments(filename: &str, argv: &[u8]) -> Invocation {
    let Some(end) = argv.iter().rposition(|byte| *byte == 0) else {
        return Program::from_path(filename).map_or(Invocation::Unknown, Invocation::Program);
    };
    let words: Vec<String> =
        argv[..end].split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    // A runtime that re-executes itself from memory has no file name worth reading; its first word stays.
    let Some((program, path)) = [filename, &words[0]]
        .into_iter()
        .find_map(|path| Program::from_path(path).map(|program| (program, path)))
    else {
        return Invocation::Unknown;
    };
    let is_shim = path.rsplit('/').next().is_some_and(|name| name.starts_with("containerd-shim"));
    let words = &words[1..];
    match program {
        _ if is_shim => shim(program, words),
        Program::Conmon => conmon(words),
        _ if program.is_oci_runtime() => runtime(program, words),
        _ => Invocation::Program(program),
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

/// Options before the command of crun, runc, youki and runsc that take their value in the next word.
const GLOBAL_VALUES: &[&str] = &[
    "root",
    "r",
    "log",
    "l",
    "log-format",
    "log-level",
    "cgroup-manager",
    "criu",
    "rootless",
    "user-log",
    "platform",
    "network",
    "debug-log",
];

/// The same, of `create` and `run`.
const CREATE_VALUES: &[&str] = &[
    "bundle",
    "b",
    "config",
    "f",
    "pid-file",
    "p",
    "console-socket",
    "c",
    "pidfd-socket",
    "preserve-fds",
    "user-log",
];

/// The same, of `exec`. What they carry (an environment!) goes no further, and must not pass for the id.
const EXEC_VALUES: &[&str] = &[
    "console-socket",
    "pidfd-socket",
    "pid-file",
    "cwd",
    "env",
    "e",
    "user",
    "u",
    "additional-gids",
    "g",
    "process",
    "p",
    "process-label",
    "apparmor",
    "cap",
    "c",
    "preserve-fds",
    "cgroup",
    "user-log",
];

fn runtime(program: Program, words: &[String]) -> Invocation {
    let mut words = words.iter();
    let name = next_plain(&mut words, GLOBAL_VALUES, |_, _| {});
    let command = match name {
        Some("create") => Command::Create,
        Some("run") => Command::Run,
        Some("start") => Command::Start,
        Some("delete") => Command::Delete,
        Some("kill") => Command::Kill,
        Some("state") => Command::State,
        Some("exec") => Command::Exec,
        Some("init") => Command::Init,
        _ => Command::Other,
    };
    let with_value = match command {
        Command::Create | Command::Run => CREATE_VALUES,
        Command::Exec => EXEC_VALUES,
        // The words of other commands are not known, so none of them is taken for an id.
        Command::Other | Command::Init => {
            return Invocation::Runtime { program, command, id: None, bundle: None };
        }
        Command::Start | Command::Delete | Command::Kill | Command::State => &[],
    };
    let mut bundle = None;
    let mut on_value = |name: &str, value: &str| {
        if name == "bundle" || name == "b" {
            bundle = Some(value.to_owned());
        }
    };
    let id = next_plain(&mut words, with_value, &mut on_value).map(str::to_owned);
    // Some runtimes take options behind the id; behind that of `exec` is the command of a container.
    if command != Command::Exec {
        while next_plain(&mut words, with_value, &mut on_value).is_some() {}
    }
    Invocation::Runtime { program, command, id, bundle }
}

const SHIM_VALUES: &[&str] = &["namespace", "address", "publish-binary", "id", "bundle", "socket", "workdir"];

fn shim(program: Program, words: &[String]) -> Invocation {
    let (mut id, mut namespace, mut bundle) = (None, None, None);
    let command = next_plain(&mut words.iter(), SHIM_VALUES, |name, value| match name {
        "id" => id = Some(value.to_owned()),
        "namespace" => namespace = Some(value.to_owned()),
        "bundle" => bundle = Some(value.to_owned()),
        _ => {}
    });
    let starting = command == Some("start");
    Invocation::Shim { program, id, namespace, bundle, starting }
}

/// conmon's options that take no value; all others do.
const CONMON_FLAGS: &[&str] = &[
    "t",
    "terminal",
    "i",
    "stdin",
    "s",
    "systemd-cgroup",
    "e",
    "exec",
    "exec-attach",
    "no-new-keyring",
    "no-pivot",
    "no-sync-log",
    "sync",
    "syslog",
    "leave-stdin-open",
    "replace-listen-pid",
    "version",
    "full-attach",
    "no-container-partial-message",
    "log-rotate",
];

fn conmon(words: &[String]) -> Invocation {
    let (mut id, mut name, mut bundle) = (None, None, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            break;
        }
        let Some(option) = option_name(word) else { continue };
        if CONMON_FLAGS.contains(&option) {
            continue;
        }
        let value = match word.split_once('=') {
            Some((_, value)) => value.to_owned(),
            None => rest.next().cloned().unwrap_or_default(),
        };
        match option {
            "c" | "cid" => id = Some(value),
            "n" | "name" => name = Some(value),
            "b" | "bundle" => bundle = Some(value),
            _ => {}
        }
    }
    Invocation::Conmon { id, name, bundle }
}

fn option_name(word: &str) -> Option<&str> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    (!name.is_empty()).then_some(name)
}

/// The next word that is neither an option nor an option's value; `on_value` sees the options with a value
/// on the way. Behind `--` all words are plain.
fn next_plain<'a>(
    words: &mut std::slice::Iter<'a, String>,
    with_value: &[&str],
    mut on_value: impl FnMut(&str, &str),
) -> Option<&'a str> {
    while let Some(word) = words.next() {
        if word == "--" {
            // Consumes the rest: what is behind the first plain word has no options to be read.
            return std::mem::take(words).next().map(String::as_str);
        }
        let Some(name) = option_name(word) else {
            if word.is_empty() {
                continue;
            }
            return Some(word);
        };
        if let Some((_, value)) = word.split_once('=') {
            on_value(name, value);
        } else if with_value.contains(&name)
            && let Some(value) = words.next()
        {
            on_value(name, value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
