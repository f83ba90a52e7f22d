//! Containers that say what a test tells them to, into pipes whose other ends the test holds; and what the
//! observer said of it.

use std::{
    fs,
    io::{PipeReader, Read, pipe},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Bundle, Stage, program, run::Run, watch::Seen, workload};

/// How long anything that is waited for may take: more than it ever needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container by crun; its payload obeys words (`workloads/writer.c`), if it is not another one.
pub struct Container {
    pub id: String,
    root: PathBuf,
    crun: Child,
}

/// Where a container's standard streams lead.
pub struct Streams {
    stdout: Stdio,
    stderr: Stdio,
}

impl Streams {
    /// Two pipes.
    pub fn pipes() -> (Streams, PipeReader, PipeReader) {
        let ((out, stdout), (err, stderr)) = (pipe().expect("a pipe"), pipe().expect("a pipe"));
        (Streams { stdout: stdout.into(), stderr: stderr.into() }, out, err)
    }

    /// Nobody hears what it says.
    pub fn null() -> Streams {
        Streams { stdout: Stdio::null(), stderr: Stdio::null() }
    }

    /// A pipe for standard output; errors go nowhere.
    pub fn piped() -> (Streams, PipeReader) {
        let (out, stdout) = pipe().expect("a pipe");
        (Streams { stdout: stdout.into(), stderr: Stdio::null() }, out)
    }

    /// One pipe for both, as by `2>&1`.
    pub fn merged() -> (Streams, PipeReader) {
        let (out, stdout) = pipe().expect("a pipe");
        let stderr = stdout.try_clone().expect("a descriptor");
        (Streams { stdout: stdout.into(), stderr: stderr.into() }, out)
    }
}

/// The workload, built once for a stage.
pub fn writer(stage: &Stage) -> Vec<u8> {
    let path = stage.path("writer");
    if !path.exists() {
        workload::static_program("writer", &stage.path(""));
    }
    fs::read(path).expect("the workload just built")
}

impl Container {
    /// Starts one that obeys `words`.
    pub fn begin(stage: &Stage, name: &str, words: &str, streams: Streams) -> Container {
        let args: Vec<&str> = ["/bin/writer"].into_iter().chain(words.split(' ')).collect();
        let bundle = Bundle::new(&args).file("bin/writer", &writer(stage));
        Container::of(stage, name, bundle, streams)
    }

    /// Starts one of any bundle.
    pub fn of(stage: &Stage, name: &str, bundle: Bundle, streams: Streams) -> Container {
        let written = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
        let mut command = stage.runtime(program("crun")).run_command(&written);
        // The command keeps its ends of the pipes open until it is dropped, which is here.
        let crun = command.stdout(streams.stdout).stderr(streams.stderr).spawn().expect("crun");
        Container { root: written.folder.join("rootfs"), id: written.id, crun }
    }

    /// Lets it go past `wait:/NAME`.
    pub fn release(&self, name: &str) {
        fs::write(self.root.join(name), "").expect("a file in the container");
    }

    /// Waits until it has got to `mark:/NAME`.
    pub fn reaches(&self, name: &str) {
        until(&format!("{} at {name}", self.id), || self.root.join(name).exists().then_some(()));
    }

    /// A file that it wrote.
    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.root.join(name)).expect("a file in the container")
    }

    /// Its exit code, as crun hands it on.
    pub fn ends(&mut self) -> i32 {
        let ended = || self.crun.try_wait().expect("wait");
        until(&self.id, ended).code().expect("crun was killed")
    }
}

/// Waits for something that has to come.
///
/// # Panics
/// It does not.
pub fn until<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = is() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process of its own that reads a pipe to its end.
pub struct Cat {
    child: Child,
    taken: PathBuf,
}

impl Cat {
    pub fn begin(stage: &Stage, name: &str, from: PipeReader) -> Cat {
        let taken = stage.path(format!("{name}.taken"));
        let mut command = Command::new(program("cat"));
        command.stdin(OwnedFd::from(from)).stdout(fs::File::create(&taken).expect("a file"));
        Cat { child: command.spawn().expect("cat"), taken }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("cat");
    }

    /// Bytes that it has passed on so far.
    pub fn taken(&self) -> u64 {
        self.taken.metadata().expect("a file").len()
    }

    pub fn has_taken(&self, bytes: u64) {
        until(&format!("{bytes} bytes"), || (self.taken() >= bytes).then_some(()));
    }

    /// Stopped: it takes nothing from now on.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        until("cat to stop", || fs::read_to_string(&stat).expect("cat").contains(") T ").then_some(()));
    }

    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("cat");
    }

    /// The text that it took, when there is no more.
    pub fn said(&mut self) -> String {
        self.ends();
        fs::read_to_string(&self.taken).expect("text")
    }

    /// All that it took, when there is no more.
    pub fn ends(&mut self) -> u64 {
        until("cat to end", || self.child.try_wait().expect("wait"));
        self.taken()
    }
}

impl Drop for Cat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This process reads a pipe to its end, with a pause between two reads, and counts.
pub fn drain(mut from: PipeReader, at_once: usize, pause: Duration) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut buffer = vec![0; at_once];
        let mut sum = 0;
        loop {
            match from.read(&mut buffer).expect("a pipe") {
                0 => return sum,
                read => sum += read as u64,
            }
            thread::sleep(pause);
        }
    })
}

/// Reads just so many bytes.
pub fn take(from: &mut PipeReader, count: usize) {
    from.read_exact(&mut vec![0; count]).expect("a pipe");
}

/// Whether an object is about this stream.
pub fn is_stream(object: &Value, id: &str, fd: u32) -> bool {
    object["probe"] == "stdio" && object["container"]["id"] == id && object["fd"] == fd
}

impl Run {
    /// The last word on a stream.
    pub fn stream_ends(&self, id: &str, fd: u32) -> Value {
        let what = format!("the end of stream {fd} of {id}");
        self.wait_for(&what, |object| is_stream(object, id, fd) && object["ended"] == true)
    }

    /// A stream with this outcome, whether or not it has ended.
    pub fn stream_is(&self, id: &str, fd: u32, outcome: &str) -> Value {
        let what = format!("{outcome} of stream {fd} of {id}");
        self.wait_for(&what, |object| is_stream(object, id, fd) && object["outcome"] == outcome)
    }
}

impl Seen {
    /// All that was said of a stream, in order.
    pub fn of_stream(&self, id: &str, fd: u32) -> Vec<&Value> {
        self.objects.iter().filter(|object| is_stream(object, id, fd)).collect()
    }

    /// The outcomes that were told of a stream, in order.
    pub fn outcomes(&self, id: &str, fd: u32) -> Vec<&str> {
        self.of_stream(id, fd).iter().filter_map(|event| event["outcome"].as_str()).collect()
    }

    /// The one last word on a stream, with nothing said before or after it but `before`. That writes go on failing is
    /// said again and again, and is one of these.
    ///
    /// # Panics
    /// It was something else.
    pub fn stream(&self, id: &str, fd: u32, before: &[&str]) -> &Value {
        let all = self.of_stream(id, fd);
        let Some((last, earlier)) = all.split_last() else {
            panic!("nothing was said of stream {fd} of {id}: {}{}", self.stderr, self.stdout)
        };
        assert_eq!(last["ended"], true, "{id} goes on: {last:#}");
        let mut outcomes: Vec<&str> = earlier.iter().filter_map(|event| event["outcome"].as_str()).collect();
        outcomes.dedup();
        assert_eq!(outcomes, before, "{id}: {all:#?}");
        assert!(earlier.iter().all(|event| event["ended"] == false), "{id} ended twice: {all:#?}");
        last
    }

    /// What holds at the end of a run in which nothing went wrong.
    pub fn nothing_was_lost(&self) {
        assert_eq!(self.lost(), 0, "{}", self.last("health"));
        assert_eq!(self.code, Some(0), "{}", self.stderr);
    }
}

/// What must be true of an object: key and value.
pub fn expect(object: &Value, fields: &[(&str, Value)]) {
    for (key, value) in fields {
        assert_eq!(object.get(key), Some(value), "{key} of {object:#}");
    }
}

/// All of `bytes` were written to a pipe and taken out of it.
pub fn delivered(event: &Value, bytes: u64) {
    expect(
        event,
        &[
            ("outcome", json!("delivered")),
            ("target", json!("pipe")),
            ("target_now", Value::Null),
            ("written_bytes", json!(bytes)),
            ("delivered_bytes", json!(bytes)),
            ("pipe_bytes", json!(0)),
            ("broken_pipe_writes", json!(0)),
            ("why", Value::Null),
        ],
    );
}
