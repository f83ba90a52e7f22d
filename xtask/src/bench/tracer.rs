//! Programs that watch the kernel while something is measured: started, waited for until they watch, stopped.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, poll},
    mount::{MountFlags, mount},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
    time::Timespec,
};

use crate::paths;

/// How long anything may take to attach or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The observer's exit code for less than was asked.
const MEASURED_LESS: i32 = 3;

/// How long nothing more may be attached before a silent tracer counts as ready.
const QUIET: Duration = Duration::from_millis(500);

/// How to start a tracer and see that it watches.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) words: Vec<String>,
    pub(super) ready: Ready,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Ready {
    /// It says so on stderr, with this word.
    Says(&'static str),
    /// It says nothing in time (stdout is buffered): it holds this many attachments, and no more are coming.
    Holds(usize),
}

impl Recipe {
    pub(super) fn new<S: Into<String>>(ready: Ready, words: impl IntoIterator<Item = S>) -> Recipe {
        Recipe { words: words.into_iter().map(Into::into).collect(), ready }
    }

    /// bpftrace with a script of that many probes.
    pub(super) fn bpftrace(script: &str, probes: usize) -> Recipe {
        // On a machine just started nobody has mounted it yet.
        if !Path::new("/sys/kernel/tracing/events").exists() {
            let _ = mount("tracefs", "/sys/kernel/tracing", "tracefs", MountFlags::NOSUID, None);
        }
        // It opens a buffer for each processor, a perf event too, before it compiles and attaches.
        let buffers = thread::available_parallelism().map_or(1, usize::from);
        Recipe::new(Ready::Holds(probes + buffers), ["bpftrace", "-e", script])
    }

    /// Returns when it watches.
    pub(super) fn start(&self, stdout: Stdio) -> Result<Tracer> {
        let name = self.words.join(" ");
        let (program, arguments) = self.words.split_first().context("a tracer without a program")?;
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", paths::search_path());
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot run {name}"))?;
        let said = lines(&mut child);
        let mut tracer = Tracer { child, name };
        match self.ready {
            Ready::Says(word) => tracer.await_word(word, &said)?,
            Ready::Holds(count) => tracer.await_attachments(count, &said)?,
        }
        Ok(tracer)
    }
}

/// A running one. Dropped, it is killed; [`Tracer::stop`] ends it as a user would.
pub(super) struct Tracer {
    pub(super) child: Child,
    name: String,
}

impl Tracer {
    /// As Ctrl-C does. An error if it had ended before, or ends badly.
    pub(super) fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} had ended before it was stopped: {status}", self.name);
        }
        self.interrupt()?;
        let status = wait(&mut self.child, PATIENCE).with_context(|| self.name.clone())?;
        // The small tools end by the signal's default.
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&status);
        // Made to work as fast as one can, it may lose records: what is promised of that is measured at a steady rate.
        if status.code() == Some(MEASURED_LESS) {
            eprintln!("bench: {} lost records in this round", self.name);
            return Ok(());
        }
        ensure!(status.success() || by_signal == Some(Signal::INT.as_raw()), "{}: {status}", self.name);
        Ok(())
    }

    pub(super) fn interrupt(&self) -> Result<()> {
        kill_process(pid(&self.child)?, Signal::INT).with_context(|| format!("cannot stop {}", self.name))
    }

    fn await_word(&self, word: &str, said: &Receiver<String>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(word) => return Ok(()),
                Ok(line) => all.push(line),
                Err(why) => {
                    let what = match why {
                        RecvTimeoutError::Timeout => "did not attach in time",
                        RecvTimeoutError::Disconnected => "ended before it was attached",
                    };
                    bail!("{} {what}; it said: {}", self.name, all.join(" / "));
                }
            }
        }
    }

    fn await_attachments(&mut self, least: usize, said: &Receiver<String>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let (mut held, mut since) = (0, Instant::now());
        loop {
            let said = || said.try_iter().collect::<Vec<_>>().join(" / ");
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it was attached: {status}; it said: {}", self.name, said());
            }
            ensure!(Instant::now() < deadline, "{} did not attach in time; it said: {}", self.name, said());
            let now = attachments(self.child.id());
            if now != held {
                (held, since) = (now, Instant::now());
            } else if held >= least && since.elapsed() >= QUIET {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It has ended already unless a bench failed half-way; an ended one refuses both, rightly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child, and kills it when it takes too long.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let process = pidfd_open(pid(child)?, PidfdFlags::empty()).context("pidfd_open")?;
    let limit_spec = Timespec::try_from(limit).context("a time that the kernel knows")?;
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit_spec)).context("poll")?;
    if ended == 0 {
        child.kill().context("cannot kill what hangs")?;
        child.wait().context("cannot wait for what was killed")?;
        bail!("it took longer than {limit:?} and was killed");
    }
    child.wait().context("cannot wait for it")
}

fn pid(child: &Child) -> Result<Pid> {
    Pid::from_raw(child.id().cast_signed()).context("a process without a number")
}

/// What it writes to stderr, read for as long as it writes: a full pipe would stop it.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more once it is attached.
                let _ = sender.send(line);
            }
        });
    }
    receiver
}

/// How many probes a process holds: each is a perf event or a link of its own.
fn attachments(pid: u32) -> usize {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| is_attachment(&target.to_string_lossy())).count()
}

fn is_attachment(target: &str) -> bool {
    target.contains("perf_event") || target.contains("bpf_link") || target.contains("bpf-link")
}
