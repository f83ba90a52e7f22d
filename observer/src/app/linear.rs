//! Linear memories of Wasm modules: how much of what engines have reserved for them may be accessed, read from time to
//! time. Engines make it accessible as a module grows, and never take it back.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, BufRead, BufReader},
    ops::Range,
};

use super::edge::now;
use crate::{
    input::{Record, Sample, SampleKind},
    probes::{Event, process},
    source::facts::HostRoot,
    time::Time,
};

/// How often a process is looked at.
const EVERY_NS: u64 = 5_000_000_000;
/// Processes looked at in one turn.
const A_TURN: usize = 1;
/// Processes that are followed, and reservations of each; what comes then is not.
const MAX_PROCESSES: usize = 4_096;
const MAX_SPACES: usize = 256;
/// Mappings of a process that are read.
const MAX_MAPPINGS: usize = 1 << 16;

/// The linear memories that are looked at, by their process.
#[derive(Default)]
pub struct Linears {
    followed: BTreeMap<u32, Spaces>,
    /// In the order in which they are due.
    queue: VecDeque<(Time, u32)>,
    ended: Vec<Sample>,
}

struct Spaces {
    init: u32,
    /// What is reserved, by its begin.
    reserved: BTreeMap<u64, u64>,
}

impl Linears {
    pub fn follow(&mut self, init: u32, tgid: u32, start: u64, bytes: u64) {
        if self.followed.len() >= MAX_PROCESSES && !self.followed.contains_key(&tgid) {
            return;
        }
        let spaces = self.followed.entry(tgid).or_insert_with(|| {
            self.queue.push_back((now(), tgid));
            Spaces { init, reserved: BTreeMap::new() }
        });
        if spaces.reserved.len() < MAX_SPACES {
            spaces.reserved.insert(start, start.saturating_add(bytes));
        }
    }

    pub fn note(&mut self, record: &Record) {
        if let Event::Process(process::Event::Exited { .. }) = &record.event
            && let Some(Spaces { init, .. }) = self.followed.remove(&record.tgid)
        {
            let what = SampleKind::Linear { init, tgid: record.tgid, bytes: 0 };
            self.ended.push(Sample { time: record.time, what });
        }
    }

    pub fn samples(&mut self, host: &HostRoot) -> Vec<Sample> {
        let mut samples = std::mem::take(&mut self.ended);
        let time = now();
        for _ in 0..A_TURN {
            let Some((_, tgid)) = self.queue.pop_front_if(|(due, _)| *due <= time) else { break };
            let Some(spaces) = self.followed.get(&tgid) else { continue };
            // Its end is on the way.
            let Ok(maps) = File::open(host.proc(format!("{tgid}/maps"))) else { continue };
            if let Ok(bytes) = accessible(BufReader::new(maps), &spaces.reserved) {
                let what = SampleKind::Linear { init: spaces.init, tgid, bytes };
                samples.push(Sample { time: now(), what });
            }
            self.queue.push_back((time.plus(EVERY_NS), tgid));
        }
        samples
    }
}

/// How many bytes of these ranges may be read, by a process's table of mappings.
fn accessible(maps: impl BufRead, reserved: &BTreeMap<u64, u64>) -> io::Result<u64> {
    let mut sum = 0;
    for line in maps.split(b'\n').take(MAX_MAPPINGS) {
        // A path may hold anything; what comes before it is plain.
        let Some(mapping) = readable(&line?) else { continue };
        let of = reserved.range(..mapping.end).map(|(start, end)| {
            let (from, to) = (mapping.start.max(*start), mapping.end.min(*end));
            to.saturating_sub(from)
        });
        sum += of.sum::<u64>().min(mapping.end - mapping.start);
    }
    Ok(sum)
}

/// Where a mapping lies, if it may be read.
fn readable(line: &[u8]) -> Option<Range<u64>> {
    let mut words = line.split(|byte| *byte == b' ').filter_map(|word| std::str::from_utf8(word).ok());
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    (start < end && words.next()?.starts_with('r')).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
00400000-00500000 r-xp 00000000 08:01 42 /bin/engine
10000000-10200000 rw-p 00000000 00:00 0
10200000-20000000 ---p 00000000 00:00 0
20000000-20001000 rw-p 00000000 00:00 0 [anon:r-x]
nonsense
30000000-2fffffff rw-p 00000000 00:00 0
";

    #[test]
    fn what_may_be_read_of_a_reservation_counts() {
        let of =
            |ranges: &[(u64, u64)]| accessible(MAPS.as_bytes(), &ranges.iter().copied().collect()).unwrap();
        assert_eq!(of(&[(0x1000_0000, 0x2000_0000)]), 0x20_0000);
        // A mapping may have grown together with its neighbour.
        assert_eq!(of(&[(0x1010_0000, 0x2000_0000)]), 0x10_0000);
        assert_eq!(of(&[(0x1000_0000, 0x2000_0000), (0x2000_0000, 0x3000_0000)]), 0x20_1000);
        assert_eq!(of(&[(0x4000_0000, 0x5000_0000)]), 0);
    }

    #[test]
    fn a_process_that_ends_has_none() {
        let mut linears = Linears::default();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/1")).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        std::fs::write(dir.path().join("proc/7/maps"), MAPS).unwrap();
        let host = HostRoot::at(dir.path());
        linears.follow(5, 7, 0x1000_0000, 0x1000_0000);
        linears.follow(5, 8, 0x1000_0000, 0x1000_0000);
        let kinds = |samples: Vec<Sample>| samples.into_iter().map(|sample| sample.what).collect::<Vec<_>>();
        let read = SampleKind::Linear { init: 5, tgid: 7, bytes: 0x20_0000 };
        assert_eq!(kinds(linears.samples(&host)), [read]);
        assert_eq!(kinds(linears.samples(&host)), [], "it cannot be read, and is not asked for again");
    }
}
