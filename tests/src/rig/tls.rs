//! Webhooks and who calls them, by the TLS libraries of Go and OpenSSL: our own programs, nginx and caddy.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    program,
    run::Run,
    stdio::until,
    watch::Seen,
    workload::{SOURCES, build, compile},
};

/// What every message carries and nobody may find.
pub const PLANTED: &str = "planted-where-nobody-may-find-it";

/// How long a call takes whose path begins with `/slow`, at least.
pub const SLOW_MS: f64 = 300.0;

/// Who calls, and what.
const ADMISSION: &str = "kube-apiserver-admission";
const REVIEW: &str = r#"{"kind":"AdmissionReview","request":{"uid":"u-1","object":{"kind":"Secret","data":{"a":"planted-where-nobody-may-find-it"}}}}"#;

/// Answers of webhooks that know no more than the path.
const ALLOWED: &str = r#"{"kind":"AdmissionReview","response":{"uid":"u-1","allowed":true}}"#;
const DENIED: &str = r#"{"kind":"AdmissionReview","response":{"uid":"u-1","allowed":false,"status":{"code":403,"message":"no \"latest\" here"}}}"#;

/// Programs and a certificate, in a folder of their own.
pub struct Shop {
    folder: TempDir,
}

impl Shop {
    /// # Panics
    /// Something cannot be built.
    pub fn open() -> Shop {
        let folder = tempfile::tempdir().expect("a folder");
        let shop = Shop { folder };
        build(
            Command::new(program("openssl"))
                .args([
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    "2",
                    "-subj",
                    "/CN=localhost",
                ])
                .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"])
                .arg(shop.path("key.pem"))
                .arg("-out")
                .arg(shop.path("cert.pem")),
        );
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The Go peer under this name: stripped, as programs of Kubernetes are.
    pub fn go(&self, name: &str) -> PathBuf {
        let binary = self.path(name);
        if binary.exists() {
            return binary;
        }
        let source = Path::new(SOURCES).join("tls_peer.go");
        let build_it = |command: &mut Command| {
            build(command.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(&binary).arg(&source));
        };
        build_it(Command::new(program("go")).env("CGO_ENABLED", "0").env("GO111MODULE", "off"));
        binary
    }

    /// The client of OpenSSL under this name: with a library that others may share, or with one inside.
    pub fn openssl(&self, name: &str, inside: bool) -> PathBuf {
        let libraries: &[&str] =
            if inside { &["-static", "-lssl", "-lcrypto"] } else { &["-lssl", "-lcrypto"] };
        compile("tls_client", self.path(name), libraries)
    }

    /// The peer as a webhook.
    pub fn serve(&self) -> Webhook {
        self.serve_by(Command::new(self.go("hook")))
    }

    /// The same where this command puts it.
    pub fn serve_by(&self, mut command: Command) -> Webhook {
        command.arg("serve").arg(self.path("cert.pem")).arg(self.path("key.pem"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a webhook");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut port).expect("a port");
        Webhook { child, port: port.trim().parse().expect("a port") }
    }

    /// nginx with OpenSSL, of which the path is all it looks at.
    pub fn nginx(&self) -> Webhook {
        let port = free_port();
        let folder = self.folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n\
             http {{ access_log off; {temporary}\n server {{ listen 127.0.0.1:{port} ssl http2;\n\
             ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;\n\
             location /deny {{ return 200 '{DENIED}'; }}\n location / {{ return 200 '{ALLOWED}'; }} }} }}\n"
        );
        fs::write(self.path("nginx.conf"), config.replace("\\\"", "\\\\\"")).expect("nginx.conf");
        let mut command = Command::new(program("nginx"));
        listens(command.arg("-c").arg(self.path("nginx.conf")), port)
    }

    /// caddy, a Go program without symbols.
    pub fn caddy(&self) -> Webhook {
        let port = free_port();
        let folder = self.folder.path().display();
        let config = format!(
            "{{\n admin off\n auto_https off\n}}\n:{port} {{\n bind 127.0.0.1\n\
             tls {folder}/cert.pem {folder}/key.pem\n respond /deny* `{DENIED}`\n respond `{ALLOWED}`\n}}\n"
        );
        fs::write(self.path("Caddyfile"), config).expect("Caddyfile");
        let mut command = Command::new(program("caddy"));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(self.path("Caddyfile"));
        command.env("HOME", self.folder.path()).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        listens(&mut command, port)
    }

    /// Calls by HTTP/2, with curl, one after the other on one connection: `METHOD PATH`. Gives its exit code.
    ///
    /// # Panics
    /// curl cannot be run.
    pub fn curl(&self, port: u16, calls: &[&str], more: &[&str]) -> Option<i32> {
        let mut command = Command::new(program("curl"));
        for (n, call) in calls.iter().enumerate() {
            let (method, path) = call.split_once(' ').expect("a method and a path");
            command.args((n > 0).then_some("--next")).args([
                "-sS",
                "-o",
                "/dev/null",
                "--http2",
                "-X",
                method,
            ]);
            // Without a body: not every server reads one to its end, and curl takes that ill.
            command.args(["-A", if method == "PUT" { "leader-election" } else { ADMISSION }]);
            command.arg("--cacert").arg(self.path("cert.pem")).args(more);
            command.args(["-H", &format!("authorization: Bearer {PLANTED}")]);
            command.arg(format!("https://localhost:{port}{path}"));
        }
        command.status().expect("curl").code()
    }

    /// Calls by HTTP/2, with h2load: so many, of these paths in turns, 10 at a time on each of two connections.
    ///
    /// # Panics
    /// h2load cannot be run, or not all was answered.
    pub fn h2load(&self, port: u16, calls: usize, paths: &[&str]) {
        fs::write(self.path("review.json"), REVIEW).expect("a file");
        let mut command = Command::new(program("h2load"));
        command.args(["-n", &calls.to_string(), "-c", "2", "-m", "10", "-d"]).arg(self.path("review.json"));
        command.args(["-H", &format!("user-agent: {ADMISSION}")]);
        command.args(paths.iter().map(|path| format!("https://127.0.0.1:{port}{path}")));
        let ran = command.output().expect("h2load");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(said.contains(&format!("{calls} succeeded")), "{said}");
    }

    /// The Go peer under this name, as a caller of the webhook at this port.
    pub fn go_client(&self, name: &str, how: &str, port: u16) -> Client {
        let mut command = Command::new(self.go(name));
        command.args([how, &port.to_string()]).arg(self.path("cert.pem")).arg(self.path("key.pem"));
        Client::of(&mut command)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn listens(command: &mut Command, port: u16) -> Webhook {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    until("a webhook that listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    Webhook { child, port }
}

/// A webhook that runs until it is dropped.
pub struct Webhook {
    child: Child,
    pub port: u16,
}

impl Webhook {
    /// As the observer is told of it.
    pub fn named(&self) -> String {
        format!("127.0.0.1:{},name=hook", self.port)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A caller of webhooks that calls when it is told to.
pub struct Client {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Client {
    pub fn of(command: &mut Command) -> Client {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout"));
        Client { child, orders, answers }
    }

    /// A call, to its end: `METHOD PATH`.
    pub fn call(&mut self, line: &str) {
        writeln!(self.orders.as_mut().expect("stdin"), "{line}").expect("a client that listens");
        let mut status = String::new();
        self.answers.read_line(&mut status).expect("a client that answers");
        assert_eq!(status, "200\n", "{line}");
    }

    /// Calls until the observer tells of it what its library says, once for all that follows.
    pub fn is_heard(&mut self, run: &Run) {
        let heard = AtomicBool::new(false);
        thread::scope(|scope| {
            let calls = scope.spawn(|| {
                while !heard.load(Ordering::Relaxed) {
                    self.call("POST /warm?timeout=3s");
                    thread::sleep(Duration::from_millis(300));
                }
            });
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                run.wait_for("a call in a TLS library", |object| {
                    object["probe"] == "webhook" && object["path"] == "/warm" && object["allowed"] == true
                })
            }));
            heard.store(true, Ordering::Relaxed);
            calls.join().expect("a client");
            found.expect("a call that is heard");
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

impl Seen {
    /// What was told of calls after those that made sure that they are heard.
    pub fn calls(&self) -> Vec<&Value> {
        let told: Vec<&Value> = self.of_type("event").filter(|event| event["probe"] == "webhook").collect();
        let last = told.iter().rposition(|event| event["path"] == "/warm").expect("a call that was heard");
        told[last + 1..].to_vec()
    }
}
