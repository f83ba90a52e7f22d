//! The image, loaded by engines without a network and run as the manifest says: with the rights that it asks for everything
//! attaches, without one of them it is said what is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    process::Command,
};

use observer::app::demo::stage::{containerd::Containerd, image::Image};
use observer_tests::{
    deploy::{Manifest, manifest},
    rig::{Bundle, Stage, program, stage, stdio::until, watch::observer},
};
use serde_json::Value;

/// What containerd gives a container that asks for nothing else.
const BY_DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

fn built() -> Image {
    let target = || {
        env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")), PathBuf::from)
    };
    let archive =
        env::var_os("OBSERVER_IMAGE").map_or_else(|| target().join("image/debug.tar"), PathBuf::from);
    assert!(archive.is_file(), "no {}: `cargo xtask image --debug` makes it", archive.display());
    let archive = archive.canonicalize().expect("a path");
    Image { name: concat!("localhost/observer:", env!("CARGO_PKG_VERSION")).to_owned(), archive }
}

/// Where this machine has the unified hierarchy beside that of the limits, the stage has none at all, which is as runtimes
/// want it and as no node is.
fn as_on_a_node(stage: &Stage) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let Some(mount) = mounts.lines().find(|line| line.contains(" /sys/fs/cgroup/unified ")) else { return };
    let options = mount.rsplit(' ').next().expect("options");
    let at = stage.path("unified");
    std::fs::create_dir(&at).expect("a folder");
    let mut command = stage.command(stage.busybox());
    command.args(["mount", "-t", "cgroup2", "-o", options, "none"]).arg(at);
    stage.run(&mut command).expect("busybox").success().expect("the hierarchy");
}

/// What the manifest says, as options of containerd's client, which makes an OCI spec of them.
struct Translated {
    options: Vec<String>,
    rights: BTreeSet<String>,
    arguments: Vec<String>,
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned))
}

fn translated(stage: &Stage) -> Translated {
    let Manifest { pod, container } = manifest();
    let security = &container["securityContext"];
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    // What the client does unless told otherwise: no other user, no new rights, no filter of system calls.
    assert_eq!((&security["runAsUser"], &security["privileged"]), (&Value::from(0), &Value::from(false)));
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["seccompProfile"]["type"], "Unconfined");
    let mut options = vec!["--runc-binary".to_owned(), "crun".to_owned()];
    if security["readOnlyRootFilesystem"] == true {
        options.push("--read-only".to_owned());
    }
    if pod["hostPID"] == true {
        // Ours is the node's; that of its init may be closed to us.
        options.extend(["--with-ns".to_owned(), format!("pid:/proc/{}/ns/pid", std::process::id())]);
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = variable["value"].as_str().unwrap_or("node-of-the-test");
        options
            .extend(["--env".to_owned(), format!("{}={value}", variable["name"].as_str().expect("a name"))]);
    }
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let volume =
            pod["volumes"].as_array().into_iter().flatten().find(|volume| volume["name"] == mount["name"]);
        let path = volume.expect("a volume")["hostPath"]["path"].as_str().expect("a path");
        let make = stage.run(stage.command(stage.busybox()).args(["mkdir", "-p", path]));
        make.expect("busybox").success().expect("a folder");
        let access = if mount["readOnly"] == true { "ro" } else { "rw" };
        let kind = if mount["mountPropagation"] == "HostToContainer" { "rslave" } else { "rprivate" };
        let at = mount["mountPath"].as_str().expect("a path");
        options.extend([
            "--mount".to_owned(),
            format!("type=bind,src={path},dst={at},options=rbind:{access}:{kind}"),
        ]);
    }
    Translated {
        options,
        rights: texts(&security["capabilities"]["add"]).collect(),
        arguments: texts(&container["args"]).collect(),
    }
}

/// `ctr run`, with these rights and no others.
fn run(
    containerd: &Containerd,
    image: &Image,
    as_said: &Translated,
    (id, extra): (&str, &[&str]),
    (rights, words): (&BTreeSet<String>, &[&str]),
) -> observer_tests::rig::Ran {
    let mut typed: Vec<String> = vec!["run".to_owned()];
    typed.extend(extra.iter().map(|word| (*word).to_owned()));
    typed.extend(as_said.options.iter().cloned());
    for right in rights {
        typed.extend(["--cap-add".to_owned(), format!("CAP_{right}")]);
    }
    for right in BY_DEFAULT.iter().filter(|right| !rights.contains(**right)) {
        typed.extend(["--cap-drop".to_owned(), format!("CAP_{right}")]);
    }
    typed.extend([image.name.clone(), id.to_owned()]);
    typed.extend(words.iter().map(|word| (*word).to_owned()));
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    containerd.ctr(&typed).expect("ctr")
}

fn statuses(doctor: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let probes = doctor["probes"].as_array().expect("probes").iter();
    probes.map(|probe| (text(&probe["name"]), text(&probe["status"]))).collect()
}

fn check<'a>(doctor: &'a Value, name: &str) -> &'a Value {
    let checks = doctor["checks"].as_array().expect("checks").iter();
    checks.clone().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {doctor:#}"))
}

#[test]
// long: one engine, in which the image is run in one way after the other
fn with_the_rights_of_the_manifest_everything_attaches_and_without_one_the_loss_is_said() {
    let (stage, image) = (stage(), built());
    let plain = stage.image("plain", None).expect("an image");
    let containerd = stage.containerd(&plain, &[]).expect("containerd");
    as_on_a_node(&stage);
    containerd.import(&image).expect("the image, loaded without a network");
    let as_said = translated(&stage);
    let doctor = |without: &[&str]| -> (Value, i32) {
        let is_left = |right: &&String| !without.contains(&right.as_str());
        let rights: BTreeSet<String> = as_said.rights.iter().filter(is_left).cloned().collect();
        assert_eq!(rights.len() + without.len(), as_said.rights.len(), "{without:?}");
        let lacks: String = without.iter().map(|right| format!("-{}", right.to_lowercase())).collect();
        let id = format!("doctor{lacks}");
        let words = ["/usr/bin/observer", "doctor", "-o", "json"];
        let ran = run(&containerd, &image, &as_said, (&id, &["--rm"]), (&rights, &words));
        let told = serde_json::from_str(&ran.stdout);
        (told.unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr)), ran.code())
    };

    let outside = Command::new(observer()).args(["doctor", "-o", "json"]).output().expect("observer");
    let outside: Value = serde_json::from_slice(&outside.stdout).expect("JSON");
    let (inside, code) = doctor(&[]);
    assert_eq!((statuses(&inside), code), (statuses(&outside), 0));
    // What the kernel lets only CAP_SYS_ADMIN have is not promised.
    let of_tls = |one: &Value| one["wants"] == serde_json::json!(["tls"]);
    assert!(inside["not_told"].as_array().expect("a list").iter().all(of_tls), "{:#}", inside["not_told"]);
    assert_eq!(inside["not_told"] == outside["not_told"], check(&inside, "CAP_SYS_ADMIN")["state"] == "ok");
    assert_eq!((&inside["host"], &inside["cgroup_mode"]), (&outside["host"], &outside["cgroup_mode"]));
    for right in &as_said.rights {
        assert_eq!(check(&inside, &format!("CAP_{right}"))["found"], "held", "{right}");
    }
    assert_eq!(check(&inside, "pid namespace")["state"], "ok");
    let versions = |doctor: &Value| {
        doctor["runtimes"]
            .as_array()
            .expect("runtimes")
            .iter()
            .map(|one| one["version"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(&inside), versions(&outside), "asked inside the node's root");

    let lost = |doctor: &Value| -> BTreeSet<String> {
        let all = doctor["not_told"].as_array().expect("a list").iter();
        all.filter(|one| one["causes"].is_null())
            .filter_map(|one| one["id"].as_str().map(str::to_owned))
            .collect()
    };
    let without = |rights: &[&str], code: i32| -> Value {
        let (told, said) = doctor(rights);
        assert_eq!(said, code, "{rights:?}");
        for right in rights {
            let check = check(&told, &format!("CAP_{right}"));
            assert!(check["state"] == "lacks" && check["costs"].is_string(), "{check:#}");
        }
        told
    };
    let told = without(&["NET_ADMIN"], 3);
    assert!(lost(&told).contains("dns-failed"), "{:#}", told["not_told"]);
    assert!(!lost(&told).contains("kubectl-logs-empty"), "{:#}", told["not_told"]);
    let told = without(&["BPF"], 3);
    assert!(lost(&told).contains("kubectl-logs-empty"), "{:#}", told["not_told"]);
    let told = without(&["SYS_PTRACE", "SYS_CHROOT"], 0);
    let mut wants =
        told["not_told"].as_array().expect("a list").iter().map(|one| &one["wants"][0]).peekable();
    assert!(wants.peek().is_some() && wants.all(|wants| wants == "tls"), "{:#}", told["not_told"]);
    assert!(versions(&told).iter().all(Value::is_null), "{:#}", told["runtimes"]);

    as_a_service(&stage, &containerd, &image, &as_said);
}

// long: one service that is begun, asked, ended and looked at
/// It watches, and answers who is executed beside it, as `kubectl exec` does.
fn as_a_service(stage: &Stage, containerd: &Containerd, image: &Image, as_said: &Translated) {
    let log = stage.path("service.log");
    let id = format!("service-{}", stage.id());
    let uri = format!("file://{}", log.display());
    let mut words = vec!["/usr/bin/observer"];
    words.extend(as_said.arguments.iter().map(String::as_str));
    let ran =
        run(containerd, image, as_said, (&id, &["--detach", "--log-uri", &uri]), (&as_said.rights, &words));
    ran.success().expect("the service");
    let log = || std::fs::read_to_string(&log).unwrap_or_default();
    until("the service to attach", || log().contains("attached").then_some(()));
    let asked = std::cell::Cell::new(0);
    let ask = |who: &str| -> Value {
        asked.set(asked.get() + 1);
        let number = format!("asks-{}", asked.get());
        let words =
            ["task", "exec", "--exec-id", &number, &id, "/usr/bin/observer", "describe", who, "-o", "json"];
        let ran = containerd.ctr(&words).expect("ctr");
        serde_json::from_str(&ran.stdout).unwrap_or(Value::Null)
    };
    let bundle =
        Bundle::new(&["/bin/sleep", "1000"]).write(stage, &format!("pod-{}", stage.id())).expect("bundle");
    let mut container =
        stage.spawn(&mut stage.runtime(program("crun")).run_command(&bundle)).map(Some).expect("crun");
    let told = until("the container to be known", || {
        let told = ask(&bundle.id);
        told["containers"][0]["container"]["runtime_version"].is_string().then_some(told)
    });
    assert_eq!(
        (&told["known"], &told["source"]),
        (&Value::from("here"), &Value::from("observer")),
        "{told:#}"
    );
    let known = &told["containers"][0]["container"];
    assert_eq!(
        (&known["id"], &known["runtime"]),
        (&Value::from(bundle.id.as_str()), &Value::from("crun")),
        "{told:#}"
    );
    // Read in the node's root, with the rights that are left.
    let outside = Command::new(observer())
        .args(["describe", &bundle.id, "--standalone", "--for", "1s", "-o", "json"])
        .output()
        .expect("observer");
    let outside: Value = serde_json::from_slice(&outside.stdout).expect("JSON");
    let of_host = &outside["containers"][0]["container"];
    for field in ["id", "name", "runtime", "cgroup", "kind", "image"] {
        assert_eq!(known[field], of_host[field], "{field}: {known:#} {of_host:#}");
    }
    if let Some(running) = container.take() {
        stage.runtime(program("crun")).kill(&bundle.id).expect("crun");
        drop(running.finish());
    }
    containerd
        .ctr(&["task", "kill", "--signal", "SIGTERM", &id])
        .and_then(observer_tests::rig::Ran::success)
        .expect("a signal");
    until("the service to end", || {
        let listed = containerd.ctr(&["task", "list"]).expect("ctr").stdout;
        let running = listed.lines().any(|line| line.starts_with(&id) && line.contains("RUNNING"));
        (!running).then_some(())
    });
    let last =
        log().lines().rev().find(|line| line.starts_with('{')).map(str::to_owned).expect("its last line");
    let summary: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(
        (&summary["type"], &summary["lost"]),
        (&Value::from("summary"), &Value::from(0)),
        "{summary:#}"
    );
    let recording = Path::new("/var/lib/observer/recording");
    let listed = stage.run(stage.command(stage.busybox()).arg("ls").arg(recording)).expect("busybox");
    assert!(!listed.stdout.trim().is_empty(), "it recorded: {}", listed.stderr);
    containerd
        .ctr(&["container", "delete", &id])
        .and_then(observer_tests::rig::Ran::success)
        .expect("nothing is left");
}

#[test]
fn podman_loads_it_too() {
    let (stage, image) = (stage(), built());
    let podman = stage.podman().expect("podman");
    podman.import(&image).expect("the image, loaded without a network");
    let ran =
        podman.run(&program("crun"), &["--rm", "--network=none", &image.name, "--version"]).expect("podman");
    let said = ran.success().expect("observer").stdout;
    assert_eq!(said.trim(), concat!("observer ", env!("CARGO_PKG_VERSION")));
}
