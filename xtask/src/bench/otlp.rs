//! What it takes to be in the path of a node's spans: how many a second are taken and passed on, beside rotel doing the
//! same in the same run, each on one core; how much later a span arrives; memory at 10,000 spans a second.

mod ends;

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Rig, SETTLE, memory,
    report::{Promise, Report},
    stats::Blocks,
    sustained,
};
use crate::paths::{self, find_program};
use ends::{Sender, Sink, request};

/// Spans of one request, as SDKs send them; requests under way at once.
const SPANS: u64 = 100;
const SENDERS: u64 = 4;
const STEADY: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(rig: &Rig, report: &mut Report) -> Result<()> {
    let sink = Sink::start()?;
    let direct = latency(sink.port, &sink, rig.pick(20, 200))?;
    let mut figures: Vec<(Kind, [Blocks; 4])> = vec![(Kind::Observer, Default::default())];
    match (rotel(), find_program("taskset")) {
        (Some(_), Some(_)) => {
            report
                .note("rotel compresses what it passes on over HTTP, whatever it is told; observer does not");
            figures.push((Kind::Rotel, Default::default()));
        }
        _ => report.note("SKIPPED: rotel, or taskset, is not on this machine: run `cargo xtask setup`"),
    }
    for round in 0..rig.pick(1, 5) {
        for (kind, figures) in &mut figures {
            let between = Between::start(*kind, rig, sink.port)?;
            let (rate, cpu) = throughput(&between, &sink, rig.pick(40, 1_000) as u64).context(kind.name())?;
            let later = latency(between.port, &sink, rig.pick(20, 200)).context(kind.name())?;
            let resident = steady(&between, &sink, rig.pick(1, 20) as u64).context(kind.name())?;
            for (blocks, value) in figures.iter_mut().zip([rate, cpu, later - direct, resident]) {
                blocks.push(vec![value]);
            }
        }
        eprintln!("bench: round {} of {}", round + 1, rig.pick(1, 5));
    }
    let baseline =
        figures.iter().find(|(kind, _)| *kind == Kind::Rotel).map(|(_, [rates, ..])| rates.clone());
    for (kind, [rates, cpu, later, resident]) in &figures {
        let name = kind.name();
        let what = format!("spans taken and passed on, {name}");
        match (&baseline, kind) {
            (Some(baseline), Kind::Observer) => {
                report.compared(what, "/s", (rates, baseline), Some(Promise::AtLeast(1.0)));
            }
            _ => report.figure(what, "/s", rates, None),
        }
        report.figure(format!("CPU time of a million spans, {name}"), "s", cpu, None);
        report.figure(format!("added latency of a span, {name}"), "ms", later, None);
        report.figure(format!("resident at {STEADY} spans/s, {name}"), "MB", resident, None);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Observer,
    Rotel,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Observer => "observer --otlp-forward all",
            Kind::Rotel => "rotel",
        }
    }
}

fn rotel() -> Option<PathBuf> {
    let lib = fs::read_dir(paths::cache().join("venv/lib")).ok()?;
    let at = |python: fs::DirEntry| python.path().join("site-packages/rotel/rotel-agent");
    lib.flatten().map(at).find(|path| path.exists())
}

/// Whoever is between senders and the sink, on one core.
struct Between {
    child: Child,
    port: u16,
}

impl Between {
    fn start(kind: Kind, rig: &Rig, to: u16) -> Result<Between> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{to}"));
        let mut command = Command::new(find_program("taskset").context("taskset")?);
        command.args(["-c", "0"]);
        match kind {
            Kind::Observer => {
                command.arg(&rig.observer).env("STATE_DIRECTORY", rig.folder.path().join("otlp"));
                command.args(["run", "--socket", "off", "--probes", "process", "-o", "json"]);
                command.args(["--otlp-listen-http", &listen, "--otlp-forward", "all"]);
                command.args(["--otlp", &url, "--otlp-protocol", "http/protobuf"]);
            }
            Kind::Rotel => {
                let grpc = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
                command.arg(rotel().context("rotel")?).arg("start");
                command.arg("--pid-file").arg(rig.folder.path().join("rotel.pid"));
                command.args(["--otlp-http-endpoint", &listen, "--otlp-grpc-endpoint", &grpc.to_string()]);
                command.args(["--exporter", "otlp", "--otlp-exporter-endpoint", &url]);
                command.args(["--otlp-exporter-protocol", "http"]);
            }
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut between = Between { child: child.with_context(|| format!("{command:?}"))?, port };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = between.child.try_wait()?;
            ensure!(ended.is_none() && Instant::now() < deadline, "{} does not listen", kind.name());
            thread::sleep(Duration::from_millis(20));
        }
        // What it does once after it listens.
        thread::sleep(SETTLE);
        Ok(between)
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Spans a second from the first that is sent to the last that arrives, and CPU seconds of a million.
fn throughput(between: &Between, sink: &Sink, requests: u64) -> Result<(f64, f64)> {
    let each = requests / SENDERS;
    let bodies: Vec<Vec<Vec<u8>>> =
        (0..SENDERS).map(|_| (0..each).map(|_| request(next(), SPANS)).collect()).collect();
    let total: u64 = bodies.iter().flatten().map(|body| body.len() as u64).sum();
    let (before, cpu) = (sink.has(), sustained::cpu_seconds(between.child.id())?);
    let begun = Instant::now();
    thread::scope(|scope| {
        let send = |bodies| {
            let mut sender = Sender::connect(between.port)?;
            <[Vec<u8>]>::iter(bodies).try_for_each(|body| sender.send(body))
        };
        let senders: Vec<_> = bodies.iter().map(|bodies| scope.spawn(move || send(bodies))).collect();
        senders.into_iter().try_for_each(|sender| sender.join().expect("a sender"))
    })?;
    // Whoever puts several requests into one says some of it once.
    sink.until(before + total * 99 / 100, Duration::from_millis(1))?;
    let took = begun.elapsed().as_secs_f64();
    let spans = (each * SENDERS * SPANS) as f64;
    let cpu = sustained::cpu_seconds(between.child.id())? - cpu;
    Ok((spans / took, cpu / spans * 1e6))
}

/// From when a span is sent to when it has arrived, the mean of so many, one after the other; milliseconds.
fn latency(port: u16, sink: &Sink, count: usize) -> Result<f64> {
    let mut sender = Sender::connect(port)?;
    let mut took = Duration::ZERO;
    for _ in 0..count {
        // Nothing of before may be under way.
        thread::sleep(Duration::from_millis(10));
        let (body, before, begun) = (request(next(), 1), sink.has(), Instant::now());
        sender.send(&body)?;
        sink.until(before + body.len() as u64 * 9 / 10, Duration::from_micros(50))?;
        took += begun.elapsed();
    }
    Ok(took.as_secs_f64() * 1e3 / count as f64)
}

/// Memory in the end, at a steady load for so many seconds; megabytes.
fn steady(between: &Between, sink: &Sink, seconds: u64) -> Result<f64> {
    let mut sender = Sender::connect(between.port)?;
    let (before, begun) = (sink.has(), Instant::now());
    let mut total = 0;
    for n in 0..seconds * STEADY / SPANS {
        let body = request(next(), SPANS);
        total += body.len() as u64;
        sender.send(&body)?;
        let due = Duration::from_micros((n + 1) * SPANS * 1_000_000 / STEADY);
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    let resident = memory::megabytes(between.child.id(), "VmRSS:")?;
    sink.until(before + total * 99 / 100, Duration::from_millis(1))?;
    Ok(resident)
}
