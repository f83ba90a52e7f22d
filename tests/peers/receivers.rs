//! OTLP receivers that others wrote, as child processes on loopback. They live in the virtual environment that
//! `cargo xtask setup` makes.

use std::{
    collections::BTreeMap,
    env, fs,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::export::HANG;

#[path = "../../observer/src/skips.rs"]
mod skips;
pub use skips::skip;

/// Where `cargo xtask setup` has put what these tests need.
pub fn cache() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"));
    cache.join("observer")
}

pub fn venv() -> PathBuf {
    cache().join("venv")
}

/// A file of a package that is there.
pub fn package(file: &str) -> Option<PathBuf> {
    let lib = fs::read_dir(venv().join("lib")).ok()?;
    lib.flatten().map(|python| python.path().join("site-packages").join(file)).find(|path| path.exists())
}

/// `None` and a loud skip where the receivers are not installed.
pub fn installed(test: &str) -> Option<()> {
    let missing: Vec<_> = [("rotel", "rotel/rotel-agent"), ("oteltap", "oteltap/__main__.py")]
        .into_iter()
        .filter(|(_, file)| package(file).is_none())
        .map(|(name, _)| name)
        .collect();
    if missing.is_empty() {
        return Some(());
    }
    skip(test, &format!("no {} in {}: run `cargo xtask setup`", missing.join(", no "), venv().display()));
    None
}

/// A port for a receiver to bind a moment later. One that the kernel gives out could be given to somebody else
/// until then: this is one below those, and tests that run meanwhile look elsewhere.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let candidates = || {
        let ours = std::process::id().wrapping_mul(16).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        10_000 + (ours % 20_000) as u16
    };
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(candidates).take(1_000).find(is_free).expect("loopback has a free port")
}

/// A receiver, ended when dropped.
pub struct Peer {
    child: Child,
    dir: TempDir,
    pub grpc_port: u16,
    pub http_port: u16,
}

impl Peer {
    /// HTTP only; writes each span it receives as a line of JSON.
    pub fn oteltap() -> Self {
        let (dir, port) = (TempDir::new().expect("a temporary directory"), free_port());
        let mut command = Command::new(venv().join("bin/python"));
        command.args(["-u", "-m", "oteltap", "--port", &port.to_string()]);
        Self::start(command, dir, port, port)
    }

    /// gRPC and HTTP; prints whole spans and resources.
    pub fn rotel() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let (grpc, http) = (free_port(), free_port());
        let mut command = Command::new(package("rotel/rotel-agent").expect("checked by installed()"));
        command.arg("start").arg("--pid-file").arg(dir.path().join("pid"));
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")]);
        command.args([
            "--debug-log",
            "traces",
            "--debug-log-verbosity",
            "detailed",
            "--exporter",
            "blackhole",
        ]);
        Self::start(command, dir, grpc, http)
    }

    /// On these ports, gRPC and HTTP; passes all spans on to `url`, at once.
    pub fn rotel_between(grpc: u16, http: u16, url: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mut command = Command::new(package("rotel/rotel-agent").expect("checked by installed()"));
        command.arg("start").arg("--pid-file").arg(dir.path().join("pid")).arg("--disable-batching");
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")]);
        command.args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
        command.args(["--exporter", "otlp", "--otlp-exporter-endpoint", url]);
        Self::start(command, dir, grpc, http)
    }

    fn start(mut command: Command, dir: TempDir, grpc_port: u16, http_port: u16) -> Self {
        let log = File::create(dir.path().join("out")).expect("the log can be made");
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a second handle")).stdout(log);
        let child = command.spawn().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        let mut peer = Peer { child, dir, grpc_port, http_port };
        for port in [grpc_port, http_port] {
            peer.until(&format!("listening on {port}"), |_| {
                TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), HANG)
                    .ok()
                    .map(drop)
            });
        }
        peer
    }

    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// What `found` makes of its output, once it makes anything of it.
    pub fn until<T>(&mut self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let give_up = Instant::now() + HANG;
        loop {
            let output = read(&self.dir.path().join("out"));
            if let Some(it) = found(&output) {
                return it;
            }
            let ended = self.child.try_wait().expect("our child can be asked");
            assert!(ended.is_none(), "the receiver ended before {what}: {ended:?}\n{output}");
            assert!(Instant::now() < give_up, "never seen: {what}\n{output}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("the log is there")).into_owned()
}

/// A span that rotel has printed, as oteltap would have. It prints everything but the flags.
pub fn printed(block: &str) -> Value {
    let block = block.split("\nResourceSpans #").next().unwrap();
    let (span, events) = block.split_once("\nEvents:\n").unwrap_or((block, ""));
    let (head, own) = span.split_once("\nAttributes:\n").unwrap_or((span, ""));
    let labels: BTreeMap<&str, &str> = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(label, value)| (label.trim(), value.trim()))
        .collect();
    let pairs = |text: &str, indent: &str| -> Vec<Value> {
        let pairs = text.lines().filter_map(|line| line.strip_prefix(indent)?.split_once(": "));
        pairs
            .map(|(key, value)| {
                let (kind, value) = value.trim_end_matches(')').split_once('(').unwrap_or(("", value));
                json!({"key": key, "value": {kind: value}})
            })
            .collect()
    };
    let events: Vec<Value> = events
        .split("SpanEvent #")
        .skip(1)
        .map(|event| {
            let line =
                |label: &str| event.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default();
            json!({
                "name": line("     -> Name: "),
                "timeUnixNano": line("     -> Timestamp: "),
                "attributes": pairs(event, "          -> "),
            })
        })
        .collect();
    let failed = labels.get("Status code").map(|code| i32::from(*code == "STATUS_CODE_ERROR") * 2);
    json!({
        "traceId": labels["Trace ID"],
        "spanId": labels["ID"],
        "parentSpanId": labels["Parent ID"],
        "name": labels["Name"],
        "kind": i32::from(labels["Kind"] == "SPAN_KIND_INTERNAL"),
        "startTimeUnixNano": labels["Start time"],
        "endTimeUnixNano": labels["End time"],
        "status": failed.map(|code| json!({"code": code, "message": labels["Status message"]})),
        "attributes": pairs(own, "     -> "),
        "events": events,
    })
}
