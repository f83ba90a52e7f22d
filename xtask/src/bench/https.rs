//! What being observed costs a call of a webhook over TLS, and what 5,000 a second cost the observer. Both ends use
//! OpenSSL: nginx answers, h2load asks by HTTP/1.1, as kube-apiserver does.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Arm, Rig, in_turns,
    report::{Promise, Report},
    sustained::{self, PER_SECOND},
    tracer::{Ready, Recipe},
};
use crate::{cmd::Cmd, paths::find_program};

/// Samples in a row under one condition, after one that does not count; calls in each.
const BLOCK: usize = 5;
const CALLS: usize = 5_000;
const CLIENTS: usize = 5;
const REVIEW: &str = r#"{"kind":"AdmissionReview","request":{"uid":"u-1"}}"#;
const ALLOWED: &str = r#"{"kind":"AdmissionReview","response":{"uid":"u-1","allowed":true}}"#;
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    for program in ["nginx", "h2load", "openssl"] {
        if find_program(program).is_none() {
            report.note(format!("SKIPPED: {program} is not on this machine: run `cargo xtask setup`"));
            return Ok(());
        }
    }
    let server = Server::start(rig)?;
    let watching = watching(rig, server.port);
    let mut arms =
        vec![Arm::off(), Arm { name: "observer run --webhook".into(), tracers: vec![watching.clone()] }];
    match (find_program("bpftrace"), library(&server)) {
        (Some(_), Some(library)) => {
            arms.push(Arm { name: "bpftrace".into(), tracers: vec![Recipe::bpftrace(&script(&library), 4)] });
        }
        _ => report.note("SKIPPED: bpftrace: it, or nginx's libssl, is not on this machine"),
    }
    let samples = in_turns(&arms, rig.pick(1, 10), || {
        // Long enough for libraries to be found, and attached to.
        server.calls(CALLS, None)?;
        (0..rig.pick(2, BLOCK)).map(|_| server.calls(CALLS, None)).collect::<Result<Vec<_>>>()
    })?;
    sustained::tell(report, "a call", &arms, &samples);
    let seconds = rig.pick(3, 30);
    for family in ["webhook", "tls"] {
        let load = || server.calls(seconds * PER_SECOND, Some(PER_SECOND / CLIENTS)).map(|_| ());
        let cost = sustained::measure(rig, &watching, family, seconds, load)?;
        cost.tell(report, &format!("calls ({family})"), Promise::AtMost(0.0));
    }
    Ok(())
}

fn watching(rig: &Rig, port: u16) -> Recipe {
    let (program, webhook) = (rig.observer.to_string_lossy().into_owned(), format!("127.0.0.1:{port}"));
    let words = [&program, "run", "-o", "json", "--socket", "off", "--webhook", &webhook];
    Recipe::new(Ready::Says("attached"), words.map(str::to_owned))
}

/// The latency of a call by what its server reads and writes, and the beginning of each.
fn script(library: &str) -> String {
    format!(
        "uprobe:{library}:SSL_read {{ @buffer[tid] = arg1; @at[tid] = nsecs; }} \
         uretprobe:{library}:SSL_read /@at[tid]/ {{ @[str(@buffer[tid], 64)] = count(); delete(@buffer[tid]); }} \
         uprobe:{library}:SSL_write {{ @written[str(arg1, 64)] = count(); }} \
         uretprobe:{library}:SSL_write /@at[tid]/ {{ @took = hist(nsecs - @at[tid]); delete(@at[tid]); }}"
    )
}

fn library(server: &Server) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.child.id())).ok()?;
    let path = |line: &str| Some(line.split_ascii_whitespace().nth(5)?.to_owned());
    maps.lines().filter_map(path).find(|path| path.contains("/libssl.so"))
}

struct Server {
    child: Child,
    port: u16,
    review: String,
}

impl Server {
    fn start(rig: &Rig) -> Result<Server> {
        let folder = rig.folder.path().join("https");
        fs::create_dir_all(&folder).context("a folder for nginx")?;
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let (certificate, key, review) = (path("cert.pem"), path("key.pem"), path("review.json"));
        let make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
        Cmd::new("openssl").args(make).args(["-keyout", &key, "-out", &certificate]).output()?;
        fs::write(&review, REVIEW).context("a request")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};", path(kind)))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {}; error_log stderr;\nevents {{}}\n\
             http {{ access_log off; keepalive_requests 10000000; {temporary}\n server {{\n\
             listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
             location / {{ return 200 '{ALLOWED}'; }} }} }}\n",
            path("pid")
        );
        fs::write(path("nginx.conf"), config).context("nginx.conf")?;
        let mut command = Command::new(find_program("nginx").context("nginx")?);
        command.arg("-c").arg(path("nginx.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server { child: command.spawn().context("nginx")?, port, review };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < deadline, "nginx does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Makes so many calls, as fast as one client can or at this rate each of several; the mean of what one took, in
    /// microseconds.
    fn calls(&self, count: usize, rate: Option<usize>) -> Result<f64> {
        let mut command =
            Cmd::new("h2load").args(["--h1", "-m", "1", "-n", &count.to_string(), "-d", &self.review]);
        command = match rate {
            Some(rate) => command.args(["-c", &CLIENTS.to_string(), "--rps", &rate.to_string()]),
            None => command.args(["-c", "1"]),
        };
        let agent = ["-H", "user-agent: kube-apiserver-admission"];
        let said =
            command.args(agent).arg(format!("https://127.0.0.1:{}/v?timeout=10s", self.port)).output()?;
        ensure!(said.contains(&format!(" {count} succeeded")), "not all was answered: {said}");
        // time for request:  min  max  mean  sd  within
        let line = said.lines().find_map(|line| line.strip_prefix("time for request:"));
        let mean = line.and_then(|line| microseconds(line.split_ascii_whitespace().nth(2)?));
        mean.with_context(|| format!("h2load told no times: {said}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `63us`, `1.27ms`, `2.01s`.
fn microseconds(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}
