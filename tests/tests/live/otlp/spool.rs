//! What waits for a collector that has stopped: a disk that is full, an observer that is killed. Whatever a sender was
//! told is taken arrives, and nothing arrives that was not sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use crate::senders::{listens, otlp, passing_on};
use observer_tests::rig::{run::Run, stage, stdio::until};
use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::Signal,
};
use serde_json::{Value, json};

/// Spans that a collector has, and how often; it takes nothing while it is stopped.
#[derive(Default)]
struct Collector {
    has: Mutex<BTreeMap<u64, u32>>,
    stopped: Mutex<bool>,
    goes_on: Condvar,
}

impl Collector {
    /// Where it is.
    fn start() -> (Arc<Collector>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let collector = Arc::<Collector>::default();
        let serving = Arc::clone(&collector);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let collector = Arc::clone(&serving);
                // Its other end may leave at any time.
                thread::spawn(move || drop(collector.serve(&stream)));
            }
        });
        (collector, url)
    }

    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line)? > 2 {
                head.push_str(&line.to_lowercase());
                line.clear();
            }
            if head.is_empty() {
                return Ok(());
            }
            let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; len.unwrap_or(0)];
            reader.read_exact(&mut body)?;
            let stopped = self.stopped.lock().expect("a switch");
            drop(self.goes_on.wait_while(stopped, |stopped| *stopped).expect("a switch"));
            if head.starts_with("post /v1/traces") {
                self.take(&body);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
    }

    fn take(&self, body: &[u8]) {
        const MARK: &[u8] = b"number ";
        let mut has = self.has.lock().expect("what it has");
        for at in (0..body.len()).filter(|at| body[*at..].starts_with(MARK)) {
            let digits = body[at + MARK.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let number = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
            *has.entry(number).or_default() += 1;
        }
    }

    fn stop(&self, stop: bool) {
        *self.stopped.lock().expect("a switch") = stop;
        self.goes_on.notify_all();
    }

    fn has(&self) -> BTreeSet<u64> {
        self.has.lock().expect("what it has").keys().copied().collect()
    }
}

fn span(number: u64, bytes: usize) -> Value {
    let padding = json!({"key": "server.address", "value": {"stringValue": "x".repeat(bytes)}});
    json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
        "traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1), "name": format!("number {number};"),
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
        "attributes": [padding],
    }]}]}]})
}

/// The status that a request is answered with, if it is answered.
fn offer(to: SocketAddr, body: &Value) -> Option<u16> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

fn begin(folder: &Path, url: &str, listen: &str) -> (Run, SocketAddr) {
    let mut command = passing_on(folder, url, listen);
    command.args(["--otlp-protocol", "http/protobuf"]).env("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
    let run = Run::by(command);
    let to = listens(&run);
    (run, to)
}

/// A file system of its own, which is soon full.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Small {
        fs::create_dir_all(&at).expect("a folder");
        let options = std::ffi::CString::new(format!("size={size},mode=700")).expect("options");
        mount("tmpfs", &at, "tmpfs", MountFlags::empty(), options.as_c_str()).expect("a tmpfs");
        Small(at)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_said_and_what_was_taken_arrives_when_the_collector_goes_on() {
    const BYTES: usize = 256 << 10;
    let stage = stage();
    let disk = Small::mount(stage.path("small"), "2m");
    let (collector, url) = Collector::start();
    let (run, to) = begin(&disk.0, &url, "127.0.0.1:0");
    collector.stop(true);
    let (mut taken, mut refused) = (BTreeSet::new(), 0);
    for number in 0.. {
        match offer(to, &span(number, BYTES)) {
            Some(200) => drop(taken.insert(number)),
            Some(503) => refused += 1,
            other => panic!("{number}: {other:?}"),
        }
        // Not all of the disk is ours, and not much is kept in memory.
        assert!(taken.len() * BYTES < 32 << 20, "there is a bound");
        if refused == 10 {
            break;
        }
    }
    assert!(taken.len() * BYTES > 8 << 20, "memory was used: {}", taken.len());
    run.says("that the disk is full", |line| line.contains("cannot keep on disk what waits").then_some(()));
    collector.stop(false);
    until("all that was taken", || (collector.has() == taken).then_some(()));
    // There is room again, also on the disk.
    for number in 1_000..1_010 {
        assert_eq!(offer(to, &span(number, 10)), Some(200));
        taken.insert(number);
    }
    until("what came after", || (collector.has() == taken).then_some(()));
    let seen = run.end();
    assert_eq!(seen.stderr.matches("cannot keep on disk").count(), 1, "{}", seen.stderr);
    let counts = otlp(&seen);
    let forward = &counts["forward"];
    assert_eq!((&forward["forwarded"], &forward["dropped"]), (&json!(taken.len()), &json!(0)), "{counts:#}");
    assert_eq!((&forward["waiting"], &forward["waiting_in_memory"]), (&json!(0), &json!(0)), "{counts:#}");
    assert_eq!(
        (&counts["received"]["spans"], &counts["refused_requests"]),
        (&json!(taken.len()), &json!(refused))
    );
}

#[test]
fn what_is_in_memory_alone_at_the_end_is_counted_as_dropped() {
    let stage = stage();
    let disk = Small::mount(stage.path("small"), "256k");
    let (collector, url) = Collector::start();
    let (run, to) = begin(&disk.0, &url, "127.0.0.1:0");
    collector.stop(true);
    for number in 0..4 {
        assert_eq!(offer(to, &span(number, 100 << 10)), Some(200));
    }
    let counts = otlp(&run.end());
    let of = |what: &str| counts["forward"][what].as_u64().expect("a count");
    assert_eq!((of("forwarded"), of("waiting") + of("dropped")), (0, 4), "{counts:#}");
    assert!(of("waiting") >= 1 && of("dropped") >= 1, "{counts:#}");
    let dropped = of("dropped");
    // What was on the disk is there.
    collector.stop(false);
    let (run, _) = begin(&disk.0, &url, "127.0.0.1:0");
    until("what was left", || (collector.has().len() as u64 == 4 - dropped).then_some(()));
    assert_eq!(otlp(&run.end())["forward"]["resumed"], 4 - dropped);
}

#[test]
// long: one load, through which an observer is killed
fn a_kill_under_load_while_the_collector_is_stopped_loses_nothing_that_was_taken() {
    const SENDERS: u64 = 4;
    const EACH: u64 = 300;
    let stage = stage();
    let folder = stage.path("state");
    let (collector, url) = Collector::start();
    let (run, to) = begin(&folder, &url, "127.0.0.1:0");
    let taken = Mutex::new(BTreeSet::new());
    let count = || taken.lock().expect("numbers").len() as u64;
    let counts = thread::scope(|scope| {
        for sender in 0..SENDERS {
            let taken = &taken;
            scope.spawn(move || {
                for number in sender * EACH..(sender + 1) * EACH {
                    // As senders do: again, until it is taken.
                    until("a span to be taken", || {
                        let answered = offer(to, &span(number, 100));
                        assert!(matches!(answered, None | Some(200 | 503)), "{answered:?}");
                        (answered == Some(200)).then_some(())
                    });
                    taken.lock().expect("numbers").insert(number);
                }
            });
        }
        until("the load", || (count() > 100).then_some(()));
        collector.stop(true);
        until("some to wait", || (count() > 500).then_some(()));
        run.signal(Signal::KILL);
        drop(run);
        let (run, _) = begin(&folder, &url, &to.to_string());
        until("some more to wait", || (count() > 800).then_some(()));
        collector.stop(false);
        until("all to be taken", || (count() == SENDERS * EACH).then_some(()));
        let all: BTreeSet<u64> = (0..SENDERS * EACH).collect();
        until("all to arrive", || (collector.has() == all).then_some(()));
        otlp(&run.end())
    });
    let of = |what: &str| counts["forward"][what].as_u64().expect("a count");
    let received = counts["received"]["spans"].as_u64().expect("a count");
    let seen_before = counts["seen_before"].as_u64().expect("a count");
    // What this run has taken, and what the killed one has left, all went on.
    assert_eq!(of("resumed") + received - seen_before, of("forwarded"), "{counts:#}");
    assert_eq!((of("waiting"), of("dropped")), (0, 0), "{counts:#}");
    assert!(of("resumed") >= 300, "it was killed with much at hand: {counts:#}");
}
