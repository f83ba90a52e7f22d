//! Command lines of runtimes, shims, conmon and policy tools. Options differ between them; a value that is taken for a
//! container's id would be a secret in a recording, so each one's options are listed.

use super::{Command, Invocation, Program, ToolCall};

/// Reads NUL-terminated arguments. A last one without its NUL was cut: half an id is no id.
pub fn from_arguments(filename: &str, argv: &[u8]) -> Invocation {
    let Some(end) = argv.iter().rposition(|byte| *byte == 0) else {
        return Program::from_path(filename).map_or(Invocation::Unknown, Invocation::Program);
    };
    let words: Vec<String> =
        argv[..end].split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    // Those of a script are behind its interpreter, an option of that, and its own path.
    let own = words.iter().take(3).position(|word| word == filename).unwrap_or(0);
    if let Some(tool) = tool(filename, &words[own + 1..]) {
        return tool;
    }
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
    let (mut id, mut name, mut bundle, mut log_path) = (None, None, None, None);
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
            "l" | "log-path" => log_path = log_path.or_else(|| log_file(&value)),
            _ => {}
        }
    }
    Invocation::Conmon { id, name, bundle, log_path }
}

/// `DRIVER:PATH`, or a path alone, which is a file; other drivers have none.
fn log_file(value: &str) -> Option<String> {
    let path = value.strip_prefix("k8s-file:").unwrap_or(value);
    path.starts_with('/').then(|| path.to_owned())
}

/// Options of cosign, before its command and behind `verify`, that take their value in the next word.
const COSIGN_VALUES: &[&str] = &[
    "output-file",
    "timeout",
    "t",
    "annotations",
    "a",
    "attachment",
    "attachment-tag-prefix",
    "ca-intermediates",
    "ca-roots",
    "certificate",
    "certificate-chain",
    "certificate-github-workflow-name",
    "certificate-github-workflow-ref",
    "certificate-github-workflow-repository",
    "certificate-github-workflow-sha",
    "certificate-github-workflow-trigger",
    "certificate-identity",
    "certificate-identity-regexp",
    "certificate-oidc-issuer",
    "certificate-oidc-issuer-regexp",
    "key",
    "max-workers",
    "output",
    "o",
    "payload",
    "policy",
    "registry-cacert",
    "registry-client-cert",
    "registry-client-key",
    "registry-password",
    "registry-server-name",
    "registry-token",
    "registry-username",
    "rekor-url",
    "sct",
    "signature",
    "signature-digest-algorithm",
    "slot",
    "timestamp-certificate-chain",
    "trusted-root",
    "type",
];

fn tool(path: &str, words: &[String]) -> Option<Invocation> {
    let mut words = words.iter();
    let mut next = |with_value: &[&str]| next_plain(&mut words, with_value, |_, _| {});
    let (call, image) = match path.rsplit('/').next()? {
        "opa" if next(&[]) == Some("build") => (ToolCall::Build, None),
        "cosign" if matches!(next(COSIGN_VALUES), Some("verify" | "verify-attestation")) => {
            (ToolCall::Verify, next(COSIGN_VALUES).map(str::to_owned))
        }
        "opa" | "cosign" => (ToolCall::Other, None),
        _ => return None,
    };
    Some(Invocation::Tool { call, image })
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
