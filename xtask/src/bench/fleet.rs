//! What one collector makes of the output of many nodes: the requests that an observer really makes, recorded once and
//! sent again on as many connections as there are nodes.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::{
    Rig,
    containers::Containers,
    memory::megabytes,
    report::Report,
    stats::Blocks,
    sustained::cpu_seconds,
    tracer::{Ready, Recipe},
};
use crate::paths;

/// Nodes, each with a connection of its own; and threads that take turns at them.
const NODES: usize = 1_000;
const SENDERS: usize = 4;
/// For what is sent with the next interval, of metrics above all.
const SETTLE: Duration = Duration::from_secs(12);
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let rotel = paths::cache().join("venv/lib");
    let Some(rotel) = find(&rotel, "rotel-agent") else {
        report.note("SKIPPED: no rotel, which is the collector here: run `cargo xtask setup`");
        return Ok(());
    };
    let starts = rig.pick(5, 20);
    let requests = of_one_node(rig, starts)?;
    ensure!(!requests.is_empty(), "the observer has sent nothing");
    let nodes = rig.pick(50, NODES);
    let collector = Collector::start(&rotel, rig.folder.path())?;
    let before = cpu_seconds(collector.child.id())?;
    let begun = Instant::now();
    collector.takes(&requests, nodes)?;
    let (took, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds(collector.child.id())? - before);
    let memory = megabytes(collector.child.id(), "VmHWM:")?;
    let bytes = requests.iter().map(|request| request.body.len()).sum::<usize>() * nodes;
    let of = |path: &str| {
        let these = requests.iter().filter(|request| request.path == path);
        these.map(|request| leaves(&request.body, &[1, 2, 2])).sum::<usize>()
    };
    let spans = of("/v1/traces");
    report.note(format!(
        "one node made {starts} container starts: {} requests, {} bytes, {spans} spans, {} log records, {} metrics; sent by \
         HTTP for {nodes} nodes, each on its own connection, to rotel, which throws them away",
        requests.len(),
        bytes / nodes,
        of("/v1/logs"),
        of("/v1/metrics"),
    ));
    for (what, unit, value) in [
        ("requests a second", "", (requests.len() * nodes) as f64 / took),
        ("spans a second", "", (spans * nodes) as f64 / took),
        ("megabytes a second", "MB", bytes as f64 / 1e6 / took),
        ("the collector's share of a processor", "%", 100.0 * cpu / took),
        ("the collector's CPU time for one node's output", "ms", 1e3 * cpu / nodes as f64),
        ("the collector's memory at most", "MB", memory),
    ] {
        report.figure(
            format!("{nodes} nodes: {what}"),
            unit,
            &std::iter::once(value).collect::<Blocks>(),
            None,
        );
    }
    Ok(())
}

/// A file somewhere below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => (path.file_name()? == name).then_some(path),
    })
}

/// As it was received.
struct Request {
    path: String,
    /// Lines of its head that say how to read it.
    kind: Vec<String>,
    body: Vec<u8>,
}

/// What an observer sends in a run in which some containers start.
fn of_one_node(rig: &Rig, starts: usize) -> Result<Vec<Request>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
    let address = listener.local_addr().context("its port")?;
    let taken: Arc<Mutex<Vec<Request>>> = Arc::default();
    let keep = Arc::clone(&taken);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let keep = Arc::clone(&keep);
            // A connection that breaks off has said what it had to.
            thread::spawn(move || answer(&connection, |request| lock(&keep).push(request)));
        }
    });
    let words = [
        "run",
        "-o",
        "json",
        "--socket",
        "off",
        "--standalone",
        "--otlp-protocol",
        "http/protobuf",
        "--otlp",
    ];
    let program = rig.observer.to_string_lossy().into_owned();
    let words = std::iter::once(program).chain(words.map(str::to_owned)).chain([format!("http://{address}")]);
    let tracer = Recipe::new(Ready::Says("attached"), words).start(Stdio::null())?;
    Containers::new(rig.folder.path())?.start(starts)?;
    thread::sleep(SETTLE);
    tracer.stop()?;
    let requests = std::mem::take(&mut *lock(&taken));
    Ok(requests)
}

fn lock(requests: &Mutex<Vec<Request>>) -> std::sync::MutexGuard<'_, Vec<Request>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says yes to all that a connection asks.
fn answer(connection: &TcpStream, mut take: impl FnMut(Request)) -> Result<()> {
    let mut reader = BufReader::new(connection);
    let mut writer = connection;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let path = first.split(' ').nth(1).context("a request without a path")?.to_owned();
        let head = head(&mut reader)?;
        let mut body = vec![0; length(&head)?];
        reader.read_exact(&mut body)?;
        let kind =
            head.into_iter().filter(|line| line.to_ascii_lowercase().starts_with("content-")).collect();
        take(Request { path, kind, body });
        writer.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}

/// The lines before an empty one.
fn head(reader: &mut impl std::io::BufRead) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "a head breaks off");
        match line.trim_end() {
            "" => return Ok(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

fn length(head: &[String]) -> Result<usize> {
    let of = head
        .iter()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    of.context("a message without a length")
}

struct Collector {
    child: Child,
    address: SocketAddr,
}

impl Collector {
    fn start(program: &Path, folder: &Path) -> Result<Collector> {
        let free =
            || -> Result<SocketAddr> { Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?) };
        let (address, other) = (free()?, free()?);
        let mut command = Command::new(program);
        command.arg("start").arg("--pid-file").arg(folder.join("rotel.pid"));
        command.args([
            "--otlp-http-endpoint",
            &address.to_string(),
            "--otlp-grpc-endpoint",
            &other.to_string(),
        ]);
        command.args(["--exporter", "blackhole"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| program.display().to_string())?;
        let mut collector = Collector { child, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline || collector.child.try_wait()?.is_some() {
                bail!("{} does not listen", program.display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(collector)
    }

    /// Each of so many nodes sends all of it, one request after the other, and waits for each answer.
    fn takes(&self, requests: &[Request], nodes: usize) -> Result<()> {
        thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let of_it = (sender..nodes).step_by(SENDERS).count();
                    scope.spawn(move || self.takes_of(requests, of_it))
                })
                .collect();
            senders.into_iter().try_for_each(|sender| sender.join().map_err(|_| anyhow!("a sender died"))?)
        })
    }

    fn takes_of(&self, requests: &[Request], nodes: usize) -> Result<()> {
        let connect = |_| TcpStream::connect(self.address).context("a connection to the collector");
        let connections = (0..nodes).map(connect).collect::<Result<Vec<TcpStream>>>()?;
        for request in requests {
            let kind = request.kind.iter().map(|line| format!("{line}\r\n")).collect::<String>();
            let mut message =
                format!("POST {} HTTP/1.1\r\nhost: collector\r\n{kind}\r\n", request.path).into_bytes();
            message.extend(&request.body);
            for mut connection in &connections {
                connection.write_all(&message).context("to the collector")?;
                let mut reader = BufReader::new(connection);
                let mut first = String::new();
                reader.read_line(&mut first).context("from the collector")?;
                ensure!(first.starts_with("HTTP/1.1 200"), "the collector refuses: {first}");
                let head = head(&mut reader)?;
                reader.read_exact(&mut vec![0; length(&head)?]).context("from the collector")?;
            }
        }
        Ok(())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many fields a protobuf message has at the end of this way of field numbers.
fn leaves(message: &[u8], way: &[u64]) -> usize {
    let Some((number, rest)) = way.split_first() else { return 1 };
    let (mut left, mut sum) = (message, 0);
    while let Some((tag, after)) = varint(left) {
        let skipped = match tag & 7 {
            0 => varint(after).map(|(_, after)| (&[][..], after)),
            1 => after.split_at_checked(8),
            2 => varint(after)
                .and_then(|(length, after)| after.split_at_checked(usize::try_from(length).ok()?)),
            5 => after.split_at_checked(4),
            _ => None,
        };
        let Some((field, after)) = skipped else { return sum };
        if tag >> 3 == *number && tag & 7 == 2 {
            sum += leaves(field, rest);
        }
        left = after;
    }
    sum
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end].iter().rev().fold(0, |value: u64, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_of_a_message_are_counted() {
        // 1: { 1: "r", 2: { 2: "ab", 2: "" }, 2: { 3: 150, 2: "c" } }
        let message = [10, 18, 10, 1, b'r', 18, 6, 18, 2, b'a', b'b', 18, 0, 18, 6, 24, 0x96, 1, 18, 1, b'c'];
        let mut message = message.to_vec();
        message[1] = u8::try_from(message.len() - 2).expect("short");
        assert_eq!(leaves(&message, &[1, 2, 2]), 3);
        for end in 0..message.len() {
            assert!(leaves(&message[..end], &[1, 2, 2]) <= 3);
        }
    }
}
