//! An observer without an end of its own, as users run it with `-o json`: what it says is read while it watches.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    Bundle, Stage, program,
    stdio::{Cat, Container, Streams, drain, until},
    watch::{Seen, observer},
};

/// How long anything that is waited for may take: more than it ever needs.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Run {
    child: Child,
    stdout: Arc<Text>,
    stderr: Arc<Text>,
    readers: Vec<JoinHandle<()>>,
}

/// What was read from one of its outputs so far.
#[derive(Default)]
struct Text {
    lines: Mutex<(Vec<String>, bool)>,
    grew: Condvar,
}

impl Text {
    fn collect(self: &Arc<Self>, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let text = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                text.lines.lock().expect("lines").0.push(line);
                text.grew.notify_all();
            }
            text.lines.lock().expect("lines").1 = true;
            text.grew.notify_all();
        })
    }

    /// The first line that gives something, as soon as it is there.
    fn wait<T>(&self, mut take: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().expect("lines");
        let mut seen = 0;
        loop {
            let found = lines.0[seen..].iter().find_map(|line| take(line));
            seen = lines.0.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || lines.1 || left.is_zero() {
                return found;
            }
            (lines, _) = self.grew.wait_timeout(lines, left).expect("lines");
        }
    }

    fn all(&self) -> String {
        self.lines.lock().expect("lines").0.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Run {
    /// Returns once whatever starts from now on is followed from its start, and this process is known to read what
    /// containers say.
    ///
    /// # Panics
    /// It cannot be run, or ends before that.
    pub fn begin(stage: &Stage, options: &[&str]) -> Run {
        let run = Run::attached(options);
        // One that begins while the observer looks at what was there before may be told in part only.
        let bundle = Bundle::new(&["/bin/true"]).write(stage, &format!("first-{}", run.pid()));
        let first = bundle.expect("bundle");
        stage.runtime(program("crun")).run(&first).expect("crun").success().expect("crun");
        run.wait_for("the end of the first container", |object| {
            object["container"]["id"] == *first.id && object["action"] == "exit"
        });
        run.catches_up(stage);
        run
    }

    /// Returns once the probes are attached; what was there before may not have been looked at yet.
    ///
    /// # Panics
    /// It cannot be run, or ends before that.
    pub fn attached(options: &[&str]) -> Run {
        Run::of(&[&["run"], options].concat())
    }

    /// A command and its options, attached.
    ///
    /// # Panics
    /// It cannot be run, or ends before that.
    pub fn of(words: &[&str]) -> Run {
        let mut command = Command::new(observer());
        command.args(words);
        // Several run at once on this machine: none is to be asked for another's sake, unless a test wants that.
        if matches!(words.first(), Some(&"run" | &"coldstart")) && !words.contains(&"--socket") {
            command.args(["--socket", "off"]);
        }
        Run::by(command)
    }

    /// A command, attached.
    ///
    /// # Panics
    /// It cannot be run, or ends before that.
    pub fn by(mut command: Command) -> Run {
        command.args(["-o", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (stdout, stderr) = (Arc::<Text>::default(), Arc::<Text>::default());
        let readers = vec![
            stdout.collect(child.stdout.take().expect("stdout")),
            stderr.collect(child.stderr.take().expect("stderr")),
        ];
        let run = Run { child, stdout, stderr, readers };
        let attached = run.stderr.wait(|line| line.contains("attached").then_some(()));
        assert!(attached.is_some(), "the observer did not attach: {}", run.stderr.all());
        run
    }

    /// Whether something like this was said by now.
    pub fn has_said(&self, is: impl Fn(&Value) -> bool) -> bool {
        self.stdout.all().lines().any(|line| serde_json::from_str(line).is_ok_and(|object| is(&object)))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns once it has found out who reads the pipes that were open before this was called: that of a container
    /// that began later is known. An observer that gets no CPU time finds out late, and says so of a pipe that is
    /// gone by then.
    ///
    /// # Panics
    /// It never finds out.
    pub fn catches_up(&self, stage: &Stage) {
        until("the readers of a canary", || {
            let (streams, out, err) = Streams::pipes();
            let number = stage.path("").read_dir().expect("the stage").count();
            let name = format!("canary-{number}-{}", self.pid());
            // One reader that nobody has seen before, and this process.
            let (cat, ours) = (Cat::begin(stage, &name, out), drain(err, 4_096, Duration::ZERO));
            let bundle = Bundle::new(&["/bin/sh", "-c", "sleep 0.1; echo canary; echo canary >&2"]);
            let mut canary = Container::of(stage, &name, bundle, streams);
            assert_eq!((canary.ends(), ours.join().expect("a reader")), (0, 7));
            // A child of this process counts as a reader from its birth on; its name is known once it was found.
            let reader = |fd| self.stream_ends(&canary.id, fd)["reader"].clone();
            let (theirs, ours) = (reader(1), reader(2));
            let found =
                theirs["comm"] == "cat" && theirs["pid"] == cat.pid() && ours["pid"] == std::process::id();
            found.then_some(())
        });
    }

    /// The first object of this kind, printed already or awaited. Each is looked at once, in order.
    ///
    /// # Panics
    /// None comes.
    pub fn wait_for(&self, what: &str, mut is: impl FnMut(&Value) -> bool) -> Value {
        let found = self.stdout.wait(|line| {
            let object: Value = serde_json::from_str(line).ok()?;
            is(&object).then_some(object)
        });
        found.unwrap_or_else(|| {
            let said = self.stdout.all();
            let last: Vec<&str> = said.lines().rev().take(20).collect();
            panic!("never saw {what}; it said: {}and at last, backwards: {last:#?}", self.stderr.all())
        })
    }

    /// What `take` makes of the first line of its talk that it makes anything of.
    ///
    /// # Panics
    /// There is none.
    pub fn says<T>(&self, what: &str, take: impl FnMut(&str) -> Option<T>) -> T {
        self.stderr.wait(take).unwrap_or_else(|| panic!("never said {what}: {}", self.stderr.all()))
    }

    /// # Panics
    /// It has been waited for.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the observer");
    }

    /// Whether it has printed an event of a probe about a container.
    pub fn has_told(&self, probe: &str, id: &str) -> bool {
        let said = self.stdout.all();
        said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|object| {
            object["type"] == "event" && object["probe"] == probe && object["container"]["id"] == id
        })
    }

    /// What it has printed so far.
    pub fn said(&self) -> String {
        self.stdout.all()
    }

    /// Ends it as Ctrl-C does.
    ///
    /// # Panics
    /// It does not end, or has printed what is not JSON.
    pub fn end(mut self) -> Seen {
        self.signal(Signal::INT);
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            assert!(Instant::now() < deadline, "the observer did not end: {}", self.stderr.all());
            thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader");
        }
        Seen::of(self.stdout.all(), self.stderr.all(), status.code())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
