//! What is concluded of certificates on a node's disk: which of them end soon, and which have ended.

use std::{fs, path::Path, process::Command};

use observer_tests::rig::{
    Stage, program, stage,
    verdict::{Verdicts, only, quiet},
    webhook::Certificate,
    workload::build,
};

/// A node with a kubelet that has these certificates; the machine itself has none.
fn kubelet(folder: &Path, case: &str) -> Verdicts {
    let script =
        "mount -t tmpfs none /var/lib; mkdir -p /var/lib/kubelet; cp -r $0 /var/lib/kubelet/pki; exec \"$@\"";
    let mut command = Command::new(program("unshare"));
    command.args(["-m", "sh", "-ec", script]).arg(folder);
    Verdicts::begin_by(command, case, &["--interval", "1s"])
}

fn valid_for(stage: &Stage, days: &str, path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let mut command = Command::new(program("openssl"));
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kubelet", "-days", days]);
    build(command.arg("-keyout").arg(stage.path("key")).arg("-out").arg(path));
}

#[test]
fn certificates_that_end_soon() {
    let stage = stage();
    let (folder, lasting) = (stage.path("pki"), stage.path("lasting"));
    let expired = Certificate::expired(&stage);
    valid_for(&stage, "10", &folder.join("kubelet-client-current.pem"));
    fs::copy(&expired.certificate, folder.join("kubelet.crt")).expect("a certificate");
    for path in [folder.join("ca.crt"), lasting.join("ca.crt")] {
        valid_for(&stage, "90", &path);
    }
    // What the kubelet had before it has a newer one.
    fs::copy(&expired.certificate, lasting.join("kubelet-client-2020-01-01-00-00-00.pem")).expect("a copy");
    let of = |name: &str| format!("/var/lib/kubelet/pki/{name}");
    let verdicts = kubelet(&folder, "certificate-expiring");
    verdicts.awaits("certificate-expiring", &of("kubelet.crt"));
    verdicts.awaits("certificate-expiring", &of("kubelet-client-current.pem"));
    let seen = verdicts.end();
    let finding = only(&seen, &of("kubelet.crt"), "certificate-expiring/expired proved");
    assert_eq!(finding["severity"], "P0");
    only(&seen, &of("kubelet-client-current.pem"), "certificate-expiring/expires-soon proved");
    quiet(&seen, &of("ca.crt"));
    // They were looked at before anything was counted.
    let verdicts = kubelet(&lasting, "certificate-expiring-not-lasting");
    verdicts.run.wait_for("counts", |object| object["type"] == "stats");
    let seen = verdicts.end();
    assert_eq!(seen.of_type("finding").count(), 0, "{}", seen.stdout);
}
