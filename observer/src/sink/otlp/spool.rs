//! What waits for the collector: on disk from the moment it is taken, so that neither a restart nor a kill loses it,
//! and in memory where the disk takes nothing.
//!
//! A folder of segments, which are frames one after the other, and of a cursor, which says where the first frame is that
//! the collector has not taken. Nothing is flushed to the device: a node that loses power loses what its kernel held.
//! A frame whose end is missing was never promised to anybody, and is cut off.

mod disk;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
};

use disk::Disk;

use crate::span::Signal;

/// Bytes that wait on disk.
const MAX_DISK: u64 = 256 << 20;
/// Bytes that wait in memory, where there is no disk.
const MAX_MEMORY: usize = 16 << 20;
/// Requests that wait, wherever: each is known by where it is.
const MAX_REQUESTS: usize = 262_144;

#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("cannot keep what waits for the collector in {}: {why}; it is kept in memory alone", path.display())]
    Folder { path: PathBuf, why: io::Error },
    #[error(
        "another observer keeps what waits for the collector in {}; this one keeps it in memory alone", path.display()
    )]
    Locked { path: PathBuf },
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub signal: Signal,
    pub records: u32,
    pub request: Vec<u8>,
}

/// Requests of one signal, one after the other: together a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub signal: Signal,
    pub request: Vec<u8>,
    /// Of each that it is made of: bytes and records.
    pub parts: Vec<(usize, u32)>,
}

impl Batch {
    pub fn records(&self) -> u64 {
        self.parts.iter().map(|(_, records)| u64::from(*records)).sum()
    }
}

#[derive(Default)]
pub struct Spool {
    disk: Option<Disk>,
    memory: VecDeque<Waiting>,
    memory_bytes: usize,
    /// Whether what was handed out last is in memory: whatever is taken on disk meanwhile is not what was.
    front_in_memory: bool,
    records: u64,
    /// Records that an earlier run has left behind.
    pub resumed: u64,
    /// Records, or what may have been some, that could not be read any more.
    pub damaged: u64,
    /// Why the disk took nothing, last time.
    pub disk_error: Option<String>,
}

impl Spool {
    /// Keeps everything in memory.
    pub fn in_memory() -> Self {
        Spool::default()
    }

    /// Goes on with what is in this folder, which is made where it is missing.
    ///
    /// # Errors
    /// It cannot be used, or is being used.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let (disk, found) = Disk::open(folder)?;
        let records = found.records;
        Ok(Spool { disk: Some(disk), records, resumed: records, damaged: found.damaged, ..Spool::default() })
    }

    /// Records that wait.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Of those, in memory alone.
    pub fn in_memory_alone(&self) -> u64 {
        self.memory.iter().map(|waiting| u64::from(waiting.records)).sum()
    }

    /// Brings to disk what is in memory, as far as it can be, and says how many records are lost without that.
    pub fn close(&mut self) -> u64 {
        for waiting in std::mem::take(&mut self.memory) {
            let disk = self.disk.as_mut().filter(|disk| disk.has_room(waiting.request.len()));
            let kept =
                disk.is_some_and(|disk| disk.push(waiting.signal, waiting.records, &waiting.request).is_ok());
            if !kept {
                self.memory.push_back(waiting);
            }
        }
        let lost = self.in_memory_alone();
        self.memory.clear();
        self.memory_bytes = 0;
        self.records -= lost;
        lost
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        let on_disk = self.disk.as_ref().is_some_and(|disk| disk.has_room(bytes));
        self.requests() < MAX_REQUESTS && (on_disk || self.has_memory(bytes))
    }

    fn has_memory(&self, bytes: usize) -> bool {
        self.memory_bytes + bytes <= MAX_MEMORY
    }

    fn requests(&self) -> usize {
        self.memory.len() + self.disk.as_ref().map_or(0, Disk::len)
    }

    /// Takes a request, or leaves it.
    pub fn push(&mut self, signal: Signal, records: u32, request: &[u8]) -> bool {
        if self.requests() >= MAX_REQUESTS {
            return false;
        }
        if let Some(disk) = self.disk.as_mut().filter(|disk| disk.has_room(request.len())) {
            match disk.push(signal, records, request) {
                Ok(()) => {
                    self.records += u64::from(records);
                    self.disk_error = None;
                    return true;
                }
                Err(why) => self.disk_error = Some(why.to_string()),
            }
        }
        if !self.has_memory(request.len()) {
            return false;
        }
        self.memory.push_back(Waiting { signal, records, request: request.to_vec() });
        self.memory_bytes += request.len();
        self.records += u64::from(records);
        true
    }

    /// What has waited longest, with what follows of the same signal, of at most `limit` bytes if it is more than one.
    pub fn front(&mut self, limit: usize) -> Option<Batch> {
        let mut batch: Option<Batch> = None;
        let from_disk = self.disk.as_ref().is_some_and(|disk| !disk.is_empty());
        self.front_in_memory = !from_disk;
        for index in 0.. {
            let next = if from_disk {
                match self.disk.as_mut().and_then(|disk| disk.read(index))? {
                    Ok(waiting) => waiting,
                    // What follows it may be intact.
                    Err(records) if index == 0 => {
                        self.damaged += u64::from(records);
                        self.pop(1);
                        return self.front(limit);
                    }
                    Err(_) => break,
                }
            } else {
                match self.memory.get(index) {
                    Some(waiting) => waiting.clone(),
                    None => break,
                }
            };
            match &mut batch {
                None => {
                    let parts = vec![(next.request.len(), next.records)];
                    batch = Some(Batch { signal: next.signal, request: next.request, parts });
                }
                Some(batch)
                    if batch.signal != next.signal || batch.request.len() + next.request.len() > limit =>
                {
                    break;
                }
                Some(batch) => {
                    batch.parts.push((next.request.len(), next.records));
                    batch.request.extend_from_slice(&next.request);
                }
            }
            if from_disk && self.disk.as_ref().is_some_and(|disk| disk.len() == index + 1) {
                break;
            }
        }
        batch
    }

    /// The first so many requests are the collector's now, or nobody's.
    pub fn pop(&mut self, requests: usize) {
        for _ in 0..requests {
            let on_disk = self.disk.as_mut().filter(|_| !self.front_in_memory);
            let records = match on_disk.and_then(Disk::pop) {
                Some(records) => records,
                None => {
                    let Some(waiting) = self.memory.pop_front() else { break };
                    self.memory_bytes -= waiting.request.len();
                    waiting.records
                }
            };
            self.records -= u64::from(records);
        }
        if let Some(disk) = &mut self.disk
            && let Err(why) = disk.keep_place()
        {
            self.disk_error = Some(why.to_string());
        }
    }
}

#[cfg(test)]
mod tests;
