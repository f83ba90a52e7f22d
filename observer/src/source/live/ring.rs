//! The ring buffer: bytes in, reduced records out. What is malformed or lost is counted.

use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{MapData, RingBuf};
use observer_ebpf::FAMILIES;

use crate::probes::{Event, Record, Reduced, Reducer, context, text, tls};

/// Records taken out in one turn, so that a flood cannot keep the caller from its other duties.
const MAX_TURN: usize = 100_000;

pub struct Ring {
    ring: RingBuf<MapData>,
    pub reducer: Reducer,
    /// Records that were no records of this version.
    pub malformed: u64,
    pub records: [u64; FAMILIES],
}

impl Ring {
    pub fn new(ring: RingBuf<MapData>, reducer: Reducer) -> Self {
        Self { ring, reducer, malformed: 0, records: [0; FAMILIES] }
    }

    /// Takes out what is there. Returns whether the ring was drained.
    pub fn drain(&mut self, mut take: impl FnMut(Reduced)) -> bool {
        for _ in 0..MAX_TURN {
            let Some(item) = self.ring.next() else { return true };
            match self.reducer.reduce(&item) {
                Ok(reduced) => {
                    self.records[reduced.family as usize] += 1;
                    // Counted, and of no further interest.
                    if !is_ordinary(&reduced.record) {
                        take(reduced);
                    }
                }
                Err(_) => self.malformed += 1,
            }
        }
        false
    }
}

fn is_ordinary(record: &Record) -> bool {
    matches!(
        record.event,
        Event::Tls(tls::Event::Ordinary)
            | Event::Text(text::Event::Ordinary)
            | Event::Context(context::Event::Ordinary)
    )
}

impl Ring {
    /// Takes out what is there as it is, undecoded.
    pub fn drain_raw(&mut self, mut take: impl FnMut(&[u8])) {
        while let Some(item) = self.ring.next() {
            take(&item);
        }
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
