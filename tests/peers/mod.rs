//! OTLP receivers that others wrote, as child processes on loopback, and small servers that answer badly on
//! purpose. Real receivers live in the virtual environment that `cargo xtask setup` makes.

use std::{
    env, fs,
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

#[path = "../../observer/src/skips.rs"]
mod skips;
pub use skips::skip;

/// Far more than anything here takes; only a hang gets there.
pub const HANG: Duration = Duration::from_secs(60);

fn venv() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"));
    cache.join("observer/venv")
}

fn package(file: &str) -> Option<PathBuf> {
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

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
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

/// A server that gives its connections the answers in turn, the last one for ever, whatever they asked. It
/// sends down the channel how many requests it has seen.
pub fn answering(answers: Vec<Vec<u8>>) -> (u16, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let (seen, requests) = mpsc::channel();
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let answer = &answers[count.min(answers.len() - 1)];
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 65536];
            // What it was asked does not matter, nor whether it listens.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
            let _ = seen.send(count + 1);
        }
    });
    (port, requests)
}

/// A server that takes connections and never says a word.
pub fn silent() -> (u16, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    (listener.local_addr().expect("a bound socket has an address").port(), listener)
}

/// A port on which nobody listens: below those that are given out, and its service is long forgotten.
pub const NOBODY: u16 = 1;
