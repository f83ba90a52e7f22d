//! The keywords that are shipped: that they compile, and that they know the lines that real components write.

use std::collections::BTreeMap;

use observer_ebpf::wire::{Header, Record as _, packet::Owner, text::Piece};
use zerocopy::IntoBytes;

use super::*;
use crate::probes::{Event, Reducer, text};

/// What is told of a line of this component: by keyword what is captured.
fn told(comm: &str, line: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reducer = Reducer::new(shipped().unwrap()).unwrap();
    let mut name = [0; 16];
    name[..comm.len()].copy_from_slice(comm.as_bytes());
    let text = format!("{line}\n");
    let mut record = Piece {
        header: Header::default(),
        writer: Owner { tgid: 1, comm: name, ..Owner::default() },
        ino: 1,
        fd: 2,
        len: text.len() as u32,
        omitted: 0,
        pad: 0,
    };
    let len = (size_of::<Piece>() + text.len()) as u32;
    record.set_header(Header { kind: Piece::KIND, len, ..Header::default() });
    let bytes = [record.as_bytes(), text.as_bytes()].concat();
    match reducer.reduce(&bytes).unwrap().record.event {
        Event::Text(text::Event::Found(found)) => found
            .lines
            .into_iter()
            .map(|line| {
                assert!(line.is_named, "{} is not of {comm}", line.keyword);
                (line.keyword, line.captures.into_iter().collect())
            })
            .collect(),
        Event::Text(text::Event::Ordinary) => BTreeMap::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layer_that_there_is_not_and_a_name_for_two_are_refused() {
    let one = |id: &str, layer: &str| format!("[[keyword]]\nid = '{id}'\npattern = 'x'\nlayer = '{layer}'\n");
    assert_eq!(read(&one("a", "L-3")).unwrap().len(), 1);
    assert_eq!(
        read(&one("a", "L-7")).unwrap_err().to_string(),
        "keyword a: there is no layer \"L-7\"; there are L-0 to L-4, and host"
    );
    assert_eq!(
        read(&(one("a", "L-3") + &one("a", "host"))).unwrap_err().to_string(),
        "two keywords are called a"
    );
    assert!(read("[[keyword]]\nid = 'a'\npattern = 'x'\nlayer = 'L-3'\nlevel = 1\n").is_err());
}

/// A name, and what was taken out of the line for it.
type Capture = (&'static str, &'static str);

/// Lines of containerd 1.6.20 of pulls that failed, without their common beginning.
const PULLS: &[(&str, &str, &[Capture])] = &[
    (
        r#"failed to resolve reference \"localhost:5000/a:1\": pulling from host localhost:5000 failed with status code [manifests 1]: 401 Unauthorized""#,
        "image-pull-denied",
        &[("reason", "401 Unauthorized")],
    ),
    (
        r#"failed to resolve reference \"localhost:5000/a:1\": failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized""#,
        "image-pull-denied",
        &[("reason", "failed to authorize")],
    ),
    (
        r#"failed to resolve reference \"localhost:5000/a:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed""#,
        "image-pull-denied",
        &[("reason", "pull access denied")],
    ),
    (
        r#"failed to resolve reference \"localhost:5000/a:1\": localhost:5000/a:1: not found""#,
        "image-not-found",
        &[],
    ),
    (
        r#"failed to resolve reference \"localhost:5000/a:1\": pulling from host localhost:5000 failed with status code [manifests 1]: 429 Too Many Requests""#,
        "image-rate-limited",
        &[("reason", "429 Too Many Requests")],
    ),
    (
        r#"failed to unpack image on snapshotter overlayfs: failed to extract layer sha256:00: failed to get stream processor for application/wasm: no processor for media-type: unknown""#,
        "image-media-type",
        &[],
    ),
    (
        r#"failed to do request: Head \"http://localhost:5001/v2/a/manifests/1\": dial tcp 127.0.0.1:5001: connect: connection refused""#,
        "image-registry-unreachable",
        &[("address", "127.0.0.1:5001"), ("reason", "connect: connection refused")],
    ),
    (
        r#"failed to do request: Head \"https://no.invalid/v2/x/manifests/1\": dial tcp: lookup no.invalid on 10.0.0.53:53: dial udp 10.0.0.53:53: connect: network is unreachable""#,
        "image-registry-name",
        &[("host", "no.invalid"), ("server", "10.0.0.53:53")],
    ),
    (
        r#"failed to do request: Head \"https://no.invalid/v2/x/manifests/1\": dial tcp: lookup no.invalid: no such host""#,
        "image-registry-name",
        &[("host", "no.invalid"), ("reason", "no such host")],
    ),
    (
        r#"failed to do request: Head \"https://r/v2/x/manifests/1\": x509: certificate signed by unknown authority""#,
        "image-registry-untrusted",
        &[("reason", "x509: certificate signed by unknown authority")],
    ),
];

#[test]
fn failed_pulls_are_told_by_their_reason() {
    for (line, keyword, captures) in PULLS {
        let begin = r#"level=error msg="PullImage \"localhost:5000/a:1\" failed" error="failed to pull and unpack image \"localhost:5000/a:1\": "#;
        let told = told("containerd", &format!("{begin}{line}"));
        let found = told.get(*keyword).unwrap_or_else(|| panic!("{line}: {told:?}"));
        assert_eq!(found["image"], "localhost:5000/a:1");
        for (name, value) in *captures {
            assert_eq!(found[*name], *value, "{line}");
        }
        assert!(told.contains_key("image-pull-failed"), "{told:?}");
        let others = told.keys().filter(|id| id.starts_with("image-")).count();
        assert_eq!(others, 2, "{line}: {told:?}");
    }
}

/// Lines as the components' sources have them, with the keyword and one thing that it captures.
const LINES: &[(&str, &str, &str, Option<Capture>)] = &[
    (
        "k3s-server",
        r#"W1121 22:00:00.000000 1 dispatcher.go:142] Failed calling webhook, failing open check.gatekeeper.sh: failed calling webhook "check.gatekeeper.sh": failed to call webhook: Post "https://gatekeeper-webhook-service.gatekeeper-system.svc:443/v1/admitlabel?timeout=3s": context deadline exceeded"#,
        "webhook-failing-open",
        Some(("webhook", "check.gatekeeper.sh")),
    ),
    (
        "kube-apiserver",
        r#"E1121 22:00:00.000000 1 dispatcher.go:150] failed calling webhook "validation.gatekeeper.sh": failed to call webhook: Post "https://s.svc:443/v1/admit?timeout=3s": no endpoints available for service "gatekeeper-webhook-service""#,
        "no-endpoints",
        Some(("service", "gatekeeper-webhook-service")),
    ),
    (
        "kube-controller",
        r#"E1121 replica_set.go:579] sync "a/b" failed with admission webhook "validation.gatekeeper.sh" denied the request: [must-have] no label"#,
        "webhook-denied",
        Some(("message", "[must-have] no label")),
    ),
    (
        "containerd",
        r#"level=error msg="RunPodSandbox for &PodSandboxMetadata{Name:a,} failed, error" error="failed to get sandbox runtime: no runtime for \"wasm\" is configured""#,
        "no-runtime",
        Some(("handler", "wasm")),
    ),
    (
        "kubelet",
        r#"E1121 pod_workers.go:1] "Error syncing pod" err="RuntimeClass \"spin\" not found""#,
        "runtimeclass-not-found",
        Some(("class", "spin")),
    ),
    (
        "k3s-agent",
        r#"level=error msg="token CA hash does not match the Cluster CA certificate hash: 00 != 11""#,
        "ca-hash-mismatch",
        None,
    ),
    (
        "k3s",
        r#"level=error msg="failed to retrieve configuration from server: https://127.0.0.1:6444/v1-k3s/config: 401 Unauthorized""#,
        "join-not-authorized",
        Some(("reason", "401 Unauthorized")),
    ),
    (
        "kubelet",
        "part of the existing bootstrap client certificate is expired: x509: certificate has expired or is not yet valid: current time 2026-11-21T22:00:00Z is after 2026-11-20T22:00:00Z",
        "certificate-expired",
        Some(("when", "current time 2026-11-21T22:00:00Z is after 2026-11-20T22:00:00Z")),
    ),
    (
        "crun",
        "exec container process `/app.wasm`: Exec format error",
        "exec-format-error",
        Some(("program", "/app.wasm")),
    ),
    ("crun", "[libcrun:wasmedge]: could not get wasmedge result from VM", "wasmedge-result", None),
    (
        "crun",
        "[2026-11-21 22:00:00.000] [error] execution failed: out of bounds memory access, Code: 0x408",
        "wasmedge-code",
        Some(("code", "0x408")),
    ),
    ("youki:[2:INIT]", "    wasm trap: out of bounds memory access", "wasm-out-of-bounds", None),
    (
        "k3s-server",
        r#"level=error msg="error in txn: database disk image is malformed""#,
        "sqlite-corrupt",
        None,
    ),
    (
        "k3s",
        r#"time="2026-11-21T22:00:00Z" level=fatal msg="opening /srv/other.sqlite3: file is not a database""#,
        "sqlite-corrupt",
        Some(("file", "/srv/other.sqlite3")),
    ),
    ("k3s", "Error: in prepare, file is not a database (26)", "sqlite-corrupt", None),
    ("k3s", "Runtime error near line 1: database disk image is malformed (11)", "sqlite-corrupt", None),
    ("kine", "sqlite3.DatabaseError: database disk image is malformed", "sqlite-corrupt", None),
    ("kine", "database disk image is malformed", "sqlite-corrupt", None),
    (
        "containerd",
        r#"level=error msg="x" error="write /var/lib/containerd/blob: no space left on device""#,
        "no-space",
        Some(("path", "/var/lib/containerd/blob")),
    ),
    (
        "etcd",
        r#"{"level":"warn","caller":"wal/wal.go:805","msg":"slow fdatasync","took":"1.5s"}"#,
        "etcd-slow",
        None,
    ),
    (
        "opa",
        "error: load error: 1 error occurred during loading: p.rego:3: rego_parse_error: unexpected eof token",
        "rego-syntax",
        Some(("reason", "rego_parse_error: unexpected eof token")),
    ),
    (
        "opa",
        "error: 1 error occurred: p.rego:3: rego_type_error: undefined function data.lib.allowed",
        "rego-missing",
        Some(("reason", "undefined function data.lib.allowed")),
    ),
    (
        "opa",
        "error: 1 error occurred: p.rego:3: rego_type_error: count: arity mismatch",
        "rego-syntax",
        Some(("policy", "p.rego")),
    ),
    ("opa", "error: stat p.rego: no such file or directory", "opa-build-failed", None),
    ("cosign", "main.go:74: error during command execution: no signatures found", "signature-invalid", None),
    (
        "cosign",
        "Error: no matching signatures: invalid signature when validating ASN.1 encoded signature",
        "signature-other-key",
        None,
    ),
    ("cosign", "Error: no matching signatures: something else", "signature-unmatched", None),
];

#[test]
fn lines_of_components_are_known_and_their_names_taken_out() {
    for (comm, line, keyword, capture) in LINES {
        let mut reducer = told(comm, line);
        let found = reducer.remove(*keyword).unwrap_or_else(|| panic!("{line}: {reducer:?}"));
        if let Some((name, value)) = capture {
            assert_eq!(found.get(*name).map(String::as_str), Some(*value), "{line}");
        }
    }
}

#[test]
fn of_what_policies_lack_and_of_what_signatures_are_one_is_told() {
    let ids = |comm, line| told(comm, line).into_keys().collect::<Vec<_>>();
    assert_eq!(ids("opa", "p.rego:3: rego_type_error: undefined ref: data.lib.x"), ["rego-missing"]);
    assert_eq!(ids("opa", "p.rego:3: rego_parse_error: undefined function"), ["rego-syntax"]);
    assert_eq!(ids("cosign", "Error: no matching signatures"), ["signature-invalid"]);
    let other_key = "error: no matching signatures: crypto/rsa: verification error";
    assert_eq!(ids("cosign", other_key), ["signature-other-key", "signature-unmatched"]);
}

#[test]
fn what_healthy_components_say_all_day_is_nothing() {
    for (comm, line) in [
        // The kubelet inside of K3s repeats what a workload has said.
        (
            "k3s-server",
            r#"I1121 22:00:00.000000 1 prober.go:107] "Probe failed" pod="a/b" output="level=error msg=\"x: database disk image is malformed\"""#,
        ),
        ("k3s-server", "\tlevel=error msg=\"database disk image is malformed\""),
        ("k3s-server", "\tError: stepping, database disk image is malformed (11)"),
        ("k3s-server", r#"level=info msg="said: database disk image is malformed""#),
        (
            "containerd",
            r#"level=info msg="PullImage \"docker.io/library/busybox:1\" returns image reference \"sha256:00\"""#,
        ),
        (
            "k3s-server",
            "I1121 22:00:00.000000 1 controller.go:611] quota admission added evaluator for: leases",
        ),
        ("containerd", r#"level=info msg="shim disconnected" id=00"#),
        ("kubelet", r#"I1121 "Started container" pod="a/b" containerName="webhook""#),
        ("etcd", r#"{"level":"info","msg":"finished scheduled compaction","took":"1ms"}"#),
    ] {
        assert_eq!(told(comm, line), BTreeMap::new(), "{line}");
    }
}
