//! A small Kubernetes API of our own, filled by the real kubectl, and a kubeconfig for it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{
    Stage, program,
    workload::{SOURCES, build},
};

/// Who knows this may ask. Nobody may find it anywhere.
pub const TOKEN: &str = "planted-token-that-nobody-may-find";

/// STAND-IN: no registry offers kube-apiserver; `workloads/kube_api.py` answers kubectl and the observer in its place.
pub struct Api {
    folder: PathBuf,
    pub kubeconfig: String,
    server: Child,
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Api {
    /// Returns once it listens.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn begin(stage: &Stage) -> Api {
        eprintln!("STAND-IN: kube-apiserver is tests/workloads/kube_api.py");
        let folder = stage.path("kube-api");
        fs::create_dir_all(&folder).expect("a folder");
        let path = |name: &str| folder.join(name).display().to_string();
        certificates(&path);
        fs::write(path("modes.json"), "{}").expect("a file");
        // Not in the stage, whose network is its own: the observer is not there either.
        let mut command = Command::new(program("python3"));
        command.arg(format!("{SOURCES}/kube_api.py")).args([
            "0",
            &path("own.pem"),
            &path("own.key"),
            TOKEN,
            &path(""),
        ]);
        let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the API");
        let mut said = String::new();
        let stdout = server.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("what it says");
        let port: u16 =
            said.strip_prefix("ready ").and_then(|port| port.trim().parse().ok()).expect("its port");
        let kubeconfig = path("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- name: test\n  context:\n    cluster: c\n    user: u\n\
             clusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:{port}\n    certificate-authority: ca.pem\n\
             users:\n- name: u\n  user:\n    token: {TOKEN}\n"
        );
        fs::write(&kubeconfig, text).expect("a file");
        Api { folder, kubeconfig, server }
    }

    /// Makes objects, by kubectl: a list of YAML documents.
    ///
    /// # Panics
    /// kubectl or the API refuses.
    pub fn create(&self, objects: &str) {
        let file = self.folder.join("objects.yaml");
        fs::write(&file, objects).expect("a file");
        let mut command = Command::new(program("kubectl"));
        command.args(["--kubeconfig", &self.kubeconfig, "create", "--validate=false", "-f"]).arg(&file);
        build(&mut command);
    }

    /// Takes an object away, by kubectl: its kind and name.
    ///
    /// # Panics
    /// kubectl or the API refuses.
    pub fn delete(&self, kind: &str, name: &str) {
        let mut command = Command::new(program("kubectl"));
        build(command.args(["--kubeconfig", &self.kubeconfig, "delete", "--wait=false", kind, name]));
    }

    /// What it does from now on when it is asked for a resource, or for `*`.
    ///
    /// # Panics
    /// It cannot be told.
    pub fn behaves(&self, modes: &Value) {
        let (new, file) = (self.folder.join("modes.new"), self.folder.join("modes.json"));
        fs::write(&new, modes.to_string()).and_then(|()| fs::rename(&new, file)).expect("a file");
    }

    /// What it was asked, a line each.
    pub fn asked(&self) -> String {
        fs::read_to_string(self.folder.join("asked.log")).unwrap_or_default()
    }
}

/// An authority, and a server's certificate of it.
fn certificates(path: &impl Fn(&str) -> String) {
    let key =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let mut authority = Command::new(program("openssl"));
    build(authority.args(key).args([
        "-subj",
        "/CN=test-ca",
        "-keyout",
        &path("ca.key"),
        "-out",
        &path("ca.pem"),
    ]));
    let own = [
        "-subj",
        "/CN=kube-apiserver",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=CA:FALSE",
    ];
    let by = [
        "-CA",
        &path("ca.pem"),
        "-CAkey",
        &path("ca.key"),
        "-keyout",
        &path("own.key"),
        "-out",
        &path("own.pem"),
    ];
    build(Command::new(program("openssl")).args(key).args(own).args(by));
}
