//! The observer as users run it: the built program, its command line, its JSON.

use std::{
    env, fs,
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long the observer may take to attach, or to end: more than it ever needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the observer runs: says that it runs, and ends when told to.
const GATE: &str = r#": > "$0/attached"; read -r _ < "$0/release""#;

/// `observer coldstart -o json`, watching while a test makes containers.
pub struct Watch {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    gate: TempDir,
}

impl Watch {
    /// With as little patience for a container to listen as is enough for one that never will.
    pub fn begin() -> Watch {
        Watch::with(&["--ready-wait", "1s"])
    }

    /// Returns once the observer has attached: it starts its CMD only then.
    ///
    /// # Panics
    /// It cannot be run, or ends before that.
    pub fn with(options: &[&str]) -> Watch {
        let gate = tempfile::tempdir().expect("a temporary folder");
        let release = gate.path().join("release");
        rustix::fs::mknodat(rustix::fs::CWD, &release, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("a fifo");
        let mut command = Command::new(observer());
        command.args(["coldstart", "-o", "json", "--socket", "off"]).args(options);
        command.args(["--", "/bin/sh", "-c", GATE]).arg(gate.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        let mut watch = Watch { child, stdout, stderr, gate };
        let deadline = Instant::now() + PATIENCE;
        while !watch.gate.path().join("attached").exists() {
            let ended = watch.child.try_wait().expect("wait");
            if ended.is_some() || Instant::now() > deadline {
                let _ = watch.child.kill();
                let said = watch.stderr.take().map(JoinHandle::join);
                panic!("the observer did not attach ({ended:?}): {said:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        watch
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets CMD end, and with it the observer.
    ///
    /// # Panics
    /// It does not end, or prints what is not JSON.
    pub fn end(mut self) -> Seen {
        self.open_gate();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            assert!(Instant::now() < deadline, "the observer did not end with its CMD");
            thread::sleep(Duration::from_millis(5));
        };
        let text = |reader: Option<JoinHandle<String>>| {
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        Seen::of(stdout, stderr, status.code())
    }

    /// The gate's reader may be gone already, so this must not wait for one.
    fn open_gate(&self) {
        let release = self.gate.path().join("release");
        let _ = fs::OpenOptions::new().read(true).write(true).open(release).map(|mut fifo| {
            use std::io::Write;
            let _ = fifo.write_all(b"\n");
            // Kept open for the reader's sake: a fifo that nobody has open forgets what was in it.
            thread::sleep(Duration::from_millis(50));
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.open_gate();
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// All that one run of the observer said.
pub struct Seen {
    /// As printed.
    pub stdout: String,
    pub objects: Vec<Value>,
    pub stderr: String,
    pub code: Option<i32>,
    /// Which case of the matrix it is, where it is one.
    pub case: Option<String>,
}

impl Seen {
    pub(super) fn of(stdout: String, stderr: String, code: Option<i32>) -> Seen {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let objects = stdout.lines().map(parse).collect();
        Seen { stdout, objects, stderr, code, case: None }
    }

    pub fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["type"] == kind)
    }

    /// The events of one container that a probe told.
    pub fn events_of<'a>(&'a self, probe: &'a str, id: &'a str) -> impl Iterator<Item = &'a Value> {
        self.of_type("event").filter(move |event| event["probe"] == probe && event["container"]["id"] == id)
    }

    /// The starts of one container.
    pub fn starts_of(&self, id: &str) -> Vec<&Value> {
        self.of_type("coldstart").filter(|start| start["container"]["id"] == id).collect()
    }

    /// The one start of a container, broken down soundly.
    ///
    /// # Panics
    /// There is none, more than one, or one whose phases do not make up its time.
    pub fn start(&self, id: &str) -> &Value {
        let starts = self.starts_of(id);
        let [start] = starts[..] else {
            let ids: Vec<_> = self.of_type("coldstart").map(|start| &start["container"]["id"]).collect();
            panic!(
                "{id}: {} starts instead of one; those seen: {ids:?}; it said: {}",
                starts.len(),
                self.stderr
            )
        };
        crate::check::breakdown(start).unwrap_or_else(|error| panic!("{id}: {error:#}: {start:#}"));
        start
    }

    /// Records lost, by the observer's own count.
    pub fn lost(&self) -> u64 {
        self.last("summary")["lost"].as_u64().expect("a number of lost records")
    }

    pub fn last<'a>(&'a self, kind: &'a str) -> &'a Value {
        self.of_type(kind).last().unwrap_or_else(|| panic!("no {kind} was printed: {}", self.stderr))
    }

    /// No start without a container: what nobody can tell apart from a call that is no start.
    ///
    /// # Panics
    /// There is one.
    pub fn nothing_nameless(&self) {
        let nameless: Vec<_> = self
            .of_type("coldstart")
            .filter(|start| start["container"]["id"].as_str().is_none_or(str::is_empty))
            .collect();
        assert!(nameless.is_empty(), "starts of nobody knows what: {nameless:#?}");
    }
}

/// The program under test: `$OBSERVER`, else the newest of what cargo builds.
pub fn observer() -> PathBuf {
    if let Some(path) = env::var_os("OBSERVER") {
        return path.into();
    }
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")), PathBuf::from);
    let built = ["release/observer", "debug/observer"].map(|path| target.join(path));
    let age = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    let newest = built.into_iter().filter(|path| path.is_file()).max_by_key(age);
    newest.expect("the observer is not built: `cargo xtask build` builds it, or set OBSERVER")
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
