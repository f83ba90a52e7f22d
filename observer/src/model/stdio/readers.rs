//! Who reads which pipe.

use std::collections::{BTreeMap, VecDeque};

use crate::time::Time;

/// Readers remembered for streams that are yet to begin; the one found first is forgotten first.
const MAX_READERS: usize = 8_192;

/// A process that holds the reading end of a pipe.
#[derive(Clone, Debug)]
pub struct Reader {
    pub tgid: u32,
    pub ppid: u32,
    pub start: Time,
    pub comm: String,
}

/// Readers by their pipe's inode number: often found before a container is given the pipe.
#[derive(Default)]
pub struct Readers {
    by_pipe: BTreeMap<u64, Reader>,
    /// In the order in which they were found.
    found: VecDeque<u64>,
}

impl Readers {
    pub fn get(&self, ino: u64) -> Option<&Reader> {
        self.by_pipe.get(&ino)
    }

    pub fn add(&mut self, ino: u64, reader: Reader) {
        if self.by_pipe.insert(ino, reader).is_none() {
            self.found.push_back(ino);
        }
        if self.found.len() > MAX_READERS
            && let Some(oldest) = self.found.pop_front()
        {
            self.by_pipe.remove(&oldest);
        }
    }
}
