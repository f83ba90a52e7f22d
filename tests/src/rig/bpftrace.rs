//! An independent tracer: what bpftrace saw of which process, on the observer's clock.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use observer::source::live::Tracefs;
use rustix::{
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime},
};
use tempfile::TempDir;

use super::program;

/// One line an event: kind, CLOCK_MONOTONIC in ns, pid. Failed calls are left out, and what
/// bpftrace prints itself: each line of that would make another.
const SCRIPT: &str = r#"
BEGIN { printf("attached 0 0\n"); }
tracepoint:sched:sched_process_exec { printf("exec %lld %d\n", nsecs, pid); }
tracepoint:sched:sched_process_exit { printf("exit %lld %d\n", nsecs, pid); }
tracepoint:syscalls:sys_exit_pivot_root,
tracepoint:syscalls:sys_exit_chroot,
tracepoint:syscalls:sys_exit_mount,
tracepoint:syscalls:sys_exit_move_mount,
tracepoint:syscalls:sys_exit_mount_setattr,
tracepoint:syscalls:sys_exit_umount /args->ret == 0/ { printf("root %lld %d\n", nsecs, pid); }
tracepoint:syscalls:sys_enter_write /args->fd == 1 && comm != "bpftrace"/ { @one[tid] = 1; }
tracepoint:syscalls:sys_enter_writev /args->fd == 1 && comm != "bpftrace"/ { @one[tid] = 1; }
tracepoint:syscalls:sys_exit_write /@one[tid]/ {
    if (args->ret > 0) { printf("output %lld %d\n", nsecs, pid); } delete(@one[tid]);
}
tracepoint:syscalls:sys_exit_writev /@one[tid]/ {
    if (args->ret > 0) { printf("output %lld %d\n", nsecs, pid); } delete(@one[tid]);
}
"#;

/// How long bpftrace may take to attach.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Tracer {
    child: Child,
    output: PathBuf,
    _folder: TempDir,
}

/// Something that a process did.
#[derive(Clone, Debug)]
pub struct Seen {
    pub kind: String,
    /// Since the epoch, in ns.
    pub at: i128,
    pub pid: u32,
}

impl Tracer {
    /// Returns once it has attached.
    ///
    /// # Panics
    /// It cannot.
    pub fn begin() -> Tracer {
        // On a machine just started nobody has mounted it yet.
        let _ = Tracefs::find_or_mount(Path::new("/"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("output");
        let file = fs::File::create(&output).expect("a file");
        let mut command = Command::new(program("bpftrace"));
        command.args(["-B", "line", "-e", SCRIPT]).stdin(Stdio::null());
        command.stdout(file.try_clone().expect("a descriptor")).stderr(file);
        let child = command.spawn().expect("bpftrace");
        let mut tracer = Tracer { child, output, _folder: folder };
        let deadline = Instant::now() + PATIENCE;
        while !tracer.text().contains("attached") {
            let ended = tracer.child.try_wait().expect("wait");
            assert!(ended.is_none() && Instant::now() < deadline, "bpftrace: {}", tracer.text());
            thread::sleep(Duration::from_millis(20));
        }
        tracer
    }

    /// All that it saw.
    ///
    /// # Panics
    /// It cannot be ended, or lost events: then it is no witness.
    pub fn end(mut self) -> Vec<Seen> {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("bpftrace");
        self.child.wait().expect("bpftrace");
        let text = self.text();
        assert!(!text.contains("Lost"), "bpftrace lost events: {text}");
        let offset = wall_minus_monotonic();
        text.lines().filter_map(|line| parse(line, offset)).collect()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }
}

fn parse(line: &str, offset: i128) -> Option<Seen> {
    let mut words = line.split(' ');
    let (kind, at, pid) = (words.next()?.to_owned(), words.next()?, words.next()?);
    Some(Seen { kind, at: at.parse::<i128>().ok()? + offset, pid: pid.parse().ok()? })
}

/// The best of a few readings: between two of the one clock there may be a pause.
fn wall_minus_monotonic() -> i128 {
    let read = |clock| {
        let time = clock_gettime(clock);
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    let readings = (0..20).map(|_| {
        let before = read(ClockId::Monotonic);
        let wall = read(ClockId::Realtime);
        let after = read(ClockId::Monotonic);
        (after - before, wall - (before + after) / 2)
    });
    readings.min().map_or(0, |(_, offset)| offset)
}
