//! Command lines as real engines write them, and hostile ones.

use super::*;

const ID: &str = "8a5f1c";

fn argv(line: &str) -> Vec<u8> {
    line.split(' ').flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect()
}

fn parse(line: &str) -> Invocation {
    let filename = line.split(' ').next().unwrap_or_default();
    from_arguments(filename, &argv(line))
}

fn runtime(program: Program, command: Command, id: Option<&str>, bundle: Option<&str>) -> Invocation {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Invocation::Runtime { program, command, id: owned(id), bundle: owned(bundle) }
}

#[test]
fn runtimes_that_create() {
    use Command::{Create, Run};
    use Program::{Crun, Kata, Runc, Runsc, Youki};
    let cases = [
        ("crun --root /r --log x create --bundle /b --pid-file p 8a5f1c", Crun, Create),
        (
            "/usr/bin/crun --systemd-cgroup --log-format=json --log=/run/l create --bundle /b --pid-file /p 8a5f1c",
            Crun,
            Create,
        ),
        ("crun --debug run -b /b -d --preserve-fds=2 8a5f1c", Crun, Run),
        ("crun-wasm run --config c.json --bundle=/b 8a5f1c", Crun, Run),
        (
            "/usr/sbin/runc --root=/run/containerd/runc/k8s.io --log=/l.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid --console-socket /tmp/s 8a5f1c",
            Runc,
            Create,
        ),
        ("runc --rootless auto run --no-pivot --bundle=/b -- 8a5f1c", Runc, Run),
        ("youki -r /r -l /log create -b /b -p /pid -c /tty 8a5f1c", Youki, Create),
        ("youki create 8a5f1c --bundle /b", Youki, Create),
        ("runsc --root=/r --platform systrap --debug create --bundle /b --user-log /u 8a5f1c", Runsc, Create),
        ("kata-runtime create --bundle /b 8a5f1c", Kata, Create),
    ];
    for (line, program, command) in cases {
        assert_eq!(parse(line), runtime(program, command, Some(ID), Some("/b")), "{line}");
    }
}

#[test]
fn runtimes_that_do_something_else() {
    use Command::{Delete, Exec, Init, Kill, Other, Start, State};
    let cases = [
        ("runc start 8a5f1c", Start, Some(ID)),
        ("runc --root /r state 8a5f1c", State, Some(ID)),
        // `-f` and `-r` are flags here.
        ("runc delete -f 8a5f1c", Delete, Some(ID)),
        ("runc --root /r --log /l --log-format json delete --force 8a5f1c", Delete, Some(ID)),
        ("runc kill --all 8a5f1c 9", Kill, Some(ID)),
        ("runc exec --process /run/p.json --detach --pid-file /run/p.pid 8a5f1c", Exec, Some(ID)),
        ("runc exec -e PASSWORD=hunter2 -u 0:0 --cap CAP_NET_RAW 8a5f1c sh", Exec, Some(ID)),
        ("runc exec -- 8a5f1c sh", Exec, Some(ID)),
        ("runc init", Init, None),
        ("runc events --stats 8a5f1c", Other, None),
        ("runc --version", Other, None),
        ("runc", Other, None),
        ("runc create", Command::Create, None),
        ("runc create --bundle", Command::Create, None),
        ("runc --root", Other, None),
    ];
    for (line, command, id) in cases {
        assert_eq!(parse(line), runtime(Program::Runc, command, id, None), "{line}");
    }
    // What a container runs is not read as options.
    assert_eq!(parse("crun exec 8a5f1c sh -b /b"), runtime(Program::Crun, Exec, Some(ID), None));
}

#[test]
fn a_runtime_executed_from_memory_is_known_by_its_first_word() {
    for filename in ["/proc/self/exe", "/dev/fd/5", "/proc/self/fd/7", ""] {
        assert_eq!(
            from_arguments(filename, &argv("/usr/bin/runc init")),
            runtime(Program::Runc, Command::Init, None, None)
        );
    }
    assert_eq!(from_arguments("/bin/sh", &argv("sh -c crun")), Invocation::Unknown);
}

#[test]
fn a_cut_argument_is_not_taken_for_a_whole_one() {
    let line = argv("runc create --bundle /bundle 8a5f1c");
    let whole = from_arguments("runc", &line);
    for cut in 0..line.len() {
        match from_arguments("runc", &line[..cut]) {
            Invocation::Program(Program::Runc) => assert!(cut < "runc\0".len()),
            Invocation::Runtime { id, bundle, .. } => {
                assert_eq!(id, None, "cut at {cut}");
                assert!(bundle.is_none_or(|bundle| bundle == "/bundle"), "cut at {cut}");
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    assert_eq!(whole, runtime(Program::Runc, Command::Create, Some(ID), Some("/bundle")));
}

#[test]
fn shims() {
    let shim = |program, bundle: Option<&str>, starting| Invocation::Shim {
        program,
        id: Some(ID.to_owned()),
        namespace: Some("k8s.io".to_owned()),
        bundle: bundle.map(str::to_owned),
        starting,
    };
    let address = "-address /run/containerd/containerd.sock";
    let publish = "-publish-binary /usr/bin/containerd";
    let runc = "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io";
    assert_eq!(
        parse(&format!("{runc} {address} {publish} -id 8a5f1c start")),
        shim(Program::RuncShim, None, true)
    );
    assert_eq!(
        parse(&format!("{runc} -debug {address} {publish} -id 8a5f1c -bundle /b delete")),
        shim(Program::RuncShim, Some("/b"), false)
    );
    assert_eq!(parse(&format!("{runc} -id 8a5f1c {address}")), shim(Program::RuncShim, None, false));
    assert_eq!(
        parse(&format!(
            "/opt/containerd-shim-wasmedge-v1 -namespace k8s.io -id 8a5f1c {address} {publish} start"
        )),
        shim(Program::WasmShim, None, true)
    );
    assert_eq!(
        parse(&format!("/opt/containerd-shim-kata-v2 -namespace k8s.io {address} -id 8a5f1c start")),
        shim(Program::Kata, None, true)
    );
}

#[test]
fn conmon_as_podman_calls_it() {
    let line = "/usr/bin/conmon --api-version 1 -c 8a5f1c -u 8a5f1c -r /usr/bin/crun \
        -b /var/lib/containers/storage/overlay-containers/8a5f1c/userdata -p /run/8a5f1c/pidfile -n web \
        --exit-dir /run/libpod/exits --full-attach -s -l k8s-file:/ctr.log --log-level warning --syslog \
        --runtime-arg --log-format=json --runtime-arg --log --runtime-arg=/run/oci-log \
        --conmon-pidfile /run/conmon.pid --exit-command /usr/bin/podman --exit-command-arg --root \
        --exit-command-arg -n --exit-command-arg not-its-name";
    let line: Vec<&str> = line.split_whitespace().collect();
    let expected = Invocation::Conmon {
        id: Some(ID.to_owned()),
        name: Some("web".to_owned()),
        bundle: Some("/var/lib/containers/storage/overlay-containers/8a5f1c/userdata".to_owned()),
        log_path: Some("/ctr.log".to_owned()),
    };
    assert_eq!(parse(&line.join(" ")), expected);
    // A flag does not swallow the option behind it.
    for flag in ["--syslog", "-t", "--exec-attach", "--no-new-keyring", "--sync"] {
        let line = format!("conmon {flag} --cid 8a5f1c --name=web");
        let expected = Invocation::Conmon {
            id: Some(ID.into()),
            name: Some("web".into()),
            bundle: None,
            log_path: None,
        };
        assert_eq!(parse(&line), expected, "{flag}");
    }
}

#[test]
fn conmon_names_the_file_that_it_logs_to() {
    let log = |words: &str| match parse(&format!("conmon -c 8a5f1c {words}")) {
        Invocation::Conmon { log_path, .. } => log_path,
        other => panic!("{other:?}"),
    };
    for words in
        ["-l k8s-file:/a/ctr.log", "--log-path /a/ctr.log", "--log-path=k8s-file:/a/ctr.log", "-l /a/ctr.log"]
    {
        assert_eq!(log(words).as_deref(), Some("/a/ctr.log"), "{words}");
    }
    for words in ["-l journald", "-l none", "-l passthrough", "-l", "--log-level /a", "-l k8s-file:", ""] {
        assert_eq!(log(words), None, "{words}");
    }
    assert_eq!(log("-l journald -l k8s-file:/a").as_deref(), Some("/a"));
}

#[test]
fn cni_environments() {
    let environ =
        b"LF=x\0PATH=/bin\0CNI_COMMAND=ADD\0CNI_CONTAINERID=8a5f1c\0CNI_NETNS=/var/run/netns/cni-1\0\
        CNI_ARGS=K8S_POD_NAME=web;IgnoreUnknown=1\0CNI_IFNAME=eth0\0CNI_PATH=/opt/cni/bin\0";
    let cni = |command, netns: Option<&str>| Invocation::Cni {
        command,
        container_id: Some(ID.to_owned()),
        netns: netns.map(str::to_owned),
        interface: Some("eth0".to_owned()),
    };
    assert_eq!(from_environment(environ), cni(CniCommand::Add, Some("/var/run/netns/cni-1")));
    let shorter = b"CNI_IFNAME=eth0\0CNI_COMMAND=DEL\0CNI_CONTAINERID=8a5f1c";
    assert_eq!(from_environment(shorter), cni(CniCommand::Del, None));
    for other in [&b""[..], b"\0\0", b"PATH=/bin\0", b"CNI_COMMAND\0", b"XCNI_COMMAND=ADD\0"] {
        assert_eq!(from_environment(other), Invocation::Unknown);
    }
}

#[test]
fn hostile_words_stay_words() {
    for line in ["", "\0", "\0\0\0", "- - -", "-- -- --", "--= -= =", "\u{1b}[2J"] {
        assert_eq!(from_arguments("/bin/true", &argv(line)), Invocation::Unknown);
        // Read without a panic, whatever comes of it.
        for program in ["crun", "containerd-shim-runc-v2", "conmon"] {
            assert!(from_arguments(program, &argv(line)).program().is_some());
        }
    }
    let bytes = b"crun\0create\0\xff\xfe\x1b[0m\0";
    let expected = runtime(Program::Crun, Command::Create, Some("\u{fffd}\u{fffd}\u{1b}[0m"), None);
    assert_eq!(from_arguments("crun", bytes), expected);
}

#[test]
fn policy_tools_are_asked_for_one_thing() {
    const IMAGE: &str = "registry.local/app:1";
    for (line, call, image) in [
        ("opa build -t wasm -e a/b policy.rego", ToolCall::Build, None),
        ("/usr/local/bin/opa build .", ToolCall::Build, None),
        ("opa test build", ToolCall::Other, None),
        ("opa", ToolCall::Other, None),
        ("cosign verify --key cosign.pub registry.local/app:1", ToolCall::Verify, Some(IMAGE)),
        ("cosign verify registry.local/app:1 --key=cosign.pub", ToolCall::Verify, Some(IMAGE)),
        (
            "cosign verify --registry-password secret --offline registry.local/app:1",
            ToolCall::Verify,
            Some(IMAGE),
        ),
        (
            "cosign -t 3m -d verify-attestation --type spdx registry.local/app:1",
            ToolCall::Verify,
            Some(IMAGE),
        ),
        ("cosign verify", ToolCall::Verify, None),
        ("cosign --output-file verify sign registry.local/app:1", ToolCall::Other, None),
        ("cosign verify-blob --key cosign.pub file", ToolCall::Other, None),
    ] {
        assert_eq!(parse(line), Invocation::Tool { call, image: image.map(str::to_owned) }, "{line}");
    }
    for line in ["/bin/sh ./opa build .", "/usr/bin/python3 -u ./opa build .", "opa build ."] {
        let build = Invocation::Tool { call: ToolCall::Build, image: None };
        assert_eq!(from_arguments("./opa", &argv(line)), build, "{line}");
    }
    for line in ["opaque build", "cosigned verify", "build opa"] {
        assert_eq!(parse(line), Invocation::Unknown, "{line}");
    }
}
