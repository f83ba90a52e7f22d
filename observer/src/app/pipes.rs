//! Followed pipes: samples them while they live, and finds out who reads them.

use std::collections::{BTreeMap, BTreeSet};

use observer_ebpf::control::role;

use super::{edge::now, talk};
use crate::{
    input::{Record, Sample, SampleKind},
    probes::{
        Event, process,
        stdio::{self, PipeState, Written},
    },
    source::live::Live,
    time::Time,
};

/// How often the state of a pipe is read. What is shorter is not seen.
const EVERY_NS: u64 = 100_000_000;
/// How often counts alone are handed on.
const COUNTS_EVERY_NS: u64 = 1_000_000_000;
/// How often it is handed on that a writer still waits.
const STILL_EVERY_NS: u64 = 500_000_000;
/// Looking through all open files may take one part in this many of the observer's time.
const LOOK_SHARE: u64 = 20;

/// The pipes that are followed, by inode number.
#[derive(Default)]
pub struct Pipes {
    followed: BTreeMap<u64, Followed>,
    sampled: Time,
    /// Someone's reader is not known.
    pub wanted: bool,
    look_again: Time,
    /// The kernel refused; said once.
    refused: bool,
}

#[derive(Default)]
struct Followed {
    inits: BTreeSet<u32>,
    /// Its container has ended: what is left in it is watched closely.
    draining: bool,
    state: Option<PipeState>,
    written: Vec<(u32, Written)>,
    told: Time,
}

impl Pipes {
    /// Sees a record before it is ordered: readers that are to be known are looked for at once.
    pub fn note(&mut self, record: &Record) {
        self.wanted |= match &record.event {
            Event::Process(process::Event::Executed(exec)) => exec.role & role::EXPECTS != 0,
            Event::Stdio(stdio::Event::Opened { pipe: Some(pipe), .. }) => pipe.reader.is_none(),
            _ => false,
        };
    }

    pub fn follow(&mut self, ino: u64, init: u32) {
        self.followed.entry(ino).or_default().inits.insert(init);
    }

    pub fn drain(&mut self, ino: u64) {
        if let Some(followed) = self.followed.get_mut(&ino) {
            followed.draining = true;
        }
    }

    pub fn forget(&mut self, ino: u64, init: u32, live: &mut Live) {
        let Some(followed) = self.followed.get_mut(&ino) else { return };
        followed.inits.remove(&init);
        if followed.inits.is_empty() {
            self.followed.remove(&ino);
            live.forget_pipe(ino);
        }
    }

    /// Looks for readers, if that is due; their records come through the ring.
    pub fn look(&mut self, live: &mut Live) {
        let began = now();
        if !self.wanted || began < self.look_again {
            return;
        }
        self.wanted = false;
        if let Err(why) = live.look_through_open_files() {
            self.refuse("cannot find out who reads containers' pipes", &why);
        }
        let ended = now();
        self.look_again = ended.plus(ended.since(began) * LOOK_SHARE);
    }

    /// What has changed since it was last handed on.
    pub fn samples(&mut self, live: &mut Live) -> Vec<Sample> {
        let time = now();
        let all = time.since(self.sampled) >= EVERY_NS;
        if all {
            self.sampled = time;
        }
        let mut samples = Vec::new();
        let mut refusal = None;
        for (ino, followed) in self.followed.iter_mut().filter(|(_, followed)| all || followed.draining) {
            match live.pipe(*ino) {
                Ok(state) => samples.extend(followed.sample(*ino, now(), state, live)),
                Err(why) => refusal = Some(why),
            }
        }
        if let Some(why) = refusal {
            self.refuse("cannot read the state of containers' pipes", &why);
        }
        samples
    }

    fn refuse(&mut self, what: &str, why: &str) {
        if !std::mem::replace(&mut self.refused, true) {
            talk::say(format_args!("{what}: {why}"));
        }
    }
}

impl Followed {
    fn sample(&mut self, ino: u64, time: Time, state: PipeState, live: &Live) -> Option<Sample> {
        let count = |init: &u32| live.written(*init, ino).map(|written| (*init, written));
        let written: Vec<_> = self.inits.iter().filter_map(count).collect();
        let counts_moved = self.state.is_none_or(|before| counts(before) != counts(state))
            || (!written.is_empty() && written != self.written);
        let due = self.draining || state.waiting || time.since(self.told) >= COUNTS_EVERY_NS;
        // That nothing changes is what a blocked writer is known by.
        let still = state.waiting && time.since(self.told) >= STILL_EVERY_NS;
        let turned = self.state.is_none_or(|before| kind(before) != kind(state));
        if !(turned || still || counts_moved && due) {
            return None;
        }
        self.state = Some(state);
        self.written.clone_from(&written);
        self.told = time;
        Some(Sample { time, what: SampleKind::Pipe { ino, state, written } })
    }
}

fn counts(state: PipeState) -> (u64, Option<u32>) {
    (state.taken, state.queued)
}

/// What of a state matters at once.
fn kind(state: PipeState) -> (bool, bool, bool, Option<u32>) {
    (state.alive, state.waiting, state.readers > 0, state.reader)
}
