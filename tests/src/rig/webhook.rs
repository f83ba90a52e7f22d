//! Servers and clients of webhooks, on a stage of their own; and what the observer said of the calls.

use std::{fs, process::Command, time::Duration};

use serde_json::Value;

use super::{
    Ran, Stage, program,
    run::Run,
    stage::Running,
    stdio::until,
    watch::Seen,
    workload::{SOURCES, build},
};

/// A server's certificate that is its own authority, and its key.
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

impl Certificate {
    /// # Panics
    /// openssl cannot make one.
    pub fn new(stage: &Stage, name: &str) -> Certificate {
        let path = |end: &str| stage.path(format!("{name}.{end}")).to_string_lossy().into_owned();
        let own = Certificate { certificate: path("pem"), key: path("key") };
        let names = "subjectAltName=DNS:webhook.test,IP:127.0.0.1,IP:10.9.0.2";
        build(
            Command::new(program("openssl"))
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
                .args(["-days", "2", "-subj", "/CN=webhook.test", "-addext", names])
                .args(["-keyout", &own.key, "-out", &own.certificate]),
        );
        own
    }

    /// One of years ago.
    ///
    /// # Panics
    /// openssl cannot make one.
    pub fn expired(stage: &Stage) -> Certificate {
        let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
                      policy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\n\
                      subjectAltName=DNS:webhook.test,IP:127.0.0.1\n";
        fs::create_dir_all(stage.path("ca")).expect("a folder");
        fs::write(stage.path("ca/ca.cnf"), config).expect("a file");
        let words = "cd $0; : > index; echo 01 > serial; \
                     openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=webhook.test \
                     -keyout key.pem -out request.pem; \
                     openssl ca -batch -selfsign -config ca.cnf -in request.pem -keyfile key.pem -out own.pem -notext \
                     -startdate 20200101000000Z -enddate 20200102000000Z";
        let mut command = stage.command(program("sh"));
        command.args(["-ec", words]).arg(stage.path("ca"));
        stage.run(&mut command).and_then(Ran::success).expect("openssl");
        let path = |name: &str| stage.path(format!("ca/{name}.pem")).to_string_lossy().into_owned();
        Certificate { certificate: path("own"), key: path("key") }
    }
}

/// The server of `workloads/webhook_server.py`. Returns once it listens.
///
/// # Panics
/// It cannot be started.
pub fn server(stage: &Stage, place: (&str, u16), own: Option<&Certificate>, more: &[&str]) -> Running {
    let command = stage.command(program("python3"));
    server_by(stage, command, place, own, more)
}

/// The same, by a command that runs python.
///
/// # Panics
/// It cannot be started.
pub fn server_by(
    stage: &Stage,
    mut command: Command,
    (address, port): (&str, u16),
    own: Option<&Certificate>,
    more: &[&str],
) -> Running {
    command.arg(format!("{SOURCES}/webhook_server.py")).args([address, &port.to_string()]);
    if let Some(own) = own {
        command.args([&own.certificate, &own.key]);
    }
    let running = stage.spawn(command.args(more)).expect("the server");
    until("the server", || {
        assert!(!running.ends_within(Duration::ZERO).expect("the server"), "{}", running.stderr());
        running.stdout().starts_with("ready").then_some(())
    });
    running
}

/// nginx, whose TLS is OpenSSL's. Returns once it answers.
///
/// # Panics
/// It cannot be started.
pub fn nginx(stage: &Stage, port: u16, own: &Certificate) -> Running {
    let folder = stage.path("nginx");
    fs::create_dir_all(&folder).expect("a folder");
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", folder.display()))
        .concat();
    let config = format!(
        "daemon off; user root; error_log {0}/error.log; pid {0}/pid; worker_processes 1; events {{}}\n\
         http {{ access_log off; {paths} server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {1};\n\
         ssl_certificate_key {2}; location / {{ return 200 '{{\"allowed\":true}}'; }} }} }}",
        folder.display(),
        own.certificate,
        own.key
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config).expect("nginx.conf");
    let running = stage.spawn(stage.command(program("nginx")).arg("-c").arg(path)).expect("nginx");
    answers(stage, port, own);
    running
}

/// caddy: Go, without symbols. Returns once it answers.
///
/// # Panics
/// It cannot be started.
pub fn caddy(stage: &Stage, port: u16, own: &Certificate) -> Running {
    let path = stage.path("Caddyfile");
    let config = format!(
        "{{\n admin off\n auto_https off\n}}\nhttps://webhook.test:{port} {{\n bind 127.0.0.1\n tls {} {}\n respond {{\"allowed\":true}}\n}}\n",
        own.certificate, own.key
    );
    fs::write(&path, config).expect("Caddyfile");
    let mut command = stage.command(program("caddy"));
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path).env("HOME", stage.path(""));
    let running = stage.spawn(&mut command).expect("caddy");
    answers(stage, port, own);
    running
}

fn answers(stage: &Stage, port: u16, own: &Certificate) {
    until("an answer", || (curl(stage, own, port, &["/ready"], &[]).code() == 0).then_some(()));
}

/// What curl says of each request: name, connect, TLS, request, first byte, all of it; seconds, since it began.
pub const TIMES: &str = "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_pretransfer} %{time_starttransfer} %{time_total}\\n";

/// Posts to paths one after the other, on one connection. By HTTP/2 it asks for them: curl takes it ill when a body is
/// not read to its end.
///
/// # Panics
/// curl cannot be run.
pub fn curl(stage: &Stage, own: &Certificate, port: u16, paths: &[&str], more: &[&str]) -> Ran {
    let mut command = stage.command(program("curl"));
    for (n, path) in paths.iter().enumerate() {
        if n > 0 {
            command.arg("--next");
        }
        command.args(["-sS", "-o", "/dev/null", "-w", TIMES, "--cacert", &own.certificate]);
        command.args(["--resolve", &format!("webhook.test:{port}:127.0.0.1")]);
        if !more.contains(&"--http2") {
            command.args(["--http1.1", "-d", r#"{"kind":"AdmissionReview"}"#]);
        }
        command.args(more).arg(format!("https://webhook.test:{port}{path}"));
    }
    stage.run(&mut command).expect("curl")
}

/// A client that keeps its connection (`workloads/webhook_client.py`).
///
/// # Panics
/// It cannot be started.
pub fn keeps(
    stage: &Stage,
    (address, port): (&str, u16),
    own: &Certificate,
    timeout: &str,
    steps: &[&str],
) -> Running {
    let mut command = stage.command(program("python3"));
    command.arg(format!("{SOURCES}/webhook_client.py"));
    command.args([address, &port.to_string(), &own.certificate, timeout]).args(steps);
    stage.spawn(&mut command).expect("a client")
}

/// Containers, and webhooks by the packets of their connections alone: what a TLS library says is told elsewhere.
pub const SIGHT: &str = "process,cgroup,namespace,mount,file,memory,output,webhook";

/// An observer that watches webhooks; it has attached.
///
/// # Panics
/// It cannot be run.
pub fn watch(webhooks: &[&str]) -> Run {
    let named = webhooks.iter().flat_map(|webhook| ["--webhook", webhook]);
    let words: Vec<&str> = ["run", "--probes", SIGHT].into_iter().chain(named).collect();
    Run::of(&words)
}

impl Run {
    /// Waits for a call that was told.
    pub fn call(&self, name: &str, outcome: &str) -> Value {
        self.wait_for(&format!("a call of {name}: {outcome}"), |object| {
            object["probe"] == "webhook" && object["name"] == name && object["outcome"] == outcome
        })
    }
}

impl Seen {
    /// All calls of a webhook that were told, in order.
    pub fn calls_of(&self, name: &str) -> Vec<&Value> {
        let events = self.of_type("event").filter(|event| event["probe"] == "webhook");
        events.filter(|event| event["name"] == name).collect()
    }

    /// The one call of a webhook that was told.
    ///
    /// # Panics
    /// There is none, or more than one.
    pub fn call_of(&self, name: &str) -> &Value {
        let calls = self.calls_of(name);
        let [call] = calls[..] else { panic!("{name}: {} calls instead of one: {calls:#?}", calls.len()) };
        call
    }
}
