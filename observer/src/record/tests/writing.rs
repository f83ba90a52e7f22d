//! Files, rotation, limits, and what happens when there is no room.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::{create, header, read, samples};
use crate::{
    input::{Fact, FactKind, Input, RuntimeVersion},
    record::{Ended, Limits, RecordError, RecordingReader, RecordingWriter},
    time::Time,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// About a kilobyte.
fn bulky(time: u64) -> Input {
    let result = Ok(RuntimeVersion { version: "v".repeat(1000), features: Vec::new() });
    Input::Fact(Fact { time: Time(time), what: FactKind::RuntimeVersion { exe: String::new(), result } })
}

#[test]
fn only_the_owner_may_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.rec");
    create(&file).finish().unwrap();
    assert_eq!(mode(&file), 0o600);
    let folder = directory.path().join("new/");
    create(&folder).finish().unwrap();
    assert_eq!((mode(&folder), mode(&folder.join("segment-000001.obsrec"))), (0o700, 0o600));
}

#[test]
fn only_a_recording_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rec");
    let begin = |path: &Path| RecordingWriter::create(path, header(), Time(1), Limits::default());
    fs::write(&path, "").unwrap();
    begin(&path).unwrap().finish().unwrap();
    begin(&path).unwrap().finish().unwrap();
    assert_eq!(read(&path).1.ended, Some(Ended::Complete));

    fs::write(&path, "precious").unwrap();
    assert!(matches!(begin(&path).err(), Some(RecordError::NotOurs(_))));
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    let link = directory.path().join("link");
    for target in ["a.rec", "nowhere", "."] {
        std::os::unix::fs::symlink(target, &link).unwrap();
        assert!(matches!(begin(&link).err(), Some(RecordError::SymbolicLink(_))));
        assert!(matches!(begin(&directory.path().join("link/")).err(), Some(RecordError::SymbolicLink(_))));
        fs::remove_file(&link).unwrap();
    }
    assert!(!directory.path().join("nowhere").exists());
}

#[test]
fn a_file_holds_a_chain() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rec");
    let limits = Limits { segment: 8 << 10, ..Limits::default() };
    let mut writer = RecordingWriter::create(&path, header(), Time(1), limits).unwrap();
    let inputs: Vec<Input> = (0..100).map(bulky).collect();
    for input in &inputs {
        writer.write(input);
        if writer.needs_checkpoint() {
            writer.begin_segment(input.time(), [&inputs[0]]);
        }
    }
    let stats = writer.finish().unwrap();
    assert!(stats.segments > 10, "{stats:?}");
    assert_eq!(stats.bytes, fs::metadata(&path).unwrap().len());
    let (again, report) = read(&path);
    assert_eq!(again, inputs);
    assert_eq!((report.segments, report.ended), (stats.segments, Some(Ended::Complete)));
}

#[test]
fn a_directory_keeps_to_its_limit_and_says_what_it_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { segment: 16 << 10, total: 64 << 10, ..Limits::default() };
    let run = |count: u64| {
        let mut writer = RecordingWriter::create(directory.path(), header(), Time(1), limits).unwrap();
        for time in 0..count {
            writer.write(&bulky(time));
            if writer.needs_checkpoint() {
                writer.begin_segment(Time(time), &[bulky(0)]);
            }
        }
        writer.finish().unwrap()
    };
    let size = || -> u64 {
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let stats = run(300);
    assert!(stats.dropped_segments > 10 && stats.lost == 0, "{stats:?}");
    // The headers and checkpoints of the segments come on top of their frames.
    assert!(size() <= limits.total + (8 << 10), "{}", size());
    let mut reader = RecordingReader::open(directory.path()).unwrap();
    // Its number says how many went before it; the count in it is as of when it was begun.
    assert_eq!(reader.header().number, stats.dropped_segments);
    assert!((1..=stats.dropped_segments).contains(&reader.header().dropped_segments));
    let kept: Vec<u64> = reader.by_ref().map(|input| input.time().0).collect();
    // The tail replays with what was open when it begins.
    assert_eq!(kept[0], 0);
    let expected: Vec<u64> = (kept[1]..300).collect();
    assert_eq!(kept[1..], expected);
    assert_eq!(reader.report().ended, Some(Ended::Complete));

    // The next run goes on numbering, and is read by itself.
    run(3);
    assert!(size() <= limits.total + (8 << 10));
    let (inputs, report) = read(directory.path());
    assert_eq!(inputs, [bulky(0), bulky(1), bulky(2)]);
    assert!(report.other_segments > 0 && report.segments == 1, "{report:?}");
}

#[test]
fn what_does_not_fit_into_the_queue_is_counted_and_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rec");
    let limits = Limits { queue: 0, ..Limits::default() };
    let mut writer = RecordingWriter::create(&path, header(), Time(1), limits).unwrap();
    samples::all().iter().for_each(|input| writer.write(input));
    let count = samples::all().len() as u64;
    let stats = writer.finish().unwrap();
    assert_eq!((stats.inputs, stats.lost, stats.complete), (0, count, true));
    let (inputs, report) = read(&path);
    assert_eq!((inputs.len(), report.lost, report.ended), (0, count, Some(Ended::Complete)));
}

#[test]
fn a_flood_is_recorded_or_counted() {
    const COUNT: u64 = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rec");
    let limits = Limits { queue: 256 << 10, ..Limits::default() };
    let mut writer = RecordingWriter::create(&path, header(), Time(1), limits).unwrap();
    (0..COUNT).for_each(|time| writer.write(&bulky(time)));
    let stats = writer.finish().unwrap();
    assert_eq!(stats.inputs + stats.lost, COUNT);
    let (inputs, report) = read(&path);
    assert_eq!((inputs.len() as u64, report.lost), (stats.inputs, stats.lost));
}

#[test]
fn an_input_too_large_for_a_frame_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rec");
    let mut writer = create(&path);
    let result = Ok(RuntimeVersion { version: "v".repeat(2 << 20), features: Vec::new() });
    let what = FactKind::RuntimeVersion { exe: String::new(), result };
    writer.write(&Input::Fact(Fact { time: Time(5), what }));
    writer.write(&Input::Tick(Time(6)));
    assert_eq!(writer.finish().unwrap().lost, 1);
    let (inputs, report) = read(&path);
    assert_eq!((inputs, report.lost), (vec![Input::Tick(Time(6))], 1));
}

/// A tiny file system of its own, gone with the guard.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !done {
            crate::skips::skip("a_full_disk", "needs the right to mount a tmpfs: run the tests as root");
        }
        done.then_some(Tmpfs(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.path().display());
    }
}

/// Until the writer thread has taken everything: its answer is what is waited for, not time.
fn settled(writer: &RecordingWriter, inputs: u64) {
    while writer.stats().inputs + writer.stats().lost < inputs {
        std::thread::yield_now();
    }
}

fn fill_and_free(recording: &Path, room: &Tmpfs, limits: Limits) {
    let ballast = room.path().join("ballast");
    fs::write(&ballast, vec![0; 128 << 10]).unwrap();
    let mut writer = RecordingWriter::create(recording, header(), Time(1), limits).unwrap();
    let mut written = 0;
    let mut write = |writer: &mut RecordingWriter, count: u64| {
        for _ in 0..count {
            written += 2;
            writer.write(&bulky(written));
            writer.write(&Input::Tick(Time(written)));
            if writer.needs_checkpoint() {
                writer.begin_segment(Time(written), &[bulky(0)]);
            }
        }
        settled(writer, written);
        written
    };
    write(&mut writer, 400);
    let full = writer.stats();
    assert!(full.lost > 0 && full.inputs > 0, "{full:?}");
    assert!(full.last_error.unwrap().contains("No space"));
    fs::remove_file(&ballast).unwrap();
    let written = write(&mut writer, 20);
    let stats = writer.finish().unwrap();
    assert!(stats.complete && stats.inputs + stats.lost == written, "{stats:?}");
    let (inputs, report) = read(recording);
    assert_eq!(inputs.last(), Some(&Input::Tick(Time(written))));
    assert_eq!((report.lost, report.damages.len()), (stats.lost, 0), "{report:?}");
}

#[test]
fn a_full_disk_is_counted_and_writing_goes_on_when_there_is_room() {
    let Some(room) = Tmpfs::mount() else { return };
    fill_and_free(&room.path().join("a.rec"), &room, Limits::default());
}

#[test]
fn a_full_disk_at_the_begin_of_a_segment_is_got_over() {
    let Some(room) = Tmpfs::mount() else { return };
    let limits = Limits { segment: 32 << 10, ..Limits::default() };
    let directory = room.path().join("segments/");
    fill_and_free(&directory, &room, limits);
}

#[test]
fn a_disk_that_is_full_from_the_beginning_is_an_error() {
    let Some(room) = Tmpfs::mount() else { return };
    fs::write(room.path().join("ballast"), vec![0; 1 << 20]).unwrap_err();
    let path = room.path().join("a.rec");
    let begun = RecordingWriter::create(&path, header(), Time(1), Limits::default());
    assert!(matches!(begun.err(), Some(RecordError::Io { doing: "write", .. })));
    assert!(!path.exists());
}
