//! Runs that end at the worst moment, and disks that are full or damaged.

use std::fs::{self, OpenOptions};

use tempfile::TempDir;

use super::*;

fn push(spool: &mut Spool, text: &str) {
    assert!(spool.push(Signal::Traces, 2, text.as_bytes()));
}

/// All that waits, one after the other.
fn drain(spool: &mut Spool) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(batch) = spool.front(0) {
        assert_eq!(batch.parts.len(), 1);
        all.push(String::from_utf8(batch.request).unwrap());
        spool.pop(1);
    }
    all
}

#[test]
fn what_one_run_leaves_behind_the_next_goes_on_with() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("spool");
    let mut spool = Spool::open(&folder).unwrap();
    for text in ["a", "b", "c"] {
        push(&mut spool, text);
    }
    spool.pop(1);
    // As after a kill: nothing is closed in order.
    drop(spool);
    let mut spool = Spool::open(&folder).unwrap();
    assert_eq!((spool.records(), spool.resumed), (4, 4));
    push(&mut spool, "d");
    assert_eq!(drain(&mut spool), ["b", "c", "d"]);
    assert_eq!(spool.records(), 0);
    drop(spool);
    assert_eq!(Spool::open(&folder).unwrap().front(1), None);
}

#[test]
fn requests_of_one_signal_go_together() {
    let mut spool = Spool::in_memory();
    push(&mut spool, "aa");
    push(&mut spool, "bb");
    push(&mut spool, "cc");
    assert!(spool.push(Signal::Logs, 1, b"dd"));
    let batch = spool.front(4).unwrap();
    assert_eq!((batch.request.as_slice(), batch.records()), (b"aabb".as_slice(), 4));
    spool.pop(2);
    assert_eq!(spool.front(100).unwrap().parts, [(2, 2)]);
    spool.pop(1);
    assert_eq!(spool.front(100).unwrap().signal, Signal::Logs);
}

#[test]
fn a_frame_that_was_not_finished_is_cut_off_and_the_rest_is_whole() {
    for cut in 1..20 {
        let dir = TempDir::new().unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        push(&mut spool, "first");
        push(&mut spool, "secnd!!");
        drop(spool);
        let segment = dir.path().join("0000000000000000.segment");
        let len = fs::metadata(&segment).unwrap().len();
        OpenOptions::new().write(true).open(&segment).unwrap().set_len(len - cut).unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        push(&mut spool, "third");
        assert_eq!(drain(&mut spool), ["first", "third"], "{cut}");
    }
}

#[test]
fn a_damaged_frame_is_counted_and_what_follows_is_read() {
    let dir = TempDir::new().unwrap();
    let mut spool = Spool::open(dir.path()).unwrap();
    push(&mut spool, "first");
    push(&mut spool, "second");
    let segment = dir.path().join("0000000000000000.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let last_of_first = 13 + 4;
    bytes[last_of_first] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert_eq!(drain(&mut spool), ["second"]);
    assert_eq!((spool.damaged, spool.records()), (2, 0));
}

#[test]
fn segments_that_were_taken_are_deleted() {
    let dir = TempDir::new().unwrap();
    let mut spool = Spool::open(dir.path()).unwrap();
    let megabyte = "x".repeat(1 << 20);
    for _ in 0..20 {
        push(&mut spool, &megabyte);
    }
    let count = || fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(count(), 2 + 3);
    spool.pop(19);
    assert_eq!(count(), 2 + 1);
    assert_eq!(drain(&mut spool).len(), 1);
}

#[test]
fn there_is_a_bound_and_what_is_beyond_it_is_left() {
    let mut spool = Spool::in_memory();
    let big = vec![0; MAX_MEMORY / 2];
    assert!(spool.push(Signal::Traces, 1, &big) && spool.push(Signal::Traces, 1, &big));
    assert!(!spool.has_room(1) && !spool.push(Signal::Traces, 1, b"x"));
    spool.pop(1);
    assert!(spool.push(Signal::Traces, 1, b"x"));
}

#[test]
fn what_the_disk_does_not_take_is_in_memory_until_it_does() {
    let dir = TempDir::new().unwrap();
    let mut spool = Spool::open(dir.path()).unwrap();
    let disk = spool.disk.take();
    push(&mut spool, "in memory");
    spool.disk = disk;
    let handed_out = spool.front(0).unwrap();
    // Meanwhile there is room again.
    push(&mut spool, "on disk");
    assert_eq!((handed_out.request.as_slice(), spool.in_memory_alone()), (b"in memory".as_slice(), 2));
    spool.pop(1);
    assert_eq!((spool.in_memory_alone(), spool.records()), (0, 2));
    assert_eq!(drain(&mut spool), ["on disk"]);
}

#[test]
fn what_is_in_memory_at_the_end_is_brought_to_disk_or_counted() {
    let dir = TempDir::new().unwrap();
    let mut spool = Spool::open(dir.path()).unwrap();
    let disk = spool.disk.take();
    push(&mut spool, "late");
    spool.disk = disk;
    assert_eq!((spool.close(), spool.records()), (0, 2));
    drop(spool);
    assert_eq!(drain(&mut Spool::open(dir.path()).unwrap()), ["late"]);
    let mut nowhere = Spool::in_memory();
    push(&mut nowhere, "lost");
    assert_eq!((nowhere.close(), nowhere.records()), (2, 0));
}

#[test]
fn one_folder_is_one_observers() {
    let dir = TempDir::new().unwrap();
    let _first = Spool::open(dir.path()).unwrap();
    assert!(matches!(Spool::open(dir.path()), Err(SpoolError::Locked { .. })));
}

#[test]
fn only_the_owner_may_read_what_waits() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("spool");
    push(&mut Spool::open(&folder).unwrap(), "secret");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
