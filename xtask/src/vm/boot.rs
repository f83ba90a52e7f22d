//! Starts QEMU, follows the console, and ends the machine when it is done, lost or late.

use super::console::{Line, parse};
use super::machine::Machine;
use anyhow::{Context as _, Result};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than a machine needs under emulation: this only ends one that hangs.
const LIMIT: Duration = Duration::from_secs(1200);
/// A kernel that is lost prints its call trace after the line that says so.
const LAST_WORDS: Duration = Duration::from_secs(3);
const TAIL_LINES: usize = 40;
const MEMORY_MIB: &str = "1024";

#[derive(Debug, Default)]
pub struct Verdict {
    /// The kernel's release, and the time from QEMU's start until pid 1 had made the system.
    pub ready: Option<(String, Duration)>,
    pub passed: Vec<String>,
    /// Case and reason.
    pub failed: Vec<(String, String)>,
    /// Why the machine's results are not whole, with the end of its console.
    pub broken: Option<String>,
    pub took: Duration,
}

pub fn boot(machine: &Machine, kernel: &Path, initramfs: &Path) -> Result<Verdict> {
    let start = Instant::now();
    let mut qemu = Qemu::start(machine, kernel, initramfs)?;
    let lines = qemu.lines()?;
    let mut session =
        Session { name: machine.name, start, verdict: Verdict::default(), tail: VecDeque::new() };
    let broken = session.follow(&lines).err();
    drop(qemu);
    let mut verdict = session.verdict;
    verdict.broken = broken.map(|why| format!("{why}; the console ended with:\n{}", joined(&session.tail)));
    verdict.took = start.elapsed();
    Ok(verdict)
}

/// A machine that ends with this value.
struct Qemu(Child);

impl Qemu {
    fn start(machine: &Machine, kernel: &Path, initramfs: &Path) -> Result<Self> {
        let append = format!("console={} panic=-1 quiet", machine.arch.console());
        let mut command = Command::new(machine.arch.qemu());
        command
            .args(machine.arch.qemu_machine())
            .args(["-accel", "tcg", "-m", MEMORY_MIB, "-smp", "1", "-no-reboot", "-net", "none"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", &append])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command.spawn().map(Self).with_context(|| format!("cannot run {command:?}"))
    }

    /// The console, line by line, until QEMU ends.
    fn lines(&mut self) -> Result<Receiver<String>> {
        let console = self.0.stdout.take().context("the console was already taken")?;
        let (sender, receiver) = sync_channel(1024);
        thread::spawn(move || {
            let mut console = BufReader::new(console);
            while let Some(line) = read_line(&mut console) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Fails only when QEMU has already ended, and then waiting returns at once.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Without line ends and control characters; the length of a line is bounded.
fn read_line(console: &mut impl std::io::BufRead) -> Option<String> {
    const LONGEST: u64 = 64 << 10;
    let mut bytes = Vec::new();
    let read = console.by_ref().take(LONGEST).read_until(b'\n', &mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    (read > 0).then(|| text.trim_end().chars().filter(|c| !c.is_control()).collect())
}

struct Session {
    name: &'static str,
    start: Instant,
    verdict: Verdict,
    tail: VecDeque<String>,
}

impl Session {
    /// Until the machine's last line. The error says why that did not come.
    fn follow(&mut self, lines: &Receiver<String>) -> Result<(), String> {
        let mut deadline = self.start + LIMIT;
        let mut lost = None;
        loop {
            let line = match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(lost.unwrap_or_else(|| "the machine ended before its last case".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(lost.unwrap_or_else(|| format!("no end within {} s", LIMIT.as_secs())));
                }
            };
            match parse(&line) {
                Line::Finished { passed, failed } => return self.check_count(passed, failed),
                Line::Fatal(why) if lost.is_none() => {
                    lost = Some(format!("the kernel is lost: {why}"));
                    deadline = Instant::now() + LAST_WORDS;
                }
                seen => self.take(&seen),
            }
            self.tail.push_back(line);
            if self.tail.len() > TAIL_LINES {
                self.tail.pop_front();
            }
        }
    }

    fn take(&mut self, line: &Line<'_>) {
        let name = self.name;
        match *line {
            Line::Ready(release) => {
                let after = self.start.elapsed();
                println!("vm {name}: Linux {release}, ready after {:.1} s", after.as_secs_f64());
                self.verdict.ready = Some((release.to_owned(), after));
            }
            Line::Passed(case) => {
                println!("vm {name}: {case}: ok");
                self.verdict.passed.push(case.to_owned());
            }
            Line::Failed { case, why } => {
                println!("vm {name}: {case}: FAILED: {why}");
                self.verdict.failed.push((case.to_owned(), why.to_owned()));
            }
            Line::Said(said) => println!("vm {name}:   {said}"),
            Line::Finished { .. } | Line::Fatal(_) | Line::Other(_) => {}
        }
    }

    /// The machine counts as well: a line that was garbled on the console is not a pass.
    fn check_count(&self, passed: usize, failed: usize) -> Result<(), String> {
        let seen = (self.verdict.passed.len(), self.verdict.failed.len());
        if seen != (passed, failed) {
            return Err(format!(
                "the machine says {passed} passed, {failed} failed, of which {} and {} were read",
                seen.0, seen.1
            ));
        }
        if passed + failed == 0 { Err("the machine ran no case".to_owned()) } else { Ok(()) }
    }
}

fn joined(tail: &VecDeque<String>) -> String {
    tail.iter().map(|line| format!("  | {line}\n")).collect()
}
