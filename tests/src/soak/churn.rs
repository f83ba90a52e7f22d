//! Containers that come and go, in every way that is quickly made, and which of them are known to have ended.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::rig::{Bundle, Stage, program};

/// Between one container's end and the next one's begin: a few a second, from all threads together.
const PAUSE: Duration = Duration::from_millis(300);

/// Each in its turn: one that is well, one that fails, one that says much, one that crashes, one that cannot begin, and
/// one that stays for a while.
const KINDS: [&[&str]; 6] = [
    &["/bin/true"],
    FAILS,
    &["/bin/sh", "-c", "i=0; while [ $i -lt 300 ]; do echo line $i of many; i=$((i+1)); done"],
    &["/bin/sh", "-c", "kill -SEGV $$"],
    &["/bin/nowhere"],
    &["/bin/sleep", "3"],
];
const FAILS: &[&str] = &["/bin/sh", "-c", "echo so long; exit 3"];

/// See the module.
pub struct Churn {
    made: AtomicUsize,
    stop: AtomicBool,
    ended: Mutex<Vec<Ended>>,
}

/// One that failed, as it was to: the observer has to know of each.
#[derive(Clone)]
pub struct Ended {
    pub id: String,
    /// When its end was known here.
    pub at: Instant,
}

impl Churn {
    pub const fn new() -> Churn {
        Churn { made: AtomicUsize::new(0), stop: AtomicBool::new(false), ended: Mutex::new(Vec::new()) }
    }

    /// Makes one after the other until it is stopped; several threads may.
    ///
    /// # Panics
    /// The stage is broken.
    pub fn make(&self, stage: &Stage) {
        while !self.stop.load(Relaxed) {
            let number = self.made.fetch_add(1, Relaxed);
            let words = KINDS[number % KINDS.len()];
            let bundle = Bundle::new(words).write(stage, &format!("soak-{number}-{}", stage.id()));
            let bundle = bundle.expect("a bundle");
            // What it says goes through a pipe, as with an engine.
            let ran = stage.runtime(program("crun")).run_command(&bundle).output().expect("crun");
            fs::remove_dir_all(&bundle.folder).expect("the bundle");
            if words == FAILS {
                assert_eq!(ran.status.code(), Some(3), "{}", String::from_utf8_lossy(&ran.stderr));
                let ended = Ended { id: bundle.id, at: Instant::now() };
                self.ended.lock().expect("no thread has died").push(ended);
            }
            thread::sleep(PAUSE);
        }
    }

    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub fn made(&self) -> usize {
        self.made.load(Relaxed)
    }

    /// Those that are known to have ended before, in this order.
    ///
    /// # Panics
    /// A thread that makes them has died.
    pub fn ended_before(&self, at: Instant) -> Vec<Ended> {
        let ended = self.ended.lock().expect("no thread has died");
        ended.iter().filter(|ended| ended.at < at).cloned().collect()
    }
}
