//! What is concluded of what components of the node say of themselves; the same words of a workload are nobody's.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use observer_tests::rig::{
    Bundle, HELLO, Ran, Stage, program, stage,
    stage::cri::{ContainerSpec, PodSpec},
    stdio::until,
    verdict::{Verdicts, only, quiet},
    watch::Seen,
    webhook::{Certificate, curl, server},
    workload,
};
use serde_json::Value;

/// What was concluded of the node and of webhooks: `row/cause grade`, in order, each once.
fn of_no_container(stage: &Stage, seen: &Seen) -> Vec<String> {
    // Containers and stand-ins may be at work here that are nobody's of this test.
    let is_foreign = |finding: &Value| {
        let exe = finding["subject"]["process"]["exe"].as_str().unwrap_or_default();
        exe.contains("/observer-stage-") && !Path::new(exe).starts_with(stage.path(""))
    };
    let is_open = |finding: &&Value| finding["status"] == "open" && finding["subject"]["container"].is_null();
    let opened = seen.of_type("finding").filter(is_open).filter(|finding| !is_foreign(finding));
    let part = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let mut told: Vec<String> = opened
        .map(|finding| {
            format!("{}/{} {}", part(finding, "id"), part(finding, "cause"), part(finding, "grade"))
        })
        .collect();
    told.sort();
    told.dedup();
    told
}

/// STAND-IN: no registry offers Kubernetes; a script under a component's name says the lines that it is known to say,
/// a second apart.
fn says(stage: &Stage, name: &str, lines: &[&str]) -> Ran {
    eprintln!("STAND-IN: {name} is a script under that name");
    let path = stage.path(name);
    let lines: String = lines.iter().map(|line| format!("printf '%s\\n' '{line}' >&2\nsleep 1\n")).collect();
    fs::write(&path, format!("#!/bin/sh\n{lines}")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script");
    stage.run(&mut stage.command(&path)).expect(name)
}

#[test]
fn handlers_and_shims_that_containerd_has_not() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let shims = [("wasmedge", "io.containerd.wasmedge.v1"), ("other", "io.containerd.nothing.v1")];
    let containerd = stage.containerd_with(&image, &[], &shims).expect("containerd");
    let verdicts = Verdicts::begin_of(&stage, "runtimeclass-missing-handler", &["wasmedge-missing"], &[]);
    let cri = containerd.cri().expect("cri");
    let pod = |name, handler| {
        let spec = PodSpec { name, namespace: "shop", handler, host_network: true };
        cri.run_pod(&stage, &spec)
    };
    // A shim that is not there, and has nothing to do with Wasm.
    pod("foreign", "other").expect_err("there is no such shim");
    let right = pod("right", "crun").expect("pod");
    let app =
        ContainerSpec { name: "app", image: &image.name, command: &["/bin/true"], ..Default::default() };
    let app = cri.run_container(&right, &app).expect("app");
    let line = |keyword: &str, times: usize| {
        let mut seen = 0;
        verdicts.run.wait_for(keyword, |object| {
            seen += usize::from(object["keyword"] == keyword);
            seen == times
        });
    };
    line("runtime-not-found", 1);
    assert!(!verdicts.run.said().contains("wasmedge-missing"), "{}", verdicts.run.said());
    pod("shimless", "wasmedge").expect_err("there is no such shim");
    pod("nobody", "nothing").expect_err("there is no such handler");
    line("runtime-not-found", 2);
    line("no-runtime", 1);
    cri.remove_pod(&right).expect("pod");
    drop(containerd);
    let seen = verdicts.end();
    quiet(&seen, &app);
    let expected = ["runtimeclass-missing/handler-missing proved", "wasmedge-missing/shim-missing likely"];
    assert_eq!(of_no_container(&stage, &seen), expected, "{}", seen.stdout);
}

const NO_CLASS: &str =
    r#"Error creating: pods "web-" is forbidden: pod rejected: RuntimeClass "wasm" not found"#;
const WRONG_TOKEN: &str = r#"level=fatal msg="token CA hash does not match the Cluster CA certificate hash""#;
const NO_ENDPOINTS: &str = r#"failed calling webhook "check.gatekeeper.sh": failed to call webhook: no endpoints available for service "gatekeeper-webhook-service""#;

#[test]
fn what_a_server_says_and_what_a_workload_only_repeats() {
    let stage = stage();
    let others = ["node-join-failed", "gatekeeper-down"];
    let verdicts = Verdicts::begin_of(&stage, "runtimeclass-missing-class", &others, &[]);
    // What a workload says of others is its own business.
    let lines = [NO_CLASS, WRONG_TOKEN, WRONG_TOKEN, WRONG_TOKEN, WRONG_TOKEN, NO_ENDPOINTS, NO_ENDPOINTS];
    let script: String = lines.map(|line| format!("echo '{line}' >&2; sleep 1; ")).concat();
    let repeats = Bundle::new(&["/bin/sh", "-c", &script]).write(&stage, &format!("repeats-{}", stage.id()));
    let repeats = repeats.expect("bundle");
    stage.runtime(program("crun")).run(&repeats).expect("crun");
    for row in [&["runtimeclass-missing"][..], &others].concat() {
        assert!(!verdicts.run.said().contains(&format!("\"id\":\"{row}\"")), "{}", verdicts.run.said());
    }
    // Once may be anything.
    says(&stage, "kube-apiserver", &[NO_ENDPOINTS]);
    says(&stage, "k3s", &[NO_CLASS, WRONG_TOKEN, WRONG_TOKEN, WRONG_TOKEN, WRONG_TOKEN]);
    says(&stage, "kube-apiserver", &[NO_ENDPOINTS, NO_ENDPOINTS, NO_ENDPOINTS]);
    let seen = verdicts.end();
    quiet(&seen, &repeats.id);
    let expected = [
        "gatekeeper-down/no-endpoints proved",
        "node-join-failed/wrong-token likely",
        "runtimeclass-missing/class-missing proved",
    ];
    assert_eq!(of_no_container(&stage, &seen), expected, "{}", seen.stdout);
}

/// What the kubelet says of a volume that it could not mount.
fn volume(name: &str, why: &str) -> String {
    format!(
        r#"E1122 07:00:00.000000 1 nestedpendingoperations.go:348] Operation for "{{volumeName:kubernetes.io/x/1-{name} podName:1 nodeName:}}" failed. No retries permitted until later. Error: MountVolume.SetUp failed for volume "{name}" (UniqueName: "kubernetes.io/x/1-{name}") pod "web-0" (UID: "1") : {why}"#
    )
}

#[test]
fn volumes_that_the_kubelet_cannot_mount() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "volume-mount-failed", &["--probes", "process,text"]);
    let lines = [
        volume("shared", "mount failed: exit status 32"),
        volume(
            "disk",
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name csi.example.com not found in \
             the list of registered CSI drivers",
        ),
        volume("settings", r#"configmap "settings" not found"#),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    // Other reasons are for the kubelet's log to tell: a symptom without a cause.
    let other = volume("other", "rpc error: code = Internal desc = nobody knows");
    says(&stage, "kubelet", &[&lines[..], &lines, &lines, &[&other, &other, &other]].concat());
    let told = [("shared", "mount-refused"), ("disk", "class-or-driver"), ("settings", "object-missing")];
    for (name, _) in told {
        verdicts.awaits("volume-mount-failed", name);
    }
    let seen = verdicts.end();
    for (name, cause) in told {
        only(&seen, name, &format!("volume-mount-failed/{cause} proved"));
    }
    assert!(!seen.of_type("finding").any(|finding| finding["subject"]["object"] == "other"));
}

#[test]
fn volumes_that_are_mounted_in_the_end() {
    let stage = stage();
    let case = "volume-mount-failed-not-in-the-end";
    let verdicts = Verdicts::begin(&stage, case, &["--probes", "process,text"]);
    let twice = volume("shared", "mount failed: exit status 32");
    // Its pod is deleted, and it with it.
    let going = volume("kube-api-access", r#"object "shop"/"kube-root-ca.crt" not registered"#);
    let done =
        "I1122 07:00:09.000000 1 operation_generator.go:1] MountVolume.SetUp succeeded for volume shared";
    says(&stage, "kubelet", &[&twice, &twice, &going, &going, done]);
    let seen = verdicts.end();
    ["shared", "kube-api-access"].iter().for_each(|name| quiet(&seen, name));
}

#[test]
fn a_webhook_without_which_requests_go_on() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = server(&stage, ("127.0.0.1", 8443), Some(&own), &["fork=1"]);
    let named = "127.0.0.1:8443,timeout=2s,name=check.gatekeeper.sh";
    let case = "webhook-timeout-slow-but-allowed";
    let verdicts = Verdicts::begin(&stage, case, &["--webhook", named]);
    let call = || {
        curl(&stage, &own, 8443, &["/hang"], &["--max-time", "2"]);
    };
    call();
    call();
    says(&stage, "k3s", &["Failed calling webhook, failing open check.gatekeeper.sh: timed out"]);
    call();
    let calls = |seen: &str| seen.matches("\"outcome\":\"timeout\"").count();
    until("the last call", || (calls(&verdicts.run.said()) >= 3).then_some(()));
    let seen = verdicts.end();
    only(&seen, "check.gatekeeper.sh", "webhook-timeout/slow-but-allowed proved");
}

/// STAND-IN: Debian's crun under a program that claims for it what it was built without.
#[test]
fn a_module_that_a_runtime_with_a_handler_was_not_told_to_handle() {
    let stage = stage();
    let folder = stage.path("claims");
    fs::create_dir_all(&folder).expect("a folder");
    let claims = folder.join("crun");
    let real = format!("-DCRUN=\"{}\"", program("crun").display());
    workload::compile("crun_claims", claims.clone(), &[&real]);
    let verdicts = Verdicts::begin(&stage, "runtimeclass-missing-annotation-not-passed", &[]);
    let run = |name: &str, bundle: Bundle| {
        let written = bundle.write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        stage.runtime(claims.clone()).run(&written).expect("crun");
        written.id
    };
    let module = run("module", Bundle::wasm(HELLO, false));
    let script = run("script", Bundle::new(&["/app.wasm"]).file("app.wasm", b"#!/bin/sh\necho hello\n"));
    let seen = verdicts.end();
    only(&seen, &module, "runtimeclass-missing/annotation-not-passed proved");
    quiet(&seen, &script);
}

#[test]
fn a_log_file_that_is_put_aside_under_its_writer() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let spec = PodSpec { name: "web", namespace: "shop", handler: "crun", host_network: true };
    let pod = cri.run_pod(&stage, &spec).expect("pod");
    let socket = containerd.socket().to_str().expect("a path");
    let verdicts = Verdicts::begin(&stage, "kubectl-logs-empty-log-file-stuck", &["--cri", socket]);
    let command: &[&str] = &["/bin/sh", "-c", "sleep 4; seq 100; sleep 2"];
    let container = |name| {
        let spec = ContainerSpec { name, image: &image.name, command, ..Default::default() };
        cri.run_container(&pod, &spec).expect(name)
    };
    let (stuck, well) = (container("stuck"), container("well"));
    let log = |name: &str| stage.path(format!("logs-{}", pod.uid)).join(format!("{name}.log"));
    let began = Instant::now();
    until("its log", || log("stuck").exists().then_some(()));
    // As something does that rotates logs and does not tell containerd.
    fs::rename(log("stuck"), stage.path("aside.log")).expect("its log");
    fs::write(log("stuck"), "").expect("its log");
    assert!(began.elapsed() < Duration::from_secs(4), "the machine is too slow for this");
    for id in [&stuck, &well] {
        verdicts.run.wait_for("the end of its output", |object| {
            object["probe"] == "stdio" && object["container"]["id"] == **id && object["ended"] == true
        });
    }
    sleep(Duration::from_millis(500));
    let seen = verdicts.end();
    assert!(fs::metadata(stage.path("aside.log")).is_ok_and(|file| file.len() > 0), "nothing was written");
    only(&seen, &stuck, "kubectl-logs-empty/log-file-stuck proved");
    quiet(&seen, &well);
}
