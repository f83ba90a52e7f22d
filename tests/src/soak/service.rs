//! The observer as a service, seen from outside: its process, its recording, and its answers.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use observer::app::demo::stage::Stage;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::rig::watch::observer;

/// How long it may take to attach, or to end: more than it ever needs.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Service {
    child: Child,
    pub socket: PathBuf,
    pub recording: PathBuf,
    out: PathBuf,
    err: PathBuf,
}

/// What it takes at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub resident: u64,
    pub files: usize,
    pub recorded: u64,
}

impl Service {
    /// # Panics
    /// It does not attach.
    pub fn begin(stage: &Stage, mib: u64, life: usize) -> Service {
        let (out, err) = (stage.path(format!("life-{life}.out")), stage.path(format!("life-{life}.err")));
        let (socket, recording) = (stage.path("soak.sock"), stage.path("recording"));
        fs::create_dir_all(&recording).expect("a folder for the recording");
        let mut command = Command::new(observer());
        command
            .args(["run", "-o", "json", "--record-limit", &format!("{mib}MiB"), "--record"])
            .arg(&recording);
        command.arg("--socket").arg(&socket).stdin(Stdio::null());
        command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut service = Service { child, socket, recording, out, err };
        let deadline = Instant::now() + PATIENCE;
        while !service.says().contains("attached") {
            let ended = service.child.try_wait().expect("wait");
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", service.says());
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }

    pub fn taken(&self) -> Taken {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(proc.join("status")).expect("the observer runs");
        // What it has asked for: pages of its own program come as they are used, and go when others need room.
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        let resident = kib.and_then(|kib| kib.trim().parse::<u64>().ok()).expect("RssAnon") << 10;
        let files = proc.join("fd").read_dir().expect("its descriptors").count();
        Taken { resident, files, recorded: size(&self.recording) }
    }

    /// Seconds of CPU time so far.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the observer runs");
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let ticks = behind.split_ascii_whitespace().skip(11).take(2).flat_map(str::parse::<f64>);
        ticks.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
    }

    pub fn kill(mut self) {
        self.child.kill().expect("the observer");
        self.child.wait().expect("the observer");
    }

    /// Ends it as `systemctl stop` does, and gives its summary and its exit code.
    ///
    /// # Panics
    /// It does not end.
    pub fn end(mut self) -> (Value, Option<i32>) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the observer");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.says());
            std::thread::sleep(Duration::from_millis(50));
        };
        let told = fs::read_to_string(&self.out).expect("what it told");
        let last = told.lines().next_back().and_then(|line| serde_json::from_str(line).ok());
        (last.unwrap_or_default(), status.code())
    }

    pub fn says(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    pub fn asked(&self, words: &[&str]) -> Output {
        ask(Command::new(observer()).args(words).arg("--socket").arg(&self.socket))
    }
}

/// What a recording replays to: which containers it knows to have ended, and what was said of it.
pub struct Replayed {
    pub ended: BTreeSet<String>,
    /// It has a summary for its last line, and an exit status that is one of success.
    pub is_whole: bool,
    pub said: String,
}

pub fn replayed(recording: &Path) -> Replayed {
    let replay = ["replay", "--show", "runtime", "-o", "json"];
    let out = ask(Command::new(observer()).args(replay).arg(recording));
    let (told, said) = (text(&out.stdout), text(&out.stderr));
    let objects = || told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_end = |object: &Value| object["probe"] == "runtime" && object["action"] == "exit";
    let id = |object: Value| object["container"]["id"].as_str().map(str::to_owned);
    let ended = objects().filter(is_end).filter_map(id).collect();
    let has_summary = objects().next_back().is_some_and(|object| object["type"] == "summary");
    // 3: it says itself what is missing.
    let is_whole = has_summary && matches!(out.status.code(), Some(0 | 3));
    Replayed { ended, is_whole, said }
}

/// The containers of which any file of it, replayed by itself, knows the end.
pub fn each_replayed(recording: &Path) -> BTreeSet<String> {
    let files = recording.read_dir().expect("the recording").flatten();
    files.flat_map(|file| replayed(&file.path()).ended).collect()
}

/// A copy of the recording as it is now. What is removed meanwhile is not in it.
pub fn copied(recording: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder");
    let mut files: Vec<PathBuf> =
        recording.read_dir().expect("the recording").flatten().map(|file| file.path()).collect();
    // The youngest first: what goes meanwhile goes from the other end, and leaves no gap.
    files.sort();
    for file in files.into_iter().rev() {
        let _ = fs::copy(&file, to.join(file.file_name().unwrap_or_default()));
    }
}

fn size(folder: &Path) -> u64 {
    let files = folder.read_dir().into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

fn ask(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
